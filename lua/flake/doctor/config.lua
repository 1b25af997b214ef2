-- SPDX-License-Identifier: MIT
-- What podman's configuration says: containers.conf(5) and what is beside it.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

-- A file of that name and its fragments, in directories of rising rank.
local function with_fragments(files, dir, name)
  table.insert(files, ("%s/%s"):format(dir, name))
  for _, fragment in ipairs(fs.list(("%s/%s.d"):format(dir, name)) or {}) do
    if fragment:match("%.conf$") then
      table.insert(files, ("%s/%s.d/%s"):format(dir, name, fragment))
    end
  end
end

--- Where podman looks, lowest rank first.
function M.dirs()
  local user = fs.user(fs.getuid())
  local dirs = { "/usr/share/containers", "/etc/containers" }
  if user and user.uid ~= 0 then table.insert(dirs, user.home .. "/.config/containers") end
  return dirs
end

--- The files of containers.conf that count for the caller; later ones win.
function M.files()
  local only = process.getenv("CONTAINERS_CONF")
  if only then return { only } end
  local files = {}
  for _, dir in ipairs(M.dirs()) do with_fragments(files, dir, "containers.conf") end
  return files
end

--- The text of a file without its comments, each line behind a line break.
function M.text(file)
  return (("\n" .. (fs.read(file) or "")):gsub("\n%s*#[^\n]*", "\n"))
end

--- What containers.conf sets a key to, if that is a text in quotes; nil: nobody sets it.
function M.value(key)
  local value
  for _, file in ipairs(M.files()) do
    value = M.text(file):match("\n[ \t]*" .. key .. "[ \t]*=[ \t]*[\"']([^\"'\n]*)[\"']") or value
  end
  return value
end

return M
