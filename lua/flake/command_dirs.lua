-- SPDX-License-Identifier: MIT
-- Where commands belong, and which others they hide from a shell.
local fs = require "flake.fs"
local loader = require "flake.loader"
local places = require "flake.places"
local base = require("flake.text").base

local M = {}

-- As root's PATH has them.
local SYSTEM = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
  "/usr/local/games", "/usr/games", "/opt/bin" }

local IS_SYSTEM = {}
for _, dir in ipairs(SYSTEM) do IS_SYSTEM[dir] = true end

-- Of a user: a directory called bin below his home.
local function is_of_home(dir)
  local root = loader.user_root()
  local home = root and root:gsub("/%.flakes$", "")
  return home and dir:sub(1, #home + 1) == home .. "/" and base(dir) == "bin"
end

--- Is the path one of a directory of commands? opts: as for registry.dir.
-- Returns true, or nil, why not.
function M.check(path, opts)
  local dir = path:match("^(.*)/[^/]*$") or ""
  local clean = not (path .. "/"):find("//", 1, true) and not (path .. "/"):find("/%.%.?/")
  local known = IS_SYSTEM[dir] or dir:match("^/opt/[^/]+/s?bin$")
    or dir:match("^/opt/[^/]+/[^/]+/s?bin$") or opts.user and is_of_home(dir)
  if clean and known then return true end
  return nil, "is in no directory of commands"
end

--- The program of that name that a shell would find without the command, or nil.
-- opts: as for registry.dir, and prefix=what stands before the paths of commands.
function M.hides(path, opts)
  local dir, name, prefix = path:match("^(.*)/([^/]*)$"), base(path), opts.prefix or ""
  local own, behind = fs.realpath(prefix .. dir) or prefix .. dir, is_of_home(dir)
  for _, other in ipairs(SYSTEM) do
    behind = behind or other == dir
    local real = fs.realpath(prefix .. other)
    local there = ("%s%s/%s"):format(prefix, other, name)
    if behind and real and real ~= own and places.what_is_at(there) == "foreign" then
      return ("%s/%s"):format(other, name)
    end
  end
end

return M
