-- SPDX-License-Identifier: MIT
-- A flake that exists, for a package: its definition, its .d, and the files that it includes.
local archive = require "flake.archive"
local fs = require "flake.fs"
local process = require "flake.process"
local yaml = require "flake.yaml"

local M = {}

local DIR = "/usr/share/flakes"

local function read_yaml(path)
  local text, message, code = fs.read(path)
  if not text then return nil, message, code end
  return yaml.load(text, { name = path })
end

local function fragment_dir(flake)
  return (flake.file:gsub("%.yaml$", ".d"))
end

local function absolute(flake, path)
  return path:sub(1, 1) == "/" and path or flake.file:match("^(.*/)") .. path
end

-- A path of the host as archive that puts it to the same place.
local function pack_path(path, target, dir)
  local temp <close>, why, name = fs.temp_dir({ dir = dir, prefix = ".include" })
  if not temp then return nil, why, name end
  local place = temp:path() .. path
  local ok, message, code = fs.mkdir_p((place:match("^(.*)/")))
  if not ok then return nil, message, code end
  local result
  result, message, code = process.run({ "cp", "-a", "--", path, place }, { stdin = "null" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, ("cannot copy %s"):format(path), "EIO" end
  return archive.create(target, temp:path(), { mtime = 0 })
end

-- Copies what the flake includes; returns the paths that it has in the package.
local function copy_includes(flake, bundle)
  local dir = ("%s/%s.include"):format(DIR, flake.name)
  local list = yaml.list {}
  local function add(path, copy)
    local target = ("%s/%d"):format(dir, #list + 1)
    local ok, message, code = fs.mkdir_p(bundle.root .. dir)
    if ok then ok, message, code = copy(absolute(flake, path), bundle.root .. target) end
    if ok then list[#list + 1] = target end
    return ok, message, code
  end
  for _, path in ipairs(flake.include.tar) do
    local ok, message, code = add(path, fs.copy)
    if not ok then return nil, message, code end
  end
  for _, path in ipairs(flake.include.path) do
    local ok, message, code = add(path, function(from, to)
      return pack_path(from, to, bundle.dir)
    end)
    if not ok then return nil, message, code end
  end
  return list
end

--- The definition as the package has it. Returns the document, or nil, message, code.
function M.definition(flake, bundle)
  local doc, message, code = read_yaml(flake.file)
  if not doc then return nil, message, code end
  for i = 2, #flake.files do
    local part
    part, message, code = read_yaml(flake.files[i])
    if not part then return nil, message, code end
    if part.include or part.static then
      return nil, ("%s: includes in a fragment cannot be packaged: move them to %s")
        :format(flake.files[i], flake.file), "EUSAGE"
    end
  end
  local includes
  includes, message, code = copy_includes(flake, bundle)
  if not includes then return nil, message, code end
  doc.static = nil
  if #includes > 0 then doc.include = { tar = includes } end
  return doc
end

--- Says where the images are.
function M.set_archives(doc, archives)
  local version = doc.version
  local holder = (version == 2 or version == "2") and doc.runtime or doc.container or doc.vm
  holder.archive = #archives > 1 and yaml.list(archives) or archives[1]
end

--- Copies the files of .d below root. Returns true, or nil, message, code.
function M.copy(flake, root)
  local from = fragment_dir(flake)
  for _, name in ipairs(fs.list(from) or {}) do
    local st = fs.stat(from .. "/" .. name)
    if st and st.type == "file" and name:sub(1, 1) ~= "." then
      local ok, message, code = fs.copy(from .. "/" .. name,
        ("%s%s/%s.d/%s"):format(root, DIR, flake.name, name))
      if not ok then return nil, message, code end
    end
  end
  return true
end

return M
