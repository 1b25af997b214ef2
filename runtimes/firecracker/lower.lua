-- SPDX-License-Identifier: MIT
-- Included files lie over the image's: their directories must be where the image has them, be it
-- behind a link (/lib -> usr/lib), and must not change what the image's directories are.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"

local M = {}

local DIRECTORY, SYMLINK = 4, 10
local MAX_LINKS = 40

-- Without "." and ".." parts.
local function normal(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then table.remove(parts) elseif part ~= "." then table.insert(parts, part) end
  end
  return table.concat(parts, "/")
end

-- Where a link of the image leads, from its root; nil: that cannot be told.
local function target_of(image, files, path)
  local text = e2fs.debugfs(image, { ("stat <%d>"):format(files[path].ino) })
  local target = text and text:match('Fast link dest: "([^\n]*)"')
  if not target then return nil end
  if target:sub(1, 1) == "/" then return normal(target) end
  return normal((path:match("^(.*)/") or "") .. "/" .. target)
end

-- Moves a directory's content to another place in the tree, over what is there.
local function merge(upper, from, to)
  local there, st = upper:lstat(to), upper:lstat(from)
  if not there then
    local ok, message, code = upper:mkdir_p(to:match("^(.*)/") or "")
    if not ok then return nil, message, code end
    return upper:rename(from, to)
  end
  if there.type ~= "directory" or st.type ~= "directory" then
    local ok, message, code = upper:remove(to)
    if not ok then return nil, message, code end
    return upper:rename(from, to)
  end
  for _, name in ipairs(upper:list(from) or {}) do
    local ok, message, code = merge(upper, from .. "/" .. name, to .. "/" .. name)
    if not ok then return nil, message, code end
  end
  return upper:rmdir(from)
end

-- The first link of the included files on the way to a path; nil: there is none.
local function link_on_way(upper, path)
  for at in path:gmatch("()/") do
    local st = upper:lstat(path:sub(1, at - 1))
    if st and st.type == "symlink" then return path:sub(1, at - 1) end
  end
end

-- The entries of what has moved.
local function rename_entries(entries, from, to)
  local moved = {}
  for path, entry in pairs(entries) do
    if path == from then
      moved[path] = false
    elseif path:sub(1, #from + 1) == from .. "/" then
      moved[path] = to .. path:sub(#from + 1)
      moved[moved[path]] = moved[moved[path]] or entry
    end
  end
  for path, new in pairs(moved) do
    if type(new) == "table" then entries[path] = new else entries[path] = nil end
  end
end

-- Directories of the tree, parents first, as paths from the root.
local function directories(upper, below, list)
  for _, name in ipairs(upper:list(below) or {}) do
    local path = below == "" and name or below .. "/" .. name
    local st = upper:lstat(path)
    if st and st.type == "directory" then
      table.insert(list, path)
      directories(upper, path, list)
    end
  end
  return list
end

-- The first directory in the place of a link of the image; nil: there is none any more.
local function first_behind_link(files, upper)
  for _, path in ipairs(directories(upper, "", {})) do
    local there = files[path]
    if there and there.mode >> 12 == SYMLINK then return path end
  end
end

local function follow_links(image, files, upper, entries, prefix)
  for _ = 1, MAX_LINKS do
    local path = first_behind_link(files, upper)
    if not path then return true end
    local target = target_of(image, files, path)
    if not target or target == "" or target == path then
      return nil, ("the image's link /%s is in the way of included files"):format(path), "EIMAGE"
    end
    local link = link_on_way(upper, target)
    if link then
      return nil, ("included files behind the image's link /%s would go through the included link "
        .. "/%s"):format(path, link), "EIMAGE"
    end
    local ok, message, code = merge(upper, path, target)
    if not ok then return nil, message, code end
    rename_entries(entries, prefix .. path, prefix .. target)
  end
  return nil, "too many links of the image are in the way of included files", "EIMAGE"
end

--- Makes the tree in the directory dir fit over an image. entries: as of tree.unpack, with that
-- prefix. Returns true, or nil, message, code.
function M.fit(image, dir, entries, prefix)
  if not image or not e2fs.is_ext(image) then return true end
  local files, message, code = e2fs.walk(image)
  if not files then return nil, message, code end
  local upper <close>, why, name = fs.tree(dir)
  if not upper then return nil, why, name end
  local ok
  ok, message, code = follow_links(image, files, upper, entries, prefix)
  if not ok then return nil, message, code end
  for _, path in ipairs(directories(upper, "", {})) do
    local there = files[path]
    if there and there.mode >> 12 == DIRECTORY and not entries[prefix .. path] then
      entries[prefix .. path] = { mode = there.mode, uid = there.uid, gid = there.gid, size = 0 }
    end
  end
  return true
end

return M
