-- SPDX-License-Identifier: MIT
-- The VMs that run, and what flakes leave on disks.
local fs = require "flake.fs"
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

-- As state_key (src/state.c) writes a name.
local function encode(name)
  return (name:gsub("[^%w.-]", function(c) return ("_%02X"):format(c:byte()) end))
end

local function starts(text, with) return text:sub(1, #with) == with end

-- Of which kind is a file of the storage to that flake? "template", "overlay" or nil.
local function kind_of(file, flake)
  local template = file:match("^(.*)%-%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%.ext4$")
  if template == flake then return "template" end
  local key, name = file:match("^(.*)%.overlay$"), encode(flake)
  if key and (key == name or starts(key, name .. "__")) then return "overlay" end
end

--- Removes what a flake (its state_name) has in a directory: {template=, overlay=} says of what
-- kind; keep: the name of a file that stays.
function M.sweep(dir, flake, kinds, keep)
  for _, file in ipairs(fs.list(dir) or {}) do
    if file ~= keep and kinds[kind_of(file, flake) or ""] then fs.unlink(dir .. "/" .. file) end
  end
end

--- Removes all disks of a flake (as registry.find gives it) that the caller may remove, but the
-- template of the name keep.
function M.drop_disks(flake, keep)
  local dir = pilot.vm_storage()
  if dir then M.sweep(dir, flake.state_name, { template = true, overlay = true }, keep) end
end

return M
