-- SPDX-License-Identifier: MIT
-- One file that holds all of a flake: image, definition, its .d and includes. A tar with
--   bundle.yaml   {format: 1, name:, engine:, image:, apps: [{path:, target:}], include: [paths]}
--   flake.yaml    the definition;  flake.d/  its fragments;  include/N  archives that it includes
--   image         an OCI archive;  part/N  OCI archives of base and layers; or, of a VM flake,
--   image/        rootfs, kernel, initrd, checksum, channel
-- Included paths become archives, so that an import writes nowhere but beside the definition.
local archive = require "flake.archive"
local fs = require "flake.fs"
local includes = require "flake.includes"
local pilot = require "flake.pilot"
local places = require "flake.places"
local process = require "flake.process"
local registry = require "flake.registry"
local is_text = require("flake.text").is_text
local yaml = require "flake.yaml"

local M = { format = 1 }

-- What engines have besides: {parts, save, files, check, adapt, load}.
local function engine_of(name)
  if name == "podman" then return require "flake.bundle_podman" end
  if name == "firecracker" then return require "flake.bundle_vm" end
end

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

local function manifest(flake)
  local apps = yaml.list {}
  for i, app in ipairs(flake.apps) do
    apps[i] = { path = app.path, target = app.target or app.path }
  end
  return { format = M.format, name = flake.name, engine = flake.engine, image = flake.image,
    apps = apps, parts = engine_of(flake.engine).parts(flake),
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
  local engine = engine_of(flake.engine)
  if not engine then
    return nil, ("there are no bundles of engine '%s'"):format(flake.engine), "EUSAGE"
  end
  local ok, message, code = engine.save(flake, dir)
  if ok then ok, message, code = fs.copy(flake.file, dir .. "/flake.yaml") end
  if ok then ok, message, code = copy_fragments(flake, dir) end
  if ok then ok, message, code = copy_includes(flake, dir, temp:path()) end
  if ok then ok, message, code = fs.write(dir .. "/bundle.yaml", yaml.dump(manifest(flake))) end
  if ok then
    ok, message, code = archive.create(target, dir, { compression = engine.compression })
  end
  return ok and true, message, code
end

local function read_yaml(path)
  local text, message, code = fs.read(path)
  if not text then return nil, message, code end
  return yaml.load(text, { name = path })
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
  return archive.extract(file, dir, { max_entries = limits.max_entries, sparse = true })
end

local function check_files(bundle, file, dir)
  local engine = engine_of(bundle.engine)
  local names = engine.files(bundle)
  table.insert(names, "flake.yaml")
  for i in ipairs(bundle.include) do table.insert(names, "include/" .. i) end
  for _, name in ipairs(names) do
    local st = fs.lstat(dir .. "/" .. name)
    if not st or st.type ~= "file" then
      return nil, ("%s: the bundle has no file %s"):format(file, name), "EARCHIVE"
    end
  end
  local ok, message, code = engine.check(bundle, file, dir)
  return ok and bundle, message, code
end

local function check_manifest(bundle, file, dir)
  local cli = require "flake.cli"
  local good = type(bundle) == "table" and bundle.format == M.format and is_text(bundle.name)
    and engine_of(bundle.engine) and is_text(bundle.image) and type(bundle.apps) == "table"
    and #bundle.apps > 0 and places.check_name(bundle.name)
  for _, app in ipairs(good and bundle.apps or {}) do
    good = good and type(app) == "table" and is_text(app.path) and cli.absolute_path(app.path)
  end
  if good then
    bundle.include = type(bundle.include) == "table" and bundle.include or {}
    bundle.parts = type(bundle.parts) == "table" and bundle.parts or {}
    return check_files(bundle, file, dir)
  end
  return nil, ("%s is no bundle of a flake in format %d"):format(file, M.format), "EARCHIVE"
end

-- Fragments may name includes, or files of the image, where they were exported; the last fragment
-- has the last word.
local function override_fragments(files, paths, doc, dir, where, adapted)
  if #files == 0 or #paths == 0 and not adapted then return true end
  local last = adapted or {}
  if #paths > 0 then
    last.include = { tar = paths, path = yaml.list {} }
    if tostring(doc.version) == "2" then last.static = yaml.list {} end
  end
  table.insert(files, { from = dir .. "/override.yaml", to = where .. ".d/zz-bundle.yaml" })
  return fs.write(dir .. "/override.yaml", yaml.dump(last))
end

-- Fragments and includes that are put back beside the definition `where`.yaml. Scripts (.lua) are
-- not: code is for the admin to install.
-- Returns {{from=, to=}, …} and the paths of the includes, or nil, message, code.
local function files_of(bundle, doc, dir, where, adapted)
  local files, paths = {}, yaml.list {}
  for _, name in ipairs(fs.list(dir .. "/flake.d") or {}) do
    if name:match("^[%w._-]+%.yaml$") then
      table.insert(files, { from = dir .. "/flake.d/" .. name, to = where .. ".d/" .. name })
    end
  end
  for i in ipairs(bundle.include) do paths[i] = ("%s.include/%d"):format(where, i) end
  local ok, message, code = override_fragments(files, paths, doc, dir, where, adapted)
  if not ok then return nil, message, code end
  for i, path in ipairs(paths) do
    table.insert(files, { from = ("%s/include/%d"):format(dir, i), to = path })
  end
  return files, paths
end

-- The flake as the pilots will see it: its definition and fragments in a directory of their own.
local function merged_flake(bundle, doc, dir, files)
  local trial = dir .. "/merged"
  local ok, message, code = fs.mkdir_p(("%s/%s.d"):format(trial, bundle.name))
  if ok then
    ok, message, code = fs.write(("%s/%s.yaml"):format(trial, bundle.name), yaml.dump(doc))
  end
  for _, file in ipairs(files) do
    local fragment = file.to:match("%.d/([^/]*)$")
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
  local parts = engine_of(flake.engine).parts(flake)
  same = same and #parts == #bundle.parts
  for i, part in ipairs(parts) do same = same and part == bundle.parts[i] end
  return same
end

-- Checks an unpacked bundle. Returns the def for registry.register, or nil, message, code.
local function read_bundle(file, dir, opts)
  local where = registry.dir(opts)
  local bundle, doc, flake, message, code
  if not fs.stat(dir .. "/bundle.yaml") then return check_manifest(nil, file) end
  bundle, message, code = read_yaml(dir .. "/bundle.yaml")
  if bundle then bundle, message, code = check_manifest(bundle, file, dir) end
  if not bundle then return nil, message, code end
  doc, message, code = read_yaml(dir .. "/flake.yaml")
  if not doc then return nil, message, code end
  local files, paths
  local adapted = engine_of(bundle.engine).adapt(bundle, doc, dir, opts)
  files, paths, code = files_of(bundle, doc, dir, where .. "/" .. bundle.name, adapted)
  if not files then return nil, paths, code end
  if #paths > 0 then doc.include, doc.static = { tar = paths }, nil end
  flake, message, code = merged_flake(bundle, doc, dir, files)
  if not flake then return nil, message, code end
  if not is_described(flake, bundle) then
    return nil, ("%s: its definition says something else than its bundle.yaml"):format(file),
      "EARCHIVE"
  end
  return { name = bundle.name, engine = flake.engine, image = flake.image, apps = bundle.apps,
    doc = doc, merged = flake.doc, files = files, bundle = bundle }
end

--- Restores a bundle: registers the flake, and loads the image as soon as nothing refuses.
-- opts: {root, user, force, bindir=where the pilots are}
-- Returns the name of the flake and its engine, or nil, message, code.
function M.import(file, opts)
  -- Images are large, and /tmp may be memory.
  local base = process.getenv("TMPDIR") or "/var/tmp"
  local temp <close> = assert(fs.temp_dir({ dir = base, prefix = "flake-import" }))
  local dir = temp:path()
  local ok, message, code = unpack(file, dir)
  if not ok then return nil, message, code end
  local def
  def, message, code = read_bundle(file, dir, opts)
  if not def then return nil, message, code end
  local function prepare() return engine_of(def.engine).load(def.bundle, dir, opts) end
  ok, message, code = registry.register(def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = ("%s/%s-pilot"):format(opts.bindir, def.engine),
    prepare = prepare })
  if not ok then return nil, message, code end
  return def.name, def.engine
end

return M
