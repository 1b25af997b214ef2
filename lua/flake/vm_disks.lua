-- SPDX-License-Identifier: MIT
-- The disks of VM flakes in the caller's storage: templates (NAME-HASH.ext4), saved VMs
-- (directories NAME-HASH.snap) and the overlays of VMs that stay (KEY.overlay).
local fs = require "flake.fs"
local pilot = require "flake.pilot"

local M = {}

local NAME_HASH = "^(.*)%-" .. ("%x"):rep(16)
local TEMPLATE = NAME_HASH .. "%.ext4$"
local SNAPSHOT, UNFINISHED = NAME_HASH .. "%.snap$", NAME_HASH .. "%.snap%.new$"
local OVERLAY = "^(.*)%.overlay$"

-- As state_key (src/state.c) writes a name.
local function encode(name)
  return (name:gsub("[^%w.-]", function(c) return ("_%02X"):format(c:byte()) end))
end

local function starts(text, with) return text:sub(1, #with) == with end

local function saved_of(file) return file:match(SNAPSHOT) or file:match(UNFINISHED) end

--- Is the file of that name a "template", a "snapshot" or an "overlay" of a flake (its state_name)?
-- nil: it is none.
function M.kind(file, flake)
  if file:match(TEMPLATE) == flake then return "template" end
  if saved_of(file) == flake then return "snapshot" end
  local key, name = file:match(OVERLAY), encode(flake)
  if key and (key == name or starts(key, name .. "__")) then return "overlay" end
end

--- Removes what a flake (its state_name) has in a directory: {template=, snapshot=, overlay=} says
-- of what kind; keep: the name of a file that stays.
function M.sweep(dir, flake, kinds, keep)
  for _, file in ipairs(fs.list(dir) or {}) do
    if file ~= keep and kinds[M.kind(file, flake) or ""] then
      fs.remove_tree(dir .. "/" .. file)
    end
  end
end

--- Removes all disks of a flake (as registry.find gives it) that the caller has, but the template
-- of the name keep.
function M.drop(flake, keep)
  local dir = pilot.vm_storage()
  if not dir then return end
  M.sweep(dir, flake.state_name, { template = true, snapshot = true, overlay = true }, keep)
end

-- The file's flake as its name says, or nil: it is no disk. Long keys end in a hash.
local function is_known(file, names)
  for name in pairs(names) do
    if M.kind(file, name) or #file > 180 and starts(file, encode(name):sub(1, 150)) then
      return true
    end
  end
  return false
end

--- Paths of the caller's disks of flakes that are gone. names: set of the state_names of all.
function M.orphans(names)
  local found, dir = {}, pilot.vm_storage()
  for _, file in ipairs(dir and fs.list(dir) or {}) do
    local is_disk = file:match(TEMPLATE) or saved_of(file) or file:match(OVERLAY)
    if is_disk and not is_known(file, names) then table.insert(found, dir .. "/" .. file) end
  end
  return found
end

return M
