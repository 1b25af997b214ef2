-- SPDX-License-Identifier: MIT
-- flake-ctl podman remove: one flake, or an image with all its flakes.
local fs = require "flake.fs"
local instances = require "shipped.runtimes.podman.instances"
local podman = require "flake.podman"
local registry = require "flake.registry"
local store = require "shipped.runtimes.podman.compose_store"

local function base(path)
  return path:match("([^/]*)$")
end

-- Options of registry.remove.
local function how(opts, ctx)
  return { root = opts.root, user = opts.user, force = opts.force, app = opts.app,
    warn = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end }
end

-- An instance that stays in the background would outlive its flake.
local function end_instances(flake, opts)
  if opts.root or not flake or not (flake.resume or flake.attach) then return true end
  local rows, message, code = instances.list(flake.name)
  if not rows then return nil, message, code end
  if #rows > 0 and not opts.force then
    return nil, ("flake '%s' has running instances: flake-ctl podman stop %s, or --force")
      :format(flake.name, flake.name), "EBUSY"
  end
  return instances.stop(rows)
end

-- The flake, its instances, and the images that were composed for it.
local function remove_flake(name, opts, ctx)
  local flake = registry.find(name, opts)
  local ok, message, code = end_instances(flake, opts)
  if not ok then return nil, message, code end
  ok, message, code = registry.remove(name, how(opts, ctx))
  if ok and flake and not opts.root and store.is_composed(flake) then store.drop(flake.name) end
  -- What an import has put beside the definition.
  if ok and flake then fs.remove_tree((flake.file:gsub("%.yaml$", ".include"))) end
  return ok, message, code
end

local function remove_app(opts, ctx)
  local ok, message, code = remove_flake(base(opts.app), opts, ctx)
  if not ok then return nil, message, code end
  return 0
end

local function remove_container(opts, ctx)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  for _, row in ipairs(rows) do
    if row.image == opts.container then
      local ok
      ok, message, code = remove_flake(row.name, opts, ctx)
      if not ok then return nil, message, code end
    end
  end
  if opts.root then return 0 end
  return podman.run("image", "rm", opts.force and "--force" or "--", opts.container)
end

--- flake-ctl podman remove
return function(opts, ctx)
  if (opts.app == nil) == (opts.container == nil) then
    return nil, "remove needs either --app PATH or --container IMAGE", "EUSAGE"
  end
  if opts.app then return remove_app(opts, ctx) end
  return remove_container(opts, ctx)
end
