-- SPDX-License-Identifier: MIT
-- One file that holds all of a flake: image, definition, its .d and includes. A tar with
--   bundle.yaml   {format: 1, name:, engine:, image:, apps: [{path:, target:}], include: [paths]}
--   flake.yaml    the definition;  flake.d/  its fragments;  image  an OCI archive
--   include/N     the Nth included file
local archive = require "flake.archive"
local fs = require "flake.fs"
local image = require "flake.image"
local pilot = require "flake.pilot"
local places = require "flake.places"
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

local function copy_includes(flake, dir)
  assert(fs.mkdir(dir .. "/include"))
  for i, path in ipairs(flake.include.tar) do
    local ok, message, code = fs.copy(path, ("%s/include/%d"):format(dir, i))
    if not ok then return nil, message, code end
  end
  return true
end

local function manifest(flake)
  local apps = yaml.list {}
  for i, app in ipairs(flake.apps) do
    apps[i] = { path = app.path, target = app.target or app.path }
  end
  return { format = M.format, name = flake.name, engine = flake.engine, image = flake.image,
    apps = apps, include = yaml.list(flake.include.tar) }
end

--- Writes a flake (as registry.find gives it) to the file target.
-- Returns true, or nil, message, code.
function M.export(flake, target)
  local where = target:match("^(.*/)") or "./"
  local temp <close>, why, name = fs.temp_dir({ dir = where, prefix = ".flake-bundle" })
  if not temp then return nil, why, name end
  local dir = temp:path() .. "/bundle"
  assert(fs.mkdir(dir))
  local ok, message, code = image.save(flake.image, dir .. "/image")
  if ok then ok, message, code = fs.copy(flake.file, dir .. "/flake.yaml") end
  if ok then ok, message, code = copy_fragments(flake, dir) end
  if ok then ok, message, code = copy_includes(flake, dir) end
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

-- A bundle comes from elsewhere: nothing in it is believed. Links could lead anywhere, and export
-- writes none: an archive with other things than files and directories is not even unpacked.
local function unpack(file, dir)
  local limits = { max_entries = 10000 }
  local members, message, code = archive.list(file, limits)
  if not members then return nil, message, code end
  for _, member in ipairs(members) do
    if member.type ~= "file" and member.type ~= "directory" then
      return nil, ("%s: refusing the %s '%s': a bundle has files only"):format(file, member.type,
        member.path), "EARCHIVE"
    end
  end
  return archive.extract(file, dir, limits)
end

local function check_files(bundle, file, dir)
  local names = { "flake.yaml", "image" }
  for i in ipairs(bundle.include) do table.insert(names, "include/" .. i) end
  for _, name in ipairs(names) do
    local st = fs.lstat(dir .. "/" .. name)
    if not st or st.type ~= "file" then
      return nil, ("%s: the bundle has no file %s"):format(file, name), "EARCHIVE"
    end
  end
  return bundle
end

local function check_manifest(bundle, file, dir)
  local cli = require "flake.cli"
  local good = type(bundle) == "table" and bundle.format == M.format and is_text(bundle.name)
    and bundle.engine == "podman" and is_text(bundle.image) and type(bundle.apps) == "table"
    and #bundle.apps > 0 and places.check_name(bundle.name)
  for _, app in ipairs(good and bundle.apps or {}) do
    good = good and type(app) == "table" and is_text(app.path) and cli.absolute_path(app.path)
  end
  if good then
    bundle.include = type(bundle.include) == "table" and bundle.include or {}
    return check_files(bundle, file, dir)
  end
  return nil, ("%s is no bundle of a podman flake in format %d"):format(file, M.format), "EARCHIVE"
end

local function load_image(dir)
  local result, message, code = process.run({ "podman", "load", "--quiet", "--input",
    dir .. "/image" }, { stdout = "null" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, "podman could not load the bundle's image", "EENGINE" end
  return true
end

-- Fragments and includes that are put back. Scripts (.lua) are not: code is for the admin to
-- install.
local function files_of(bundle, dir, where)
  local files, includes = {}, yaml.list {}
  for _, name in ipairs(fs.list(dir .. "/flake.d") or {}) do
    if name:match("^[%w._-]+%.yaml$") then
      table.insert(files, { from = dir .. "/flake.d/" .. name,
        to = ("%s/%s.d/%s"):format(where, bundle.name, name) })
    end
  end
  for i in ipairs(bundle.include) do
    includes[i] = ("%s/%s.include/%d"):format(where, bundle.name, i)
    table.insert(files, { from = ("%s/include/%d"):format(dir, i), to = includes[i] })
  end
  return files, includes
end

-- The flake as the pilots will see it: its definition and fragments in a directory of their own.
local function merged_flake(bundle, dir, files)
  local trial = dir .. "/merged"
  local ok, message, code = fs.mkdir_p(("%s/%s.d"):format(trial, bundle.name))
  if ok then
    ok, message, code = fs.copy(dir .. "/flake.yaml", ("%s/%s.yaml"):format(trial, bundle.name))
  end
  for _, file in ipairs(files) do
    local fragment = file.from:match("/flake%.d/([^/]*)$")
    if ok and fragment then
      ok, message, code = fs.copy(file.from, ("%s/%s.d/%s"):format(trial, bundle.name, fragment))
    end
  end
  if not ok then return nil, message, code end
  return pilot.load(bundle.name, { dir = trial })
end

-- Does the flake that would run say the same as the manifest?
local function is_described(flake, bundle)
  local targets, count = {}, 0
  for _, app in ipairs(bundle.apps) do targets[app.path] = app.target or app.path end
  for _ in pairs(targets) do count = count + 1 end
  local same = flake.engine == bundle.engine and flake.image == bundle.image
    and #flake.apps == count
  for _, app in ipairs(flake.apps) do
    same = same and targets[app.path] == (app.target or app.path)
  end
  return same
end

-- Checks an unpacked bundle. Returns the def for registry.register, or nil, message, code.
local function read_bundle(file, dir, where)
  local bundle, doc, flake, message, code
  if not fs.stat(dir .. "/bundle.yaml") then return check_manifest(nil, file) end
  bundle, message, code = read_yaml(dir .. "/bundle.yaml")
  if bundle then bundle, message, code = check_manifest(bundle, file, dir) end
  if not bundle then return nil, message, code end
  doc, message, code = read_yaml(dir .. "/flake.yaml")
  if not doc then return nil, message, code end
  local files, includes = files_of(bundle, dir, where)
  flake, message, code = merged_flake(bundle, dir, files)
  if not flake then return nil, message, code end
  if not is_described(flake, bundle) then
    return nil, ("%s: its definition says something else than its bundle.yaml"):format(file),
      "EARCHIVE"
  end
  if #includes > 0 then doc.include = { tar = includes } end
  return { name = bundle.name, engine = flake.engine, image = flake.image, apps = bundle.apps,
    doc = doc, merged = flake.doc, files = files }
end

--- Restores a bundle: registers the flake, and loads the image as soon as nothing refuses.
-- opts: {root, user, force, pilot}
-- Returns the name of the flake, or nil, message, code.
function M.import(file, opts)
  local temp <close> = assert(fs.temp_dir({ prefix = "flake-import" }))
  local dir = temp:path()
  local ok, message, code = unpack(file, dir)
  if not ok then return nil, message, code end
  local def
  def, message, code = read_bundle(file, dir, registry.dir(opts))
  if not def then return nil, message, code end
  ok, message, code = registry.register(def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = opts.pilot, prepare = function() return load_image(dir) end })
  if not ok then return nil, message, code end
  return def.name
end

return M
