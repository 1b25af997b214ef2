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

-- Where the package has what the flake includes, by number.
local function include_path(flake, n)
  return ("%s/%s.include/%d"):format(DIR, flake.name, n)
end

local function include_paths(flake)
  local list = yaml.list {}
  for i = 1, #flake.include.tar + #flake.include.path do list[i] = include_path(flake, i) end
  return list
end

--- Copies what a flake that is registered in the package's root includes to include_paths: a
-- directory of that name beside no definition would be a removed flake's.
-- Returns true, or nil, message, code.
function M.copy_includes(flake, bundle)
  local tars = #flake.include.tar
  local ok, message, code = true, nil, nil
  for i, path in ipairs(table.move(flake.include.path, 1, #flake.include.path, tars + 1,
    table.move(flake.include.tar, 1, tars, 1, {}))) do
    local target = bundle.root .. include_path(flake, i)
    if ok then ok, message, code = fs.mkdir_p((target:match("^(.*)/"))) end
    if ok and i <= tars then ok, message, code = fs.copy(absolute(flake, path), target) end
    if ok and i > tars then
      ok, message, code = pack_path(absolute(flake, path), target, bundle.dir)
    end
  end
  return ok, message, code
end

--- The definition as the package has it. Returns the document, or nil, message, code.
function M.definition(flake)
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
  local includes = include_paths(flake)
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
