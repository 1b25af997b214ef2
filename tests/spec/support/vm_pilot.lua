-- SPDX-License-Identifier: MIT
-- Lets the Lua of a spec believe what it likes of VMs: those that run, KVM, the caller's storage.
local fs = require "flake.fs"
local pilot = require "flake.pilot"

local M = {}

local NAMES = { "kvm", "vm_storage", "vm_instances", "vm_stop", "vm_snapshot", "plan" }

--- place: where the storage is. Returns what may be changed: {kvm=, why=, instances={…},
-- stopped={keys}, snapshots={plans}, snapshot_error=}
function M.pretend(place)
  local state = { kvm = true, instances = {}, stopped = {}, snapshots = {} }
  M.saved = {}
  for _, name in ipairs(NAMES) do M.saved[name] = pilot[name] or false end
  pilot.kvm = function() return state.kvm, state.why end
  pilot.vm_storage = function()
    local dir = place.root .. "/var/lib/firecracker/storage"
    assert(fs.mkdir_p(dir))
    return dir
  end
  pilot.plan = function(name) return { flake = name } end
  pilot.vm_instances = function() return state.instances end
  pilot.vm_stop = function(key)
    table.insert(state.stopped, key)
    return true
  end
  pilot.vm_snapshot = function(plan)
    table.insert(state.snapshots, plan)
    if state.snapshot_error then return nil, state.snapshot_error, "EENGINE" end
    return true
  end
  return state
end

--- Back to the truth.
function M.leave()
  for name, original in pairs(M.saved or {}) do pilot[name] = original or nil end
  M.saved = nil
end

return M
