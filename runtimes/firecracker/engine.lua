-- SPDX-License-Identifier: MIT
-- Which engine would run a VM on this host.
local pilot = require "flake.pilot"
local process = require "flake.process"

local M = {}

local function qemu()
  local machine = require("flake.vm").machine()
  return process.which("qemu-system-" .. machine)
end

--- What this host can do: {kvm=, why=why not, firecracker=path, qemu=path}.
function M.look()
  local kvm, why = pilot.kvm()
  return { kvm = kvm, why = why, firecracker = process.which("firecracker"), qemu = qemu() }
end

--- The engine that a flake gets: "firecracker" or "qemu". wanted: as in its definition.
function M.choose(wanted, host)
  if wanted ~= "auto" then return wanted end
  return host.kvm and host.firecracker and "firecracker" or "qemu"
end

--- What is to be said of it at register, or nil.
function M.remark(wanted, host)
  local chosen = M.choose(wanted, host)
  if chosen == "firecracker" and not host.firecracker then
    return "firecracker is not installed: the flake will not start"
  elseif chosen == "firecracker" and not host.kvm then
    return ("no KVM here (%s): Firecracker will not start"):format(host.why or "no reason known")
  elseif chosen == "qemu" and not host.qemu then
    return "QEMU is not installed: the flake will not start (install qemu-system-x86)"
  elseif chosen == "qemu" and not host.kvm then
    return ("no KVM here (%s): QEMU will emulate the VM, which is slow")
      :format(host.why or "no reason known")
  end
end

--- Can a snapshot of a booted VM be made? Returns true, or nil, message, "EUSAGE".
function M.check_snapshot(wanted, host)
  local why
  if M.choose(wanted, host) == "qemu" and (wanted == "qemu" or host.firecracker and host.kvm) then
    why = "qemu cannot save a booted VM: only Firecracker can"
  elseif not host.firecracker then
    why = "qemu cannot save a booted VM, and firecracker is not installed"
  elseif not host.kvm then
    why = ("qemu cannot save a booted VM, and Firecracker needs KVM (%s)")
      :format(host.why or "no reason known")
  end
  if why then return nil, "--snapshot: " .. why, "EUSAGE" end
  return true
end

return M
