-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker compose: the template of a flake's disk; the pilot calls it when there is
-- none.
local registry = require "flake.registry"
local vm = require "flake.vm"
local vm_disks = require "flake.vm_disks"
local snapshot = require "shipped.runtimes.firecracker.snapshot"
local template = require "shipped.runtimes.firecracker.template"

-- What was saved has the disk of before.
local function save_again(flake, params, opts)
  if not params.snapshot or not opts.force then return 0 end
  local ok, message, code = snapshot(flake.name, opts)
  if not ok then return nil, message, code end
  return 0
end

local function make_template(flake, params, anew)
  local job = { name = flake.name, state_name = flake.state_name,
    size = params.overlay_size, rootfs = params.rootfs, includes = params.includes }
  local ok, message, code = template.ensure(job, anew)
  if not ok then return nil, message, code end
  local dir, name = template.place(job)
  vm_disks.sweep(dir, flake.state_name, { template = true }, name)
  return true
end

--- flake-ctl firecracker compose. opts.force: anew; opts.anew: the same, and no VM is saved.
return function(opts)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if flake.engine ~= "firecracker" then
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local params = vm.params(flake)
  if not params.overlay_size and not params.snapshot then
    return nil, ("flake '%s' has no overlay size: there is nothing to compose")
      :format(flake.name), "EUSAGE"
  end
  local ok = true
  if params.overlay_size then
    ok, message, code = make_template(flake, params, opts.force or opts.anew)
  end
  if not ok then return nil, message, code end
  return save_again(flake, params, opts)
end
