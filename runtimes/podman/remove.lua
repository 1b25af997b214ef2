-- SPDX-License-Identifier: MIT
-- flake-ctl podman remove: one flake, or an image with all its flakes.
local composed = require "shipped.runtimes.podman.compose_store"
local instances = require "shipped.runtimes.podman.instances"
local podman = require "flake.podman"
local references = require "flake.references"
local registry = require "flake.registry"
local store = require "flake.store"

local function base(path)
  return path:match("([^/]*)$")
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

-- after: what follows when nothing refuses any more, and before anything is removed. Composed
-- images go first: they hold the image of which they are made, and can be made again.
local function remove_flake(name, opts, ctx, after)
  local function prepare()
    local flake = registry.find(name, opts)
    local ok, message, code = end_instances(flake, opts)
    if ok and flake and not opts.root and composed.is_composed(flake) then
      composed.drop(flake.name)
    end
    if ok and after then ok, message, code = after() end
    return ok, message, code
  end
  return registry.remove(name, { root = opts.root, user = opts.user, force = opts.force,
    app = opts.app, prepare = prepare,
    warn = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end })
end

local function remove_app(opts, ctx)
  local ok, message, code = remove_flake(base(opts.app), opts, ctx)
  if not ok then return nil, message, code end
  return 0
end

-- All flakes are asked, then the image goes, then they: where something refuses, nothing is gone.
local function remove_all(names, opts, ctx, after, i)
  local name = names[i or 1]
  if not name then return after() end
  return remove_flake(name, opts, ctx, function()
    return remove_all(names, opts, ctx, after, (i or 1) + 1)
  end)
end

local function remove_image(opts)
  local status, message, code = podman.run("image", "rm", opts.force and "--force" or "--",
    opts.container)
  if not status then return nil, message, code end
  if status == 0 then return true end
  return nil, ("podman could not remove image '%s'"):format(opts.container), "EENGINE"
end

local function flakes_of(opts, image)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  local names = {}
  for _, row in ipairs(rows) do
    if row.engine == "podman" and references.loses(row.image, opts.container, image) then
      table.insert(names, row.name)
    end
  end
  return names
end

local function remove_container(opts, ctx)
  local image, names, message, code, ok
  if not opts.root then
    image, message, code = store.of():image(opts.container)
    if not image and message then return nil, message, code end
  end
  names, message, code = flakes_of(opts, image)
  if not names then return nil, message, code end
  ok, message, code = remove_all(names, opts, ctx, function()
    -- An image that is gone already keeps no flake of it.
    if opts.root or not image and #names > 0 then return true end
    return remove_image(opts)
  end)
  if not ok then return nil, message, code end
  return 0
end

--- flake-ctl podman remove
return function(opts, ctx)
  if (opts.app == nil) == (opts.container == nil) then
    return nil, "remove needs either --app PATH or --container IMAGE", "EUSAGE"
  end
  if opts.app then return remove_app(opts, ctx) end
  return remove_container(opts, ctx)
end
