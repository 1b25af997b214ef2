-- SPDX-License-Identifier: MIT
-- Lets the Lua of a spec believe that a normal user or root runs it, whoever does. C sees the real
-- one.
local fs = require "flake.fs"

local M = {}

local NAMES = { "getuid", "geteuid", "user", "trusted" }

local function save()
  M.saved = {}
  for _, name in ipairs(NAMES) do M.saved[name] = fs[name] end
end

--- From now on the caller has root's rights. Root trusts this tree, whatever its owner's umask was.
function M.gain_root()
  fs.geteuid = function() return 0 end
  fs.trusted = function() return true end
end

--- From now on the caller is root.
function M.become_root()
  save()
  fs.getuid = function() return 0 end
  M.gain_root()
end

--- From now on the caller is joe, uid 4711, with a home below the place. Returns the home.
function M.become(place)
  local home = place.root .. "/home/joe"
  local joe = { name = "joe", uid = 4711, gid = 4711, home = home, shell = "/bin/sh" }
  assert(fs.mkdir_p(home))
  save()
  fs.getuid = function() return joe.uid end
  fs.geteuid = fs.getuid
  fs.user = function(who)
    if who == joe.uid or who == joe.name then return joe end
    return M.saved.user(who)
  end
  return home
end

--- Back to who it was.
function M.leave()
  for name, original in pairs(M.saved or {}) do fs[name] = original end
  M.saved = nil
end

return M
