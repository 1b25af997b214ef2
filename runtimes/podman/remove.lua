-- SPDX-License-Identifier: MIT
-- flake-ctl podman remove: one flake, or an image with all its flakes.
local composed = require "shipped.runtimes.podman.compose_store"
local instances = require "shipped.runtimes.podman.instances"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local references = require "flake.references"
local registering = require "flake.registering"
local registry = require "flake.registry"
local store = require "flake.store"
local base = require("flake.text").base
local quote = require("flake.text").quote
local reason = require("flake.text").reason

local function stays(app)
  return app.resume or app.attach
end

-- Stops what another user runs, with that user's state.
local function stop_of(place, flake, ctx)
  local result, message, code = place:tool { ctx.info.bindir .. "/flake-ctl", "podman", "stop",
    flake.name }
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, reason(result), "EENGINE"
end

local function end_instances_of(place, user, flake, opts, ctx)
  local rows, message, code = instances.list(flake.name, place)
  if not rows then return nil, message, code end
  if #rows == 0 then return true end
  if not opts.force then
    local sudo = #place.prefix > 0 and ("sudo --user=%s "):format(quote(user)) or ""
    return nil, ("flake '%s' has running instances: %sflake-ctl podman stop %s, or --force")
      :format(flake.name, sudo, quote(flake.name)), "EBUSY"
  end
  if #place.prefix > 0 then return stop_of(place, flake, ctx) end
  return instances.stop(rows)
end

-- An instance that stays in the background would outlive its flake. A user who is gone has none.
local function end_instances(flake, opts, ctx)
  if opts.root or not flake then return true end
  for _, user in ipairs(references.users(flake, stays)) do
    local place = store.of(user or nil)
    if place then
      local ok, message, code = end_instances_of(place, user, flake, opts, ctx)
      if not ok then return nil, message, code end
    end
  end
  return true
end

-- Composed images of the caller and of those whom the flake runs as.
local function drop_composed(flake)
  composed.drop(flake.state_name)
  local name = pilot.composed_name(flake.state_name)
  for _, user in ipairs(references.users(flake)) do
    local place = user and store.of(user)
    local other = place and #place.prefix > 0
    local text = other and place:podman { "images", "--format", "{{.Repository}}:{{.Tag}}", name }
    for image in (text or ""):gmatch("%S+") do place:podman { "rmi", image } end
  end
end

-- after: what follows when nothing refuses any more, and before anything is removed. Composed
-- images go first: they hold the image of which they are made, and can be made again.
local function remove_flake(name, opts, ctx, after)
  local function prepare()
    local flake = registry.find(name, opts)
    local ok, message, code = end_instances(flake, opts, ctx)
    if ok and flake and not opts.root and composed.is_composed(flake) then drop_composed(flake) end
    if ok and after then ok, message, code = after() end
    return ok, message, code
  end
  return registry.remove(name, { root = opts.root, user = opts.user, force = opts.force,
    app = opts.app, prepare = prepare,
    warn = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end })
end

local function remove_app(opts, ctx)
  local name = base(opts.app)
  local ok, message, code = registering.check_engine(registry.find(name, opts), "podman")
  if ok then ok, message, code = remove_flake(name, opts, ctx) end
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

-- The image in a user's store (false: the caller's): {place=, image=what the store knows}.
local function look(known, user, opts)
  if known[user] == nil then
    local place = not opts.root and store.of(user or nil) or nil
    local image, message, code
    if place then image, message, code = place:image(opts.container) end
    known[user] = { place = place, image = image, message = message, code = code }
  end
  return known[user]
end

-- The image goes from the stores of all flakes that go, last from the caller's.
local function remove_image(opts, known, names)
  local how = opts.force and "--force" or "--"
  for user, one in pairs(known) do
    if user and one.lost and one.image and #one.place.prefix > 0 then
      local ok, message, code = one.place:podman { "image", "rm", how, opts.container }
      if not ok then return nil, message, code end
    end
  end
  -- An image that is gone already keeps no flake of it.
  if not known[false].image and #names > 0 then return true end
  local status, message, code = podman.run("image", "rm", how, opts.container)
  if not status then return nil, message, code end
  if status == 0 then return true end
  return nil, ("podman could not remove image '%s'"):format(opts.container), "EENGINE"
end

-- Does the flake need the image, be it as base or layer, in one of the stores that it uses?
local function loses(flake, opts, known)
  local found = false
  for _, reference in ipairs(references.collect { flake }) do
    local one = look(known, reference.user or false, opts)
    if references.loses(reference.name, opts.container, one.image) then
      found, one.lost = true, true
    end
  end
  return found
end

local function flakes_of(opts, known)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  local names = {}
  for _, row in ipairs(rows) do
    local flake = row.engine == "podman" and registry.find(row.name, opts)
    if flake and loses(flake, opts, known) then table.insert(names, row.name) end
  end
  return names
end

local function remove_container(opts, ctx)
  local known = {}
  local mine = look(known, false, opts)
  if mine.message then return nil, mine.message, mine.code end
  local names, message, code = flakes_of(opts, known)
  if not names then return nil, message, code end
  local ok
  ok, message, code = remove_all(names, opts, ctx, function()
    if opts.root then return true end
    return remove_image(opts, known, names)
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
