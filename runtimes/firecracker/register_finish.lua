-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker register: what follows when the definition is written.
local registry = require "flake.registry"
local tap = require "flake.tap"
local vm = require "flake.vm"
local vm_disks = require "flake.vm_disks"
local instances = require "shipped.runtimes.firecracker.instances"
local network = require "shipped.runtimes.firecracker.network"
local snapshot = require "shipped.runtimes.firecracker.snapshot"
local template = require "shipped.runtimes.firecracker.template"

-- VMs of the definition that was replaced would outlive it, and their disks belong to it. The new
-- template stays.
local function end_old(old, flake, made, warn)
  local disk, link = made.disk, made.link
  if not old or old.engine ~= "firecracker" then return end
  local ok, message = instances.stop_all(old, made.ctl)
  if not ok then warn(("a VM of the old flake still runs: %s"):format(message)) end
  local keep
  if disk then keep = select(2, template.place(disk)) end
  vm_disks.drop(old, keep)
  local device = network.made_by(old)
  if device and device ~= vm.params(flake).tap then tap.drop(device) end
  ok, message = network.renew(link, old)
  if not ok then warn(message) end
end

--- Ends what the old flake had; saves a booted VM of the new one. A flake for which that fails is
-- taken back. old: the flake that was replaced, or nil; made: {disk=as for template.ensure, or nil,
-- link=of network.plan, or nil, ctl=path of flake-ctl}.
-- Returns true, or nil, message, code.
return function(opts, name, old, made, warn)
  if opts.root then return true end
  local flake, message, code = registry.find(name, opts)
  if not flake then return nil, message, code end
  end_old(old, flake, made, warn)
  if not opts.snapshot then return true end
  local ok
  ok, message, code = snapshot(name, opts)
  if ok then return true end
  registry.remove(name, { user = opts.user, force = true })
  return nil, message, code
end
