-- SPDX-License-Identifier: MIT
-- Files that a flake's definition includes: the options that name them, where they are, and one of
-- them as archive.
local archive = require "flake.archive"
local fs = require "flake.fs"
local yaml = require "flake.yaml"

local M = {}

--- An include of a definition as absolute path: relative ones begin where the definition is.
function M.absolute(flake, path)
  if path:sub(1, 1) == "/" then return path end
  return flake.file:match("^(.*/)") .. path
end

-- Absolute, without . and .. parts; links stay as they are.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then path = fs.realpath(".") .. "/" .. path end
  local kept = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then table.remove(kept) elseif part ~= "." then table.insert(kept, part) end
  end
  return "/" .. table.concat(kept, "/")
end

local function check_tar(path)
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  if st.type ~= "file" then return nil, path .. " is no file", "EUSAGE" end
  -- One entry proves it.
  local list
  list, message, code = archive.list(path, { max_entries = 1 })
  if list or code == "ELIMIT" then return true end
  return nil, message, code
end

local function check_path(path)
  local st, message, code = fs.stat(path)
  if not st then return nil, message, code end
  if path == "/" or (st.type ~= "file" and st.type ~= "directory") then
    return nil, path .. " is neither file nor directory", "EUSAGE"
  end
  return fs.access(path, st.type == "directory" and "rx" or "r")
end

--- Checks the options --include-tar and --include-path and makes their paths absolute.
-- Returns true, or nil, message, code.
function M.check_options(opts)
  for name, check in pairs { include_tar = check_tar, include_path = check_path } do
    for i, path in ipairs(opts[name]) do
      if path:find("%c") then return nil, "a path must not hold control characters", "EUSAGE" end
      opts[name][i] = absolute(path)
      local ok, message, code = check(opts[name][i])
      -- A package may bring the file along.
      if not ok and not (opts.root and code == "ENOENT") then
        return nil, ("--%s: %s"):format(name:gsub("_", "-"), message), code
      end
    end
  end
  return true
end

--- Adds the options to the section `include` of a definition.
function M.add_keys(opts, include)
  if #opts.include_tar > 0 then include.tar = yaml.list(opts.include_tar) end
  if #opts.include_path > 0 then include.path = yaml.list(opts.include_path) end
end

-- Copies a file, link or directory with all in it from one tree to another.
local function copy(source, from, target, to)
  local st, message, code = source:lstat(from)
  if not st then return nil, message, code end
  if st.type == "file" then return source:copy_to(from, target, to, { mode = st.mode }) end
  if st.type == "symlink" then
    local link, why, name = source:readlink(from)
    if not link then return nil, why, name end
    return target:symlink(link, to)
  end
  if st.type ~= "directory" then return true end
  local ok
  ok, message, code = target:mkdir(to, st.mode | 448)
  for _, name in ipairs(ok and source:list(from) or {}) do
    if ok then ok, message, code = copy(source, from .. "/" .. name, target, to .. "/" .. name) end
  end
  return ok, message, code
end

-- The same for a path of the host: what lies below it may be another user's, who changes it
-- meanwhile.
local function copy_from_host(path, target, to)
  local real, message, code = fs.realpath(path)
  local dir, name = (real or ""):match("^(.*/)([^/]+)$")
  if not dir then return nil, message or path .. " cannot be included", code or "EUSAGE" end
  local source <close>, why, reason = fs.tree(dir)
  if not source then return nil, why, reason end
  local ok
  ok, message, code = copy(source, name, target, to)
  return ok, message and ("%s: %s"):format(real, message), code
end

-- The directories above a path, from the root.
local function parents_of(path)
  local parents = {}
  for at in path:gmatch("()/") do
    if at > 1 then table.insert(parents, path:sub(2, at - 1)) end
  end
  return parents
end

local function fill(path, parents, dir)
  local ok, message, code = fs.mkdir_p(dir)
  if not ok then return nil, message, code end
  local target <close>, why, reason = fs.tree(dir)
  if not target then return nil, why, reason end
  ok, message, code = target:mkdir_p(parents[#parents] or "")
  if ok then ok, message, code = copy_from_host(path, target, path) end
  return ok, message, code
end

--- Writes a tar that puts a file or directory of the host to the same path. dir: for temporary
-- files.
-- Returns true, or nil, message, code.
function M.pack(path, target, dir)
  local tree, raw, parents = dir .. "/tree", dir .. "/tree.tar", parents_of(path)
  local ok, message, code = fill(path, parents, tree)
  if ok then ok, message, code = archive.create(raw, tree) end
  -- The directories above it are the image's, with their modes.
  if ok then ok, message, code = archive.to_tar(raw, target, parents) end
  if ok then ok, message, code = fs.unlink(raw) end
  fs.remove_tree(tree)
  return ok and true, message, code
end

return M
