-- SPDX-License-Identifier: MIT
-- What a VM flake needs of this host when flake-ctl import has registered it: its disk; and the
-- admin is told of its network. What an older flake of that name had goes.
local registry = require "flake.registry"
local vm = require "flake.vm"
local vm_disks = require "flake.vm_disks"
local compose = require "shipped.runtimes.firecracker.compose"
local engine = require "shipped.runtimes.firecracker.engine"
local instances = require "shipped.runtimes.firecracker.instances"
local network = require "shipped.runtimes.firecracker.network"

local function end_old(flake, ctx)
  local ok, message = instances.stop_all(flake, ctx.info.bindir .. "/flake-ctl")
  if not ok then
    ctx.err:write("flake-ctl: warning: a VM of the old flake still runs: ", message, "\n")
  end
  vm_disks.drop(flake)
end

--- Returns an exit code, or nil, message, code.
return function(name, opts, ctx)
  local flake, message, code = registry.find(name, opts)
  if not flake then return nil, message, code end
  local params, host = vm.params(flake), engine.look()
  local wanted = params.engine or "auto"
  local link = network.plan({ user = opts.user, run_as = flake.user, no_net = params.no_net,
    engine = wanted, host = host }, name, nil)
  if link and link.make then link.make, link.missing = false, true end
  for _, remark in ipairs { engine.remark(wanted, host) or false, network.remark(link) or false } do
    if remark then ctx.err:write("flake-ctl: warning: ", remark, "\n") end
  end
  if opts.force then end_old(flake, ctx) end
  if not params.overlay_size then return 0 end
  -- A template that is there may be of an older flake of that name, with other includes.
  return compose { name = name, user = opts.user, anew = true }
end
