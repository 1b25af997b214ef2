-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker register: what follows when the definition is written.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local registry = require "flake.registry"
local tap = require "flake.tap"
local vm = require "flake.vm"
local instances = require "shipped.runtimes.firecracker.instances"
local network = require "shipped.runtimes.firecracker.network"

-- VMs of the definition that was replaced would outlive it, and their disks belong to it.
local function end_old(old, flake, warn)
  if not old or old.engine ~= "firecracker" then return end
  local rows = instances.list(old.state_name)
  local ok, message = instances.stop(rows or {})
  if not ok then warn(("a VM of the old flake still runs: %s"):format(message)) end
  instances.sweep(old.state_name, { template = true, overlay = true })
  local made = network.made_by(old)
  if made and made ~= vm.params(flake).tap then tap.drop(made) end
end

-- Is it the caller who launches it?
local function is_callers(opts, flake)
  local me = fs.user(fs.geteuid())
  return opts.user or not flake.user or me ~= nil and flake.user == me.name
end

local function snapshot(name, opts)
  local where, message, code = registry.where(opts)
  local plan
  if where then plan, message, code = pilot.plan(name, {}, where) end
  if not plan then return nil, message, code end
  return pilot.vm_snapshot(plan)
end

local function make_disks(opts, ctx, flake)
  local ok, message, code = true, nil, nil
  if opts.overlay_size and is_callers(opts, flake) then
    ok, message, code = require("shipped.runtimes.firecracker.compose")({ name = flake.name,
      user = opts.user }, ctx)
  end
  if ok and opts.snapshot then ok, message, code = snapshot(flake.name, opts) end
  return ok and true, message, code
end

--- Ends what the old flake had, makes the disks of the new one. A new flake for which that fails is
-- taken back. old: the flake that was replaced, or nil.
-- Returns true, or nil, message, code.
return function(opts, ctx, name, old, warn)
  if opts.root then return true end
  local flake, message, code = registry.find(name, opts)
  if not flake then return nil, message, code end
  end_old(old, flake, warn)
  local ok
  ok, message, code = make_disks(opts, ctx, flake)
  if not ok then
    registry.remove(name, { user = opts.user, force = true })
    instances.sweep(flake.state_name, { template = true })
    return nil, message, code
  end
  return true
end
