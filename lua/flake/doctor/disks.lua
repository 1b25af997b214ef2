-- SPDX-License-Identifier: MIT
-- What the doctor says of disks and saved VMs: those that no flake needs, and flakes without one.
local fs = require "flake.fs"
local loader = require "flake.loader"
local pilot = require "flake.pilot"
local vm = require "flake.vm"

local M = {}

local HASH = "%-" .. ("%x"):rep(16)

local KINDS = {
  { "^(.*)" .. HASH .. "%.ext4$", "disk" },
  { "^(.*)" .. HASH .. "%.snap$", "saved VM" },
  { "^(.*)" .. HASH .. "%.snap%.new$", "unfinished saved VM" },
}

-- The name of a flake in that of an overlay, encoded as src/state.c has it.
local function decode(key)
  local name = (key .. "__"):match("^(.-)__")
  return (name:gsub("_(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Of which flake (its state_name) is a file of the storage, and what is it? nil: not ours.
local function owner_of(file)
  for _, kind in ipairs(KINDS) do
    local flake = file:match(kind[1])
    if flake then return flake, kind[2] end
  end
  local key = file:match("^(.*)%.overlay$")
  -- Of one that was shortened nobody can tell.
  if key and #key < 200 then return decode(key), "disk" end
end

--- Disks and saved VMs in the caller's storage whose flake is gone. names: of all flakes, as set.
function M.check(add, names)
  local own = fs.geteuid() ~= 0
  if own and not loader.user_root() then return end
  local root = vm.root { user = own or nil }
  local dir = root and root .. "/storage"
  for _, file in ipairs(dir and fs.list(dir) or {}) do
    local flake, what = owner_of(file)
    local name = flake and flake:gsub("^~", "")
    if name and not names[name] then
      add("warning", ("there is no flake '%s' for its %s %s/%s"):format(name, what, dir, file),
        ("rm -r %s/%s"):format(dir, file))
    end
  end
end

--- A flake of which no booted VM is saved that its calls could restore. where: as for pilot.plan.
function M.check_saved(add, flake, where)
  if not vm.params(flake).snapshot then return end
  local plan = pilot.plan(flake.name, {}, where)
  if plan and not plan.user and plan.process then
    add("warning", ("flake '%s': no VM is saved of its definition and image as they are now")
      :format(flake.name), "register it again with --force --snapshot: until then calls boot a VM")
  end
end

return M
