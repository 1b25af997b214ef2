-- SPDX-License-Identifier: MIT
-- From a bundle's file to its manifest. Nothing of a bundle is believed: it is files, each once,
-- and a manifest of known keys. In the older format 1 the manifest says only some of them; the
-- others come from its definition and fragments, merged as the pilots merge them.
local archive = require "flake.archive"
local fs = require "flake.fs"
local is_text = require("flake.text").is_text
local manifests = require "flake.bundle_manifest"
local pilot = require "flake.pilot"
local places = require "flake.places"
local yaml = require "flake.yaml"

local M = {}

local LIMITS = { max_entries = 10000, sparse = true, plain = true }

-- The manifest as a document, all scalars as text.
local function read_manifest(file, dir)
  local text, message, code = fs.read(dir .. "/bundle.yaml", { limit = 1 << 20 })
  if not text then return nil, message, code end
  return yaml.load(text, { name = file .. ": bundle.yaml", text = true })
end

local function no_bundle(file, why)
  return nil, ("%s is no bundle of a flake%s"):format(file, why and ": bundle.yaml " .. why or ""),
    "EARCHIVE"
end

-- --- format 1 -----------------------------------------------------------------------------------

local function is_format_1(doc)
  local good = is_text(doc.name) and places.check_name(doc.name) and is_text(doc.engine)
    and is_text(doc.image) and type(doc.apps) == "table" and #doc.apps > 0
  for _, app in ipairs(good and doc.apps or {}) do
    good = good and type(app) == "table" and is_text(app.path)
  end
  return good
end

-- The flake as the pilots would see it: its definition and fragments in a directory of their own.
local function merged_flake(doc, dir)
  local trial = dir .. "/merged"
  local fragments = ("%s/%s.d"):format(trial, doc.name)
  local ok, message, code = fs.mkdir_p(fragments)
  if ok then
    ok, message, code = fs.copy(dir .. "/flake.yaml", ("%s/%s.yaml"):format(trial, doc.name))
  end
  for _, name in ipairs(fs.list(dir .. "/flake.d") or {}) do
    if ok and name:match("^[%w._-]+%.yaml$") then
      ok, message, code = fs.copy(dir .. "/flake.d/" .. name, fragments .. "/" .. name)
    end
  end
  if not ok then return nil, message, code end
  return pilot.load(doc.name, { dir = trial })
end

local function are_equal(a, b)
  local same = #a == #b
  for i, entry in ipairs(a) do same = same and entry == b[i] end
  return same
end

-- Does the flake that would run say the same as the manifest?
local function is_described(flake, doc, parts)
  local targets, count = {}, 0
  for _, app in ipairs(doc.apps) do targets[app.path] = app.target or app.path end
  for _ in pairs(targets) do count = count + 1 end
  local same = flake.engine == doc.engine and flake.image == doc.image and #flake.apps == count
    and #flake.include.tar + #flake.include.path == #doc.include
  for _, app in ipairs(flake.apps) do
    same = same and targets[app.path] == (app.target or app.path)
  end
  return same and are_equal(parts, doc.parts)
end

-- As a document of the format of today, its scalars as text.
local function from_format_1(doc, file, dir, parts_of)
  if not is_format_1(doc) then return no_bundle(file) end
  for _, key in ipairs { "include", "parts" } do
    doc[key] = type(doc[key]) == "table" and doc[key] or {}
  end
  if not fs.stat(dir .. "/flake.yaml") then
    return nil, ("%s: the bundle has no file flake.yaml"):format(file), "EARCHIVE"
  end
  local flake, message, code = merged_flake(doc, dir)
  if not flake then return nil, message, code end
  local parts = parts_of(flake)
  if not is_described(flake, doc, parts) then
    return nil, ("%s: its definition says something else than its bundle.yaml"):format(file),
      "EARCHIVE"
  end
  local manifest = manifests.of_flake(flake, parts)
  manifest.include = yaml.list(doc.include)
  return yaml.load(assert(yaml.dump(manifest)), { text = true })
end

-- --- all formats --------------------------------------------------------------------------------

local function check_files(manifest, engine, file, dir)
  local names = engine.files(manifest)
  for i in ipairs(manifest.include) do table.insert(names, "include/" .. i) end
  for _, name in ipairs(names) do
    local st = fs.lstat(dir .. "/" .. name)
    if not st or st.type ~= "file" then
      return nil, ("%s: the bundle has no file %s"):format(file, name), "EARCHIVE"
    end
  end
  return true
end

--- Unpacks a bundle into an empty directory. Returns true, or nil, message, code.
function M.unpack(file, dir)
  local done, message, code = archive.extract(file, dir, LIMITS)
  return done and true, message, code
end

--- The checked manifest of an unpacked bundle. engine_of(name): what engines have for bundles.
-- Returns it and its engine, or nil, message, code.
function M.manifest(file, dir, engine_of)
  if not fs.stat(dir .. "/bundle.yaml") then return no_bundle(file) end
  local doc, message, code = read_manifest(file, dir)
  if not doc then return nil, message, code end
  local engine = type(doc) == "table" and type(doc.engine) == "string" and engine_of(doc.engine)
  if not engine then return no_bundle(file) end
  if doc.format == "1" then
    doc, message, code = from_format_1(doc, file, dir, engine.parts)
    if not doc then return nil, message, code end
  end
  local manifest, why = manifests.check(doc)
  if not manifest then return no_bundle(file, why) end
  local ok
  ok, message, code = check_files(manifest, engine, file, dir)
  if ok then ok, message, code = engine.check(manifest, file, dir) end
  if not ok then return nil, message, code end
  return manifest, engine
end

return M
