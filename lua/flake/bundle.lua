-- SPDX-License-Identifier: MIT
-- One file that holds all of a flake: image, definition, its .d and includes. A tar with
--   bundle.yaml   {format: 1, name:, engine:, image:, apps: [{path:, target:}], include: [paths]}
--   flake.yaml    the definition;  flake.d/  its fragments;  image  an OCI archive
--   part/N        OCI archives of base and layers;  include/N  archives that it includes
-- Included paths become archives, so that an import writes nowhere but beside the definition.
local archive = require "flake.archive"
local fs = require "flake.fs"
local image = require "flake.image"
local includes = require "flake.includes"
local process = require "flake.process"
local registry = require "flake.registry"
local yaml = require "flake.yaml"

local M = { format = 1 }

local function copy_fragments(flake, dir)
  local from = flake.file:gsub("%.yaml$", ".d")
  assert(fs.mkdir(dir .. "/flake.d"))
  for _, name in ipairs(fs.list(from) or {}) do
    local st = fs.stat(from .. "/" .. name)
    if st.type == "file" then
      local ok, message, code = fs.copy(from .. "/" .. name, dir .. "/flake.d/" .. name)
      if not ok then return nil, message, code end
    end
  end
  return true
end

local function copy_includes(flake, dir, temp)
  assert(fs.mkdir(dir .. "/include"))
  local n = 0
  local function target()
    n = n + 1
    return ("%s/include/%d"):format(dir, n)
  end
  for _, path in ipairs(flake.include.tar) do
    local ok, message, code = fs.copy(includes.absolute(flake, path), target())
    if not ok then return nil, message, code end
  end
  for _, path in ipairs(flake.include.path) do
    local ok, message, code = includes.pack(includes.absolute(flake, path), target(), temp)
    if not ok then return nil, message, code end
  end
  return true
end

-- Base and layers.
local function parts_of(flake)
  local parts = yaml.list { flake.base }
  return table.move(flake.layers, 1, #flake.layers, #parts + 1, parts)
end

local function save_images(flake, dir)
  local ok, message, code = image.save(flake.image, dir .. "/image")
  if ok then ok, message, code = fs.mkdir(dir .. "/part") end
  for i, reference in ipairs(parts_of(flake)) do
    if ok then ok, message, code = image.save(reference, ("%s/part/%d"):format(dir, i)) end
  end
  return ok, message, code
end

local function manifest(flake)
  local apps = yaml.list {}
  for i, app in ipairs(flake.apps) do
    apps[i] = { path = app.path, target = app.target or app.path }
  end
  return { format = M.format, name = flake.name, engine = flake.engine, image = flake.image,
    apps = apps, parts = parts_of(flake),
    include = yaml.list(table.move(flake.include.path, 1, #flake.include.path,
      #flake.include.tar + 1, { table.unpack(flake.include.tar) })) }
end

--- Writes a flake (as registry.find gives it) to the file target.
-- Returns true, or nil, message, code.
function M.export(flake, target)
  local where = target:match("^(.*/)") or "./"
  local temp <close>, why, name = fs.temp_dir({ dir = where, prefix = ".flake-bundle" })
  if not temp then return nil, why, name end
  local dir = temp:path() .. "/bundle"
  assert(fs.mkdir(dir))
  local ok, message, code = save_images(flake, dir)
  if ok then ok, message, code = fs.copy(flake.file, dir .. "/flake.yaml") end
  if ok then ok, message, code = copy_fragments(flake, dir) end
  if ok then ok, message, code = copy_includes(flake, dir, temp:path()) end
  if ok then ok, message, code = fs.write(dir .. "/bundle.yaml", yaml.dump(manifest(flake))) end
  if ok then ok, message, code = archive.create(target, dir) end
  return ok and true, message, code
end

local function read_yaml(path)
  local text, message, code = fs.read(path)
  if not text then return nil, message, code end
  return yaml.load(text, { name = path })
end

local function is_text(value)
  return type(value) == "string" and value ~= ""
end

-- A bundle comes from elsewhere: nothing in it is believed.
local function check_manifest(bundle, file)
  local cli = require "flake.cli"
  local good = type(bundle) == "table" and bundle.format == M.format and is_text(bundle.name)
    and bundle.engine == "podman" and is_text(bundle.image) and type(bundle.apps) == "table"
    and #bundle.apps > 0
  for _, app in ipairs(good and bundle.apps or {}) do
    good = good and type(app) == "table" and is_text(app.path) and cli.absolute_path(app.path)
  end
  if good then return bundle end
  return nil, ("%s is no bundle of a podman flake in format %d"):format(file, M.format), "EARCHIVE"
end

local function restore_includes(bundle, dir, doc, where)
  local list = yaml.list {}
  for i in ipairs(type(bundle.include) == "table" and bundle.include or {}) do
    local path = ("%s/%s.include/%d"):format(where, bundle.name, i)
    local ok, message, code = fs.mkdir_p((path:match("^(.*)/")))
    if ok then ok, message, code = fs.copy(("%s/include/%d"):format(dir, i), path) end
    if not ok then return nil, message, code end
    list[i] = path
  end
  if #list > 0 then doc.include, doc.static = { tar = list }, nil end
  return true
end

local function load_image(file)
  local result, message, code = process.run({ "podman", "load", "--quiet", "--input", file },
    { stdout = "null" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, "podman could not load the bundle's image", "EENGINE" end
  return true
end

local function load_images(bundle, dir)
  local ok, message, code = load_image(dir .. "/image")
  for i in ipairs(type(bundle.parts) == "table" and bundle.parts or {}) do
    if ok then ok, message, code = load_image(("%s/part/%d"):format(dir, i)) end
  end
  return ok, message, code
end

-- Fragments may name includes where they were exported; the last fragment has the last word.
local function override_fragments(bundle, doc, dir, where)
  local list = doc.include and doc.include.tar
  if type(list) ~= "table" or #fs.list(dir .. "/flake.d") == 0 then return true end
  local last = { include = { tar = list, path = yaml.list {} } }
  if tostring(doc.version) == "2" then last.static = yaml.list {} end
  return fs.write(("%s/%s.d/zz-bundle.yaml"):format(where, bundle.name), yaml.dump(last))
end

local function copy_back(dir, where, name)
  for _, file in ipairs(fs.list(dir .. "/flake.d") or {}) do
    if file:match("^[%w._-]+%.yaml$") then
      local ok, message, code = fs.copy(dir .. "/flake.d/" .. file,
        ("%s/%s.d/%s"):format(where, name, file))
      if not ok then return nil, message, code end
    end
  end
  return true
end

--- Restores a bundle: loads the image, registers the flake. opts: {root, user, force, pilot}
-- Scripts (.lua) of the bundle's .d are not restored: code is for the admin to install.
-- Returns the name of the flake, or nil, message, code.
function M.import(file, opts)
  local temp <close> = assert(fs.temp_dir({ prefix = "flake-import" }))
  local dir = temp:path()
  local ok, message, code = archive.extract(file, dir, { max_entries = 10000 })
  if not ok then return nil, message, code end
  local bundle, doc
  if not fs.stat(dir .. "/bundle.yaml") then return check_manifest(nil, file) end
  bundle, message, code = read_yaml(dir .. "/bundle.yaml")
  if bundle then bundle, message, code = check_manifest(bundle, file) end
  if bundle then doc, message, code = read_yaml(dir .. "/flake.yaml") end
  if not doc then return nil, message, code end
  ok, message = registry.check_name(bundle.name)
  if not ok then return nil, message, "EARCHIVE" end
  local where = registry.dir(opts)
  ok, message, code = load_images(bundle, dir)
  if ok then ok, message, code = restore_includes(bundle, dir, doc, where) end
  if not ok then return nil, message, code end
  ok, message, code = registry.register({ name = bundle.name, engine = bundle.engine,
    image = bundle.image, apps = bundle.apps, doc = doc }, opts)
  if ok then ok, message, code = copy_back(dir, where, bundle.name) end
  if ok then ok, message, code = override_fragments(bundle, doc, dir, where) end
  if not ok then return nil, message, code end
  return bundle.name
end

return M
