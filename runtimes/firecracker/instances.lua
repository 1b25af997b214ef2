-- SPDX-License-Identifier: MIT
-- The VMs that run.
local pilot = require "flake.pilot"

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

return M
