-- SPDX-License-Identifier: MIT
-- The caller's own flakes beside the system's.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local process = require "flake.process"

local M = {}

local function system_flake(name)
  return pilot.load(name, { dir = pilot.flakes_dir() })
end

--- Does the system's flake of that name or command keep the caller's own from being called?
function M.is_hidden(name)
  local flake, _, code = system_flake(name)
  if flake then return not flake.user_may_override end
  return code ~= "ENOENT"
end

--- May the caller have an own flake of these names? def as for registry.register.
-- Returns true, or nil, message, "EDENIED".
function M.may_register(def)
  local names = { def.name }
  for _, app in ipairs(def.apps) do table.insert(names, app.path:match("([^/]*)$")) end
  for _, name in ipairs(names) do
    if M.is_hidden(name) then
      return nil, ("'%s' is a flake of the system, which wins over yours: take another name, or ask"
        .. " the admin for user_may_override in its definition"):format(name), "EDENIED"
    end
  end
  return true
end

--- Does the shell find commands in that directory?
function M.on_path(dir)
  local real = fs.realpath(dir) or dir
  for entry in (process.getenv("PATH") or ""):gmatch("[^:]+") do
    if entry == dir or fs.realpath(entry) == real then return true end
  end
  return false
end

--- What to do when it does not.
function M.path_remedy(dir)
  return ('log in again, or add to ~/.profile: PATH="%s:$PATH"'):format(dir)
end

return M
