-- SPDX-License-Identifier: MIT
-- Files that a flake's definition includes: where they are, and one of them as archive.
local archive = require "flake.archive"
local fs = require "flake.fs"

local M = {}

--- An include of a definition as absolute path: relative ones begin where the definition is.
function M.absolute(flake, path)
  if path:sub(1, 1) == "/" then return path end
  return flake.file:match("^(.*/)") .. path
end

-- Copies a file, link or directory with all in it.
local function copy(from, to)
  local st, message, code = fs.lstat(from)
  if not st then return nil, message, code end
  if st.type == "file" then return fs.copy(from, to, { mode = st.mode }) end
  if st.type == "symlink" then return fs.symlink(fs.readlink(from), to) end
  if st.type ~= "directory" then return true end
  local ok
  ok, message, code = fs.mkdir(to, st.mode | 448)
  for _, name in ipairs(ok and fs.list(from) or {}) do
    if ok then ok, message, code = copy(from .. "/" .. name, to .. "/" .. name) end
  end
  return ok, message, code
end

--- Writes a tar that puts a file or directory of the host to the same path. dir: for temporary
-- files.
-- Returns true, or nil, message, code.
function M.pack(path, target, dir)
  local tree, raw = dir .. "/tree", dir .. "/tree.tar"
  local parents = {}
  for at in path:gmatch("()/") do
    if at > 1 then table.insert(parents, path:sub(2, at - 1)) end
  end
  local real, message, code = fs.realpath(path)
  local ok
  if real then ok, message, code = fs.mkdir_p(tree .. "/" .. (parents[#parents] or "")) end
  if ok then ok, message, code = copy(real, tree .. path) end
  if ok then ok, message, code = archive.create(raw, tree) end
  -- The directories above it are the image's, with their modes.
  if ok then ok, message, code = archive.to_tar(raw, target, parents) end
  if ok then ok, message, code = fs.unlink(raw) end
  fs.remove_tree(tree)
  return ok and true, message, code
end

return M
