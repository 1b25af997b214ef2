-- SPDX-License-Identifier: MIT
-- flake-ctl podman register: from options to a definition of schema version 1.
local fs = require "flake.fs"
local image = require "flake.image"
local process = require "flake.process"
local registry = require "flake.registry"
local yaml = require "flake.yaml"
local parts = require "shipped.runtimes.podman.register_parts"

local function base(path)
  return path:match("([^/]*)$")
end

-- Definition keys of schema version 1, as `register` of older tools writes them.
local function definition(opts, apps)
  local container = {
    name = opts.container,
    host_app_path = apps[1].path,
    target_app_path = apps[1].target,
    runtime = {
      runas = opts.run_as or yaml.null,
      resume = false,
      attach = false,
      podman = yaml.list(opts.opt),
    },
  }
  if #apps > 1 then
    container.path_map = {}
    for _, app in ipairs(apps) do container.path_map[app.path] = { exports = app.target } end
  end
  local doc = { include = { tar = yaml.null }, container = container }
  parts.add_keys(opts, doc)
  return doc
end

-- What cannot be known to be wrong, but should be said.
local function warn(opts, ctx)
  local quiet = { stdout = "null", stderr = "null", stdin = "null" }
  for _, reference in ipairs(opts.root and {} or parts.references(opts)) do
    local found = process.run({ "podman", "image", "exists", reference }, quiet)
    if found and found.code == 1 then
      ctx.err:write(("flake-ctl: warning: image '%s' is not here yet; get it with: "
        .. "flake-ctl podman pull --uri %s\n"):format(reference, reference))
    end
  end
  for _, option in ipairs(opts.opt) do
    for name in option:gmatch("%%([A-Z_][A-Z0-9_]*)") do
      if not process.getenv(name) then
        ctx.err:write(("flake-ctl: warning: %%%s in --opt '%s' is not set here: it will be empty\n")
          :format(name, option))
      end
    end
  end
end

local function check(opts)
  if #opts.app == 0 then return nil, "register needs --app PATH (or --info)", "EUSAGE" end
  if opts.target and #opts.app > 1 and opts.target ~= "/" then
    return nil, "--target goes with one --app only", "EUSAGE"
  end
  if opts.run_as and not opts.root and not fs.user(opts.run_as) then
    return nil, ("--run-as: there is no user '%s'"):format(opts.run_as), "EUSAGE"
  end
  return parts.check(opts)
end

--- flake-ctl podman register
return function(opts, ctx)
  if opts.info then return image.print_info(opts.container, ctx.out) end
  local ok, message, code = check(opts)
  if not ok then return nil, message, code end
  for i, option in ipairs(opts.opt) do opts.opt[i] = option:gsub("^\\", "") end
  local apps = {}
  for i, path in ipairs(opts.app) do apps[i] = { path = path, target = opts.target or path } end
  local def = { name = opts.name or base(opts.app[1]), engine = "podman", image = opts.container,
    apps = apps, doc = definition(opts, apps) }
  local old = registry.find(def.name, opts)
  ok, message, code = registry.register(def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = ctx.info.bindir .. "/podman-pilot" })
  if not ok then
    local hint = code == "EEXIST" and "--force replaces a flake, never a foreign file" or nil
    return nil, message, code, hint
  end
  warn(opts, ctx)
  parts.finish(opts, def.name, old, ctx)
  return 0
end
