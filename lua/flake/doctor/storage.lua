-- SPDX-License-Identifier: MIT
-- Where podman 5.8 and later have the stores of ordinary users: where storage.conf says, which was
-- root's alone before.
local config = require "flake.doctor.config"
local fs = require "flake.fs"
local version_less = require("flake.image").version_less
local process = require "flake.process"

local M = {}

local SINCE = "5.8"

-- Adds the last line of a file that sets graphroot to found: {file=, line=, value=}.
local function read_graphroot(file, found)
  local number = 0
  for line in ((fs.read(file) or "") .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local value = line:match("^%s*graphroot%s*=%s*[\"']([^\"']*)[\"']")
    if value then found.file, found.line, found.value = file, number, value end
  end
end

-- The one file that counts of those called storage.conf, then all fragments: {{path=, mine=}, …}.
-- mine: of users only, so that root's store is none of its matters.
local function files_of(dirs)
  local files = {}
  for i = #dirs, 1, -1 do
    local path = dirs[i] .. "/storage.conf"
    if fs.stat(path) then
      files[1] = { path = path, mine = i > 2 }
      break
    end
  end
  for i, dir in ipairs(dirs) do
    for _, kind in ipairs { "storage.conf.d", "storage.rootless.conf.d" } do
      for _, name in ipairs(fs.list(("%s/%s"):format(dir, kind)) or {}) do
        table.insert(files, { path = ("%s/%s/%s"):format(dir, kind, name),
          mine = i > 2 or kind ~= "storage.conf.d" })
      end
    end
  end
  return files
end

--- The line that sends ordinary users to root's store: {file=, line=, value=}; nil: there is none.
function M.misplaced(dirs)
  local found, mine = {}, false
  for _, file in ipairs(files_of(dirs)) do
    local before = found.line and found.file .. found.line
    read_graphroot(file.path, found)
    if found.line and found.file .. found.line ~= before then mine = file.mine end
  end
  -- With a variable in it each user has a store of his own.
  if not found.file or mine or found.value:find("$", 1, true) then return nil end
  return found
end

--- Adds a finding where podman is of that version. info: of the engine; dirs: where the
-- configuration is, the user's own third.
function M.check(add, info, dirs)
  if not info.version or version_less(info.version, SINCE) then return end
  if process.getenv("CONTAINERS_STORAGE_CONF") then return end
  local line = M.misplaced(dirs or config.dirs())
  local user = fs.getuid() ~= 0
  if not line or user and fs.access(line.value, "w") then return end
  add(user and "serious" or "warning", ("%s:%d: graphroot = \"%s\" counts for ordinary users, too, "
    .. "since podman %s: their flakes cannot have that store"):format(line.file, line.line,
      line.value, SINCE),
    "as root: move the line, below [storage], to /etc/containers/storage.rootful.conf.d/root.conf")
end

return M
