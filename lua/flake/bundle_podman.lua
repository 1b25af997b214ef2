-- SPDX-License-Identifier: MIT
-- What a bundle of a podman flake has: its image, base and layers as OCI archives. podman reads
-- none of them: each is unpacked and packed again by us without a name, loaded, and named by us.
local archive = require "flake.archive"
local fs = require "flake.fs"
local image = require "flake.image"
local loader = require "flake.loader"
local oci = require "flake.oci"
local pilot = require "flake.pilot"
local reason = require("flake.text").reason
local references = require "flake.references"
local registry = require "flake.registry"
local signature = require "flake.signature"
local store = require "flake.store"
local yaml = require "flake.yaml"

local M = {}

local LIMITS = { max_entries = 10000, plain = true }
local ACCEPT = '{"default":[{"type":"insecureAcceptAnything"}]}'

--- Base and layers.
function M.parts(flake)
  local parts = yaml.list { flake.base }
  return table.move(flake.layers, 1, #flake.layers, #parts + 1, parts)
end

--- Writes the images into a directory. Returns true, or nil, message, code.
function M.save(flake, dir)
  local ok, message, code = image.save(flake.image, dir .. "/image")
  if ok then ok, message, code = fs.mkdir(dir .. "/part") end
  for i, reference in ipairs(M.parts(flake)) do
    if ok then ok, message, code = image.save(reference, ("%s/part/%d"):format(dir, i)) end
  end
  return ok, message, code
end

-- The images: {{file=, reference=}, …}.
local function images_of(manifest)
  local images = { { file = "image", reference = manifest.image } }
  for i, part in ipairs(manifest.parts) do
    images[i + 1] = { file = "part/" .. i, reference = part }
  end
  return images
end

--- Names of the files that a bundle must have.
function M.files(manifest)
  local names = {}
  for i, one in ipairs(images_of(manifest)) do names[i] = one.file end
  return names
end

-- Packs one anew: one.id, one.name (nil: it is meant by its id or digest) and one.packed.
local function take(one, dir, n)
  local from, layout = ("%s/%s"):format(dir, one.file), ("%s/layout-%d"):format(dir, n)
  local ok, message, code = fs.mkdir(layout)
  if ok then ok, message, code = archive.extract(from, layout, LIMITS) end
  if ok then ok, message, code = fs.unlink(from) end
  local found
  one.packed = ("%s/packed-%d"):format(dir, n)
  if ok then found, message, code = oci.pack(layout, one.packed) end
  if not found then return nil, message, code end
  one.id = found.id
  local is_id = found.id:sub(1, #one.reference) == one.reference
  if not is_id and not one.reference:find("@", 1, true) then
    one.name = references.full_name(one.reference, found.reference)
  end
  return fs.remove_tree(layout)
end

local function check_options(manifest, file)
  for _, option in ipairs(pilot.podman_options(manifest.options)) do
    if not option.name then
      return nil, ("%s: '%s' is no option of podman"):format(file, option.text), "EARCHIVE"
    end
  end
  return true
end

--- Checks an unpacked bundle, and makes its images ready to be loaded.
-- Returns true, or nil, message, code.
function M.check(manifest, file, dir)
  local ok, message, code = check_options(manifest, file)
  if not ok then return nil, message, code end
  manifest.images = images_of(manifest)
  for i, one in ipairs(manifest.images) do
    if references.is_internal(one.reference) then
      return nil, ("%s: refusing the image name '%s'"):format(file, one.reference), "EARCHIVE"
    end
    ok, message, code = take(one, dir, i)
    if not ok then return nil, ("%s: %s: %s"):format(file, one.file, message), code end
  end
  return true
end

--- What a definition says of files of this host: nothing.
function M.place() return {} end

-- Names of other flakes that use an image's name.
local function users_of(name, but, opts)
  local found = {}
  local scopes = { { root = opts.root }, not opts.root and loader.user_root() and { user = true }
    or nil }
  for _, scope in ipairs(scopes) do
    for _, row in ipairs(registry.list(scope) or {}) do
      local flake = row.engine == "podman" and row.name ~= but and registry.find(row.name, scope)
      for _, used in ipairs(flake and references.collect { flake } or {}) do
        if references.full_name(used.name, name) == name then table.insert(found, flake.name) end
      end
    end
  end
  return found
end

--- Images of this host that would lose their names: {{what=, users={flakes}}, …}, or nil, message,
-- code.
function M.replaced(manifest, opts)
  local place, found = store.of(nil), {}
  for _, one in ipairs(manifest.images) do
    local there, message, code
    if one.name then there, message, code = place:image(one.name) end
    if message then return nil, message, code end
    one.old = there and there.id
    if there and there.id ~= one.id then
      table.insert(found, { what = ("image '%s'"):format(one.name),
        users = users_of(one.name, manifest.name, opts) })
    end
  end
  return found
end

--- Flakes that demand signatures and have one of the images.
function M.demanding(manifest)
  local all, found = signature.demanding(), {}
  for _, one in ipairs(manifest.images) do
    local flakes = one.name and signature.of_image(all, one.name) or {}
    table.move(flakes, 1, #flakes, #found + 1, found)
  end
  return found
end

local function load_one(place, one, options)
  local there, message, code = place:image(one.id)
  if message then return nil, message, code end
  if there then return true end
  local result
  result, message, code = place:tool { "podman", "load", "--quiet", "--input", one.packed,
    table.unpack(options) }
  if not result then return nil, message, code end
  if result.code ~= 0 then
    local why = result.stderr:match("Source image rejected: ([^\n]*)")
    return nil, ("podman could not load the bundle's image: %s"):format(why
      and "the system's policy rejects it: " .. why or reason(result)), "EENGINE"
  end
  one.is_new = true
  there, message, code = place:image(one.id)
  if there then return true end
  return nil, message or "podman loaded another image than the bundle's", code or "EENGINE"
end

-- Names are as they were, and what was loaded goes.
local function take_back(place, images)
  for _, one in ipairs(images) do
    if one.is_named and one.old then
      place:tag(one.old, one.name)
    elseif one.is_named then
      place:untag(one.id, one.name)
    end
    if one.is_new then place:drop(one.id) end
  end
end

--- Loads the images of a checked bundle. opts.signed: what is demanded of it was checked, and the
-- system's policy, of archives without signature, has nothing to add.
-- Returns true, or nil, message, code.
function M.load(manifest, opts)
  local place, options = store.of(nil), {}
  local ok, message, code = true, nil, nil
  if opts.signed then
    options[1] = ("--signature-policy=%s.policy"):format(manifest.images[1].packed)
    ok, message, code = fs.write(manifest.images[1].packed .. ".policy", ACCEPT)
  end
  for _, one in ipairs(manifest.images) do
    if ok then ok, message, code = load_one(place, one, options) end
  end
  for _, one in ipairs(manifest.images) do
    if ok and one.name then
      ok, message, code = place:tag(one.id, one.name)
      one.is_named = ok
    end
  end
  if ok then return true end
  take_back(place, manifest.images)
  return nil, message, code
end

return M
