-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker remove: one flake, or an image with all its flakes.
local base = require("flake.text").base
local fs = require "flake.fs"
local quote = require("flake.text").quote
local registering = require "flake.registering"
local registry = require "flake.registry"
local tap = require "flake.tap"
local vm = require "flake.vm"
local vm_disks = require "flake.vm_disks"
local instances = require "shipped.runtimes.firecracker.instances"
local network = require "shipped.runtimes.firecracker.network"

local function busy(flake, sudo)
  return nil, ("flake '%s' has running VMs: %sflake-ctl firecracker stop %s, or --force")
    :format(flake.name, sudo, quote(flake.name)), "EBUSY"
end

local function end_instances(flake, opts, ctx)
  local rows, message, code = instances.list(flake.state_name)
  if not rows then return nil, message, code end
  if #rows > 0 and not opts.force then return busy(flake, "") end
  for _, user in ipairs(instances.others(flake, ctx.info.bindir .. "/flake-ctl")) do
    if not opts.force then return busy(flake, ("sudo --user=%s "):format(user.name)) end
    local ok
    ok, message, code = user.stop()
    if not ok then return nil, message, code end
  end
  return instances.stop(rows)
end

-- What belongs to the flake alone. That something of it stays is no reason for the flake to stay.
local function drop_rest(flake, warn)
  vm_disks.drop(flake)
  local made = network.made_by(flake)
  if not made then return end
  local ok, message = tap.drop(made)
  if not ok then warn(("the network device %s stays: %s"):format(made, message)) end
end

-- after: what follows when nothing refuses any more, and before anything is removed.
local function remove_flake(name, opts, ctx, after)
  local flake = not opts.root and registry.find(name, opts) or nil
  local function warn(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end
  local function prepare()
    local ok, message, code = true, nil, nil
    if flake then ok, message, code = end_instances(flake, opts, ctx) end
    if ok and after then ok, message, code = after() end
    return ok, message, code
  end
  local ok, message, code = registry.remove(name, { root = opts.root, user = opts.user,
    force = opts.force, app = opts.app, prepare = prepare, warn = warn })
  if ok and flake then drop_rest(flake, warn) end
  return ok, message, code
end

local function remove_app(opts, ctx)
  local name = base(opts.app)
  local ok, message, code = registering.check_engine(registry.find(name, opts), "firecracker")
  if ok then ok, message, code = remove_flake(name, opts, ctx) end
  if not ok then return nil, message, code end
  return 0
end

-- All flakes are asked, then they go: where something refuses, nothing is gone.
local function remove_all(flakes, opts, ctx, i)
  local flake = flakes[i or 1]
  if not flake then return true end
  return remove_flake(flake.name, opts, ctx, function()
    return remove_all(flakes, opts, ctx, (i or 1) + 1)
  end)
end

-- Whole from one moment to the next: it loses its name first.
local function remove_image(images, name)
  local holder <close>, why, reason = fs.temp_dir { dir = images, prefix = ".making" }
  if not holder then return nil, why, reason end
  return fs.rename(images .. "/" .. name, holder:path() .. "/old")
end

local function users_of(opts, dir, there)
  local flakes, message, code = vm.flakes_of(opts.vm, dir, opts)
  if there or not opts.user or not flakes or #flakes > 0 then return flakes, message, code end
  -- Own flakes may use an image of the system, which stays.
  return vm.flakes_of(opts.vm, ("%s/%s"):format(vm.images_dir({}), opts.vm), opts)
end

local function remove_vm(opts, ctx)
  local images, message, code = vm.images_dir(opts)
  if not images then return nil, message, code end
  local dir = images .. "/" .. opts.vm
  local there = fs.lstat(dir)
  local flakes
  flakes, message, code = users_of(opts, dir, there)
  if not flakes then return nil, message, code end
  if not there and #flakes == 0 then
    return nil, ("there is no image '%s'"):format(opts.vm), "ENOENT"
  end
  local ok
  ok, message, code = remove_all(flakes, opts, ctx)
  if ok and there then ok, message, code = remove_image(images, opts.vm) end
  if not ok then return nil, message, code end
  return 0
end

--- flake-ctl firecracker remove
return function(opts, ctx)
  if (opts.app == nil) == (opts.vm == nil) then
    return nil, "remove needs either --app PATH or --vm IMAGE", "EUSAGE"
  end
  return (opts.app and remove_app or remove_vm)(opts, ctx)
end
