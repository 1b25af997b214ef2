-- SPDX-License-Identifier: MIT
-- The VMs that run.
local json = require "dkjson"
local pilot = require "flake.pilot"
local reason = require("flake.text").reason
local references = require "flake.references"
local store = require "flake.store"
local vm_disks = require "flake.vm_disks"

local M = {}

--- Running VMs of the caller, or of one flake (its state_name), sorted: array of {key=, flake=,
-- instance=, engine=, pid=, overlay=}; or nil, message, code.
function M.list(flake)
  local all, message, code = pilot.vm_instances()
  if not all then return nil, message, code end
  local rows = {}
  for _, row in ipairs(all) do
    if not flake or row.flake == flake then table.insert(rows, row) end
  end
  table.sort(rows, function(a, b) return a.key < b.key end)
  return rows
end

--- Ends VMs cleanly. Returns true, or nil, message, code of the first that could not be ended.
function M.stop(rows)
  local failure
  for _, row in ipairs(rows) do
    local ok, message, code = pilot.vm_stop(row.key)
    if not ok then failure = failure or { message, code } end
  end
  if failure then return nil, table.unpack(failure) end
  return true
end

-- How many VMs of a flake another user has; 0 where nobody may ask.
local function count(place, ctl, flake)
  local result = place:tool { ctl, "firecracker", "show", "--format", "json" }
  local rows = result and result.code == 0 and json.decode(result.stdout)
  local n = 0
  for _, row in ipairs(type(rows) == "table" and rows or {}) do
    -- Own flakes of that user may have the name, too; keys tell them apart.
    if vm_disks.kind(tostring(row.key) .. ".overlay", flake.state_name) then n = n + 1 end
  end
  return n
end

--- The users other than the caller whom the flake runs as and who have VMs of it that run:
-- array of {name=, stop=function() that ends them and returns true, or nil, message, code}.
-- ctl: path of flake-ctl.
function M.others(flake, ctl)
  local found = {}
  for _, user in ipairs(references.users(flake)) do
    local place = user and store.of(user)
    if place and #place.prefix > 0 and count(place, ctl, flake) > 0 then
      table.insert(found, { name = user, stop = function()
        local result, message, code = place:tool { ctl, "firecracker", "stop", flake.name }
        if not result then return nil, message, code end
        if result.code == 0 then return true end
        return nil, reason(result), "EENGINE"
      end })
    end
  end
  return found
end

--- Ends all VMs of a flake, the caller's and those of the users whom it runs as.
-- Returns true, or nil, message, code.
function M.stop_all(flake, ctl)
  local ok, message, code = M.stop(M.list(flake.state_name) or {})
  for _, user in ipairs(M.others(flake, ctl)) do
    if ok then ok, message, code = user.stop() end
  end
  return ok, message, code
end

return M
