-- SPDX-License-Identifier: MIT
-- Lets the Lua of a spec believe what it likes of VMs: those that run, KVM, the caller's storage.
local fs = require "flake.fs"
local pilot = require "flake.pilot"

local M = {}

local NAMES = { "kvm", "vm_storage", "vm_instances", "vm_stop", "vm_snapshot" }

--- place: where the storage is. Returns what may be changed: {kvm=, why=, instances={…},
-- stopped={keys}, snapshots={plans}, snapshot_error=}
function M.pretend(place)
  local state = { kvm = true, instances = {}, stopped = {}, snapshots = {} }
  M.saved = {}
  for _, name in ipairs(NAMES) do M.saved[name] = pilot[name] or false end
  -- Until the core has them.
  pilot.size = pilot.size or function(text)
    local units = { [""] = 1, B = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40,
      KIB = 1 << 10, MIB = 1 << 20, GIB = 1 << 30, TIB = 1 << 40, KB = 1000, MB = 1000000,
      GB = 1000000000, TB = 1000000000000 }
    local number, unit = text:upper():match("^([%d.]+) ?(%a*)$")
    return number and units[unit] and math.tointeger(tonumber(number) * units[unit] // 1)
  end
  pilot.vm_template = pilot.vm_template or function(name, size, includes)
    local sum = require("flake.digest").sha256(size .. table.concat(includes, "\n")):sub(1, 16)
    return ("%s-%s.ext4"):format(name, sum)
  end
  pilot.kvm = function() return state.kvm, state.why end
  pilot.vm_storage = function()
    local dir = place.root .. "/var/lib/firecracker/storage"
    assert(fs.mkdir_p(dir))
    return dir
  end
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
