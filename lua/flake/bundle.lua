-- SPDX-License-Identifier: MIT
-- One file that holds all of a flake: its image and what its definition says. A tar with
--   bundle.yaml   the manifest (bundle_manifest.lua);  include/N  archives that it includes
--   image         an OCI archive;  part/N  OCI archives of base and layers; or, of a VM flake,
--   image/        rootfs, kernel, initrd, checksum, channel
-- Included paths become archives, so that an import writes nowhere but beside the definition.
local archive = require "flake.archive"
local bundle_read = require "flake.bundle_read"
local command_dirs = require "flake.command_dirs"
local fs = require "flake.fs"
local includes = require "flake.includes"
local manifests = require "flake.bundle_manifest"
local pilot = require "flake.pilot"
local registry = require "flake.registry"
local scratch = require "flake.scratch"
local show = require "flake.bundle_show"
local signature = require "flake.signature"
local signed_file = require "flake.signed_file"
local yaml = require "flake.yaml"

local M = {}

-- What engines have besides: {parts, save, files, check, place, replaced, load}.
local function engine_of(name)
  if name == "podman" then return require "flake.bundle_podman" end
  if name == "firecracker" then return require "flake.bundle_vm" end
end

-- --- out ----------------------------------------------------------------------------------------

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

--- Writes a flake (as registry.find gives it) to the file target. key: to sign it with, or nil.
-- Returns true, or nil, message, code.
function M.export(flake, target, key)
  local temp <close>, why, name = scratch.open("bundle", target:match("^(.*/)") or "./")
  if not temp then return nil, why, name end
  local dir = temp.dir .. "/bundle"
  assert(fs.mkdir(dir))
  local engine = engine_of(flake.engine)
  if not engine then
    return nil, ("there are no bundles of engine '%s'"):format(flake.engine), "EUSAGE"
  end
  local manifest = manifests.of_flake(flake, engine.parts(flake))
  local ok, message, code = engine.save(flake, dir)
  if ok then ok, message, code = copy_includes(flake, dir, temp.dir) end
  if ok then ok, message, code = fs.write(dir .. "/bundle.yaml", yaml.dump(manifest)) end
  local out = key and temp.dir .. "/signed" or target
  if ok then ok, message, code = archive.create(out, dir, { compression = engine.compression }) end
  if ok and key then ok, message, code = signed_file.publish(temp, out, target, key) end
  return ok and true, message, code
end

-- --- in -----------------------------------------------------------------------------------------

local function check_commands(manifest, file, opts)
  for _, app in ipairs(manifest.apps) do
    local ok, why = command_dirs.check(app.path, opts)
    if not ok and not opts.anywhere then
      return nil, ("%s: its command %s %s (--commands-anywhere takes it)"):format(file, app.path,
        why), "EARCHIVE"
    end
  end
  return true
end

-- What registry.register takes.
local function definition(manifest, engine, dir, opts)
  local where = ("%s/%s"):format(registry.dir(opts), manifest.name)
  local files, paths = {}, {}
  for i in ipairs(manifest.include) do
    local to = ("%s.include/%d"):format(where, i)
    paths[i] = opts.root and to:sub(#opts.root + 1) or to
    files[i] = { from = ("%s/include/%d"):format(dir, i), to = to }
  end
  return { name = manifest.name, engine = manifest.engine, image = manifest.image,
    apps = manifest.apps, files = files,
    doc = manifests.definition(manifest, paths, engine.place(manifest, dir, opts)) }
end

-- The flake as the pilots will see it, from a directory of its own.
local function trial(def, dir, opts)
  local text, message, code = registry.text(def)
  local ok
  if text then ok, message, code = fs.mkdir(dir .. "/trial") end
  if ok then ok, message, code = fs.write(("%s/trial/%s.yaml"):format(dir, def.name), text) end
  if not ok then return nil, message, code end
  return pilot.load(def.name, { dir = dir .. "/trial", own = opts.user })
end

-- Looks at a bundle; source: the file that is read, file: its name for people.
-- Returns {def=, manifest=, engine=, flake=}, or nil, message, code.
local function examine(source, file, dir, opts)
  local ok, message, code = bundle_read.unpack(source, dir)
  local manifest, engine, flake
  if ok then manifest, engine, code = bundle_read.manifest(file, dir, engine_of) end
  if not ok then return nil, message, code end
  if not manifest then return nil, engine, code end
  ok, message, code = check_commands(manifest, file, opts)
  if not ok then return nil, message, code end
  local def = definition(manifest, engine, dir, opts)
  flake, message, code = trial(def, dir, opts)
  if not flake then return nil, message, code end
  return { def = def, manifest = manifest, engine = engine, flake = flake }
end

local function section_of(doc)
  return doc.container or doc.vm
end

-- The flake goes on demanding what it did, or what is asked for now.
local function settle_demands(job, opts)
  local def = job.def
  if #opts.require_signature > 0 then
    return signature.record(def, section_of(def.doc), opts.require_signature, registry.dir(opts))
  end
  local old = registry.find(def.name, opts)
  def.keeps_texts = true
  for _, key in ipairs(old and { "signature_policy", "signature_keys" } or {}) do
    local from = section_of(old.doc) or old.doc.runtime or {}
    section_of(def.doc)[key] = from[key] ~= yaml.null and from[key] or nil
  end
  return true
end

-- Is the bundle signed as the caller, its flake, and others that have its images demand?
-- Returns true, or nil, message, code.
local function check_signatures(job, source, file, opts)
  local flakes = job.engine.demanding(job.manifest, opts)
  local old, message, code = registry.find(job.def.name, opts)
  if not old and code ~= "ENOENT" then return nil, message, code end
  if old and signature.is_demanded(old) then table.insert(flakes, old) end
  for _, flake in ipairs(flakes) do
    local ok
    ok, message, code = signature.check_bundle(flake, source, file)
    if not ok then return nil, message, code end
  end
  job.signed = #flakes + #opts.require_signature > 0
  return true
end

-- What there is to say of a bundle, or nil, message, code.
local function report_of(job, opts)
  local replaced, message, code = job.engine.replaced(job.manifest, opts)
  if not replaced then return nil, message, code end
  if replaced[1] and not opts.force and not opts.look then
    return nil, ("%s exists already, and is not the bundle's: --force replaces it, for other "
      .. "flakes, too"):format(replaced[1].what), "EEXIST"
  end
  return show.report(job, replaced, opts)
end

-- Unpacks and checks a bundle in the directory dir. What the caller demands comes before a byte of
-- it is unpacked. Returns its job, or nil, message, code.
local function open(file, dir, opts)
  local source, message, code = signed_file.own(file, dir)
  local ok, job = source, nil
  for _, key in ipairs(opts.require_signature) do
    if ok then ok, message, code = signed_file.check(source, key, file) end
  end
  if ok then ok, message, code = fs.mkdir(dir .. "/bundle") end
  if ok then job, message, code = examine(source, file, dir .. "/bundle", opts) end
  if job then ok, message, code = check_signatures(job, source, file, opts) end
  return job and ok and job, message, code
end

--- What an import would do, without doing it. opts: {root, user, anywhere, require_signature={…}}
-- Returns a report (bundle_show.lua), or nil, message, code.
function M.look(file, opts)
  local temp <close> = assert(scratch.open("import"))
  local job, message, code = open(file, temp.dir, opts)
  if not job then return nil, message, code end
  return report_of(job, { root = opts.root, user = opts.user, look = true })
end

--- Restores a bundle: registers the flake, and loads the image as soon as nothing refuses.
-- opts: {root, user, force, anywhere, require_signature={files of keys that must have signed it},
-- bindir=where the pilots are, confirm=function(report) returns true or nil, message, code}
-- Returns the name of the flake and its engine, or nil, message, code.
function M.import(file, opts)
  local temp <close> = assert(scratch.open("import"))
  local job, message, code = open(file, temp.dir, opts)
  if not job then return nil, message, code end
  local function prepare()
    local report, why, reason = report_of(job, opts)
    local ok
    if report then ok, why, reason = opts.confirm(report) end
    if ok then
      ok, why, reason = job.engine.load(job.manifest, { root = opts.root, user = opts.user,
        force = opts.force, signed = job.signed })
    end
    return ok, why, reason
  end
  local ok
  ok, message, code = settle_demands(job, opts)
  if not ok then return nil, message, code end
  ok, message, code = registry.register(job.def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = ("%s/%s-pilot"):format(opts.bindir, job.def.engine),
    prepare = prepare })
  if not ok then return nil, message, code end
  -- What older imports needed; a definition says all of it now.
  fs.unlink(("%s/%s.d/zz-bundle.yaml"):format(registry.dir(opts), job.def.name))
  return job.def.name, job.def.engine
end

return M
