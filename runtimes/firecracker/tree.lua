-- SPDX-License-Identifier: MIT
-- A root file system of archives, with the owners and modes that they say, whoever unpacks them:
-- the tree has the content only; what differs from the archives' entries is set in the finished
-- file system, by inode numbers.
local archive = require "flake.archive"
local e2fs = require "flake.e2fs"

local M = {}

local SETTABLE = { file = 8, directory = 4, symlink = 10 }
local BLOCK = 4096

-- Without "./" in front, without slashes around.
local function plain(path)
  path = path:gsub("/+", "/"):gsub("^/", "")
  while path:sub(1, 2) == "./" do path = path:sub(3) end
  path = path:gsub("/%./", "/"):gsub("/%.?$", "")
  return path == "." and "" or path
end

--- Unpacks an archive below dir. entries: what is known of the files so far, by path below the
-- tree, which is completed; prefix: of dir in the tree ("" or "NAME/").
-- Returns the entries, or nil, message, code.
function M.unpack(file, dir, entries, prefix)
  local members, message, code = archive.list(file)
  if not members then return nil, message, code end
  local ok
  ok, message, code = archive.extract(file, dir, { foreign_root = true, sparse = true })
  if not ok then return nil, message, code end
  for _, member in ipairs(members) do
    local kind = SETTABLE[member.type]
    local path = kind and plain(member.path)
    if path and path ~= "" then
      entries[prefix .. path] = { mode = kind << 12 | member.mode, uid = member.uid,
        gid = member.gid, size = member.size }
    end
  end
  return entries
end

--- Bytes and inodes that the entries need in a file system.
function M.measure(entries)
  local bytes, inodes = 0, 0
  for _, entry in pairs(entries) do
    inodes = inodes + 1
    bytes = bytes + (entry.size + BLOCK - 1) // BLOCK * BLOCK
    if entry.mode >> 12 == SETTABLE.directory then bytes = bytes + BLOCK end
  end
  return bytes + inodes * 256, inodes
end

-- The commands that make one file what its entry says. Without entry (a directory of which the
-- archive says nothing): root's.
local function correct(commands, there, entry)
  local function set(field, value)
    table.insert(commands, ("set_inode_field <%d> %s %s"):format(there.ino, field, value))
  end
  local uid, gid = entry and entry.uid or 0, entry and entry.gid or 0
  if there.uid ~= uid then set("uid", ("%d"):format(uid)) end
  if there.gid ~= gid then set("gid", ("%d"):format(gid)) end
  -- A link's mode is always 0777, and an entry of another type was replaced by a later one.
  if entry and entry.mode >> 12 == there.mode >> 12 and entry.mode >> 12 ~= SETTABLE.symlink
    and entry.mode ~= there.mode then
    set("mode", ("0%o"):format(entry.mode))
  end
end

--- Gives all files of the file system the owners and modes of the entries.
-- Returns true, or nil, message, code.
function M.settle(image, entries)
  local files, message, code = e2fs.walk(image)
  if not files then return nil, message, code end
  local commands, done = {}, {}
  -- Of names of one file (hard links) the one with an entry decides.
  for path, entry in pairs(entries) do
    local there = files[path]
    if there and not done[there.ino] then
      done[there.ino] = true
      correct(commands, there, entry)
    end
  end
  for _, there in pairs(files) do
    if not done[there.ino] then
      done[there.ino] = true
      correct(commands, there)
    end
  end
  if #commands == 0 then return true end
  local text
  text, message, code = e2fs.debugfs(image, commands, { write = true })
  return text and true, message, code
end

return M
