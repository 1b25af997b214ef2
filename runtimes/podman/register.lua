-- SPDX-License-Identifier: MIT
-- flake-ctl podman register: from options to a definition of schema version 1.
local export_find = require "flake.export_find"
local image = require "flake.image"
local podman = require "flake.podman"
local process = require "flake.process"
local registering = require "flake.registering"
local registry = require "flake.registry"
local signature = require "flake.signature"
local base = require("flake.text").base
local quote = require("flake.text").quote
local yaml = require "flake.yaml"
local instances = require "shipped.runtimes.podman.instances"
local parts = require "shipped.runtimes.podman.register_parts"

-- The words of --share, each once; nil: none.
local function share_of(opts)
  local list, seen = yaml.list {}, {}
  for _, words in ipairs(opts.share) do
    for word in words:gmatch("[^,]+") do
      if not seen[word] then table.insert(list, word) end
      seen[word] = true
    end
  end
  return #list > 0 and list or nil
end

-- Definition keys of schema version 1, as `register` of older tools writes them.
local function definition(opts, apps)
  local container = {
    name = opts.container,
    host_app_path = apps[1].path,
    target_app_path = apps[1].target,
    runtime = {
      runas = opts.run_as or yaml.null,
      resume = opts.resume or false,
      attach = opts.attach or false,
      share = share_of(opts),
      podman = yaml.list(opts.opt),
    },
  }
  local archives = opts.archive or {}
  container.archive = #archives > 1 and yaml.list(archives) or archives[1]
  if #apps > 1 then
    container.path_map = {}
    for _, app in ipairs(apps) do container.path_map[app.path] = { exports = app.target } end
  end
  local doc = { user_may_override = opts.user_may_override, include = { tar = yaml.null },
    container = container }
  parts.add_keys(opts, doc)
  return doc
end

-- What cannot be known to be wrong, but should be said.
local function warn(opts, ctx)
  local quiet = { stdout = "null", stderr = "null", stdin = "null" }
  for _, reference in ipairs(opts.root and {} or parts.references(opts)) do
    local found = podman.call({ "image", "exists", reference }, quiet)
    if found and found.code == 1 then
      ctx.err:write(("flake-ctl: warning: image '%s' is not here yet; get it with: "
        .. "flake-ctl podman pull --uri %s\n"):format(reference, quote(reference)))
    elseif found and #opts.require_signature > 0 then
      ctx.err:write(("flake-ctl: warning: image '%s' is here already, and was not checked; this "
        .. "does: flake-ctl podman pull --uri %s\n"):format(reference, quote(reference)))
    end
  end
  registering.warn_path(opts, opts.app, ctx)
  for _, option in ipairs(opts.opt) do
    for name in option:gmatch("%%([A-Z_][A-Z0-9_]*)") do
      if not process.getenv(name) then
        ctx.err:write(("flake-ctl: warning: %%%s in --opt '%s' is not set here: it will be empty\n")
          :format(name, option))
      end
    end
  end
end

local FALSE = { ["false"] = true, False = true, FALSE = true, f = true, F = true, ["0"] = true }

-- Options (of --opt) that put something else in the place of an instance's process 1, which is
-- flake-init; by podman's name, what of their values does.
local OTHER_INIT = {
  ["init"] = function(value) return FALSE[value] end,
  ["init-path"] = function() return true end,
  ["systemd"] = function(value) return value == "always" end,
  ["pid"] = function(value) return value ~= "private" and not value:find("%", 1, true) end,
}

local function check_resume(opts)
  local words = table.concat(opts.opt, " "):gsub("%f[^%s\0]\\%-", "-")
  for word, following in (words .. " "):gmatch("(%S+)%s+()") do
    local name, equals, value = word:match("^%-%-([%w-]+)(=?)(.*)$")
    local bad = OTHER_INIT[name]
    if equals == "" and name ~= "init" then value = words:match("^%S+", following) or "" end
    if bad and bad(value) then
      return nil, ("--resume excludes the option '--%s%s': process 1 of an instance is flake-init")
        :format(name, value ~= "" and "=" .. value or ""), "EUSAGE"
    end
  end
  return true
end

-- What options need of each other. Returns true, or nil, message, code.
local function check(opts)
  if #opts.app == 0 then return nil, "register needs --app PATH (or --info)", "EUSAGE" end
  if opts.target and #opts.app > 1 and opts.target ~= "/" then
    return nil, "--target goes with one --app only", "EUSAGE"
  end
  if opts.resume and opts.attach then
    return nil, "--resume and --attach exclude each other", "EUSAGE"
  end
  local shared = ("," .. table.concat(opts.share, ",") .. ",")
  if (opts.resume or opts.attach) and shared:find(",cwd,", 1, true) then
    return nil, "--share cwd excludes --resume and --attach: an instance is started once and "
      .. "cannot follow the caller's directory", "EUSAGE"
  end
  local ok, message, code = registering.check_user(opts)
  if ok and opts.resume then ok, message, code = check_resume(opts) end
  if not ok then return nil, message, code end
  return parts.check(opts)
end

-- The images of which the flake is made, highest first.
local function images_of(opts)
  local images = {}
  for _, reference in ipairs(parts.references(opts)) do table.insert(images, 1, reference) end
  return images
end

-- Returns as registry.register does.
local function register(opts, ctx, name, apps)
  local def = { name = name, engine = "podman", image = opts.container, apps = apps,
    images = images_of(opts), doc = definition(opts, apps) }
  local function note(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end
  local message, code
  if #opts.require_signature > 0 then
    local ok
    ok, message, code = signature.record(def, def.doc.container, opts.require_signature,
      registry.dir(opts))
    if not ok then return nil, message, code end
  end
  def.exports, message, code = export_find.find(def, opts, opts.run_as, note)
  if not def.exports then return nil, message, code end
  return registry.register(def, { root = opts.root, user = opts.user, force = opts.force,
    pilot = ctx.info.bindir .. "/podman-pilot", warn = note })
end

-- Instances of the definition that was replaced would outlive it.
local function end_old(old, opts)
  if opts.root or not old or not (old.resume or old.attach) then return end
  local kept = {}
  for _, row in ipairs(instances.list(old.name) or {}) do
    if row.key then table.insert(kept, row) end
  end
  instances.stop(kept)
end

--- flake-ctl podman register
return function(opts, ctx)
  if opts.info then return image.print_info(opts.container, ctx.out) end
  local ok, message, code = check(opts)
  if not ok then return nil, message, code end
  for i, option in ipairs(opts.opt) do opts.opt[i] = option:gsub("^\\", "") end
  local apps = {}
  for i, path in ipairs(opts.app) do apps[i] = { path = path, target = opts.target or path } end
  local name = opts.name or base(opts.app[1])
  local old = registry.find(name, opts)
  ok, message, code = registering.check_engine(old, "podman")
  if ok then ok, message, code = register(opts, ctx, name, apps) end
  if not ok then
    return nil, message, code, registering.hint(opts, code)
  end
  warn(opts, ctx)
  registering.warn_signature(opts, name, old, ctx)
  registering.warn_risk(opts, name, ctx)
  end_old(old, opts)
  parts.finish(opts, name, old, ctx)
  return 0
end
