-- SPDX-License-Identifier: MIT
-- OCI image layouts, as directories and as archives: what is in them, and packing one so that equal
-- images give equal bytes.
local archive = require "flake.archive"
local fs = require "flake.fs"
local strict_json = require "flake.strict_json"

local M = {}

local NAME = "org.opencontainers.image.ref.name"

-- Keys of an index and a manifest. podman would take them in any case.
local KEYS = { "schemaVersion", "mediaType", "artifactType", "manifests", "config", "layers",
  "subject", "annotations", "digest", "size", "urls", "data", "platform" }

local function decode(text, what, keys)
  local value, why = strict_json.decode(text, keys)
  if value then return value end
  return nil, ("%s %s"):format(what, why), "EARCHIVE"
end

-- The digest becomes a path: nothing but hexadecimal digits.
local function hex_of(descriptor)
  local digest = type(descriptor) == "table" and descriptor.digest
  local hex = type(digest) == "string" and digest:match("^sha256:([0-9a-f]+)$")
  if hex and #hex == 64 then return hex end
  return nil, "a digest in the image is none", "EARCHIVE"
end

-- JSON by digest. Returns it and its digest.
local function blob(read, descriptor, keys)
  local hex, message, code = hex_of(descriptor)
  local text, value
  if hex then text, message, code = read("blobs/sha256/" .. hex) end
  if text then value, message, code = decode(text, "blob " .. hex, keys) end
  if not value then return nil, message, code end
  return value, hex
end

-- The blobs of an image as a set.
local function blobs_of(manifest_hex, manifest, config_hex)
  local found = { [manifest_hex] = true, [config_hex] = true }
  for _, layer in ipairs(type(manifest.layers) == "table" and manifest.layers or {}) do
    local hex, message, code = hex_of(layer)
    if not hex then return nil, message, code end
    found[hex] = true
  end
  return found
end

-- read(member) gives the content of a file of the layout.
local function describe(read)
  local text, message, code = read("index.json")
  local index
  if text then index, message, code = decode(text, "index.json", KEYS) end
  if not index then return nil, message, code end
  local manifests = type(index.manifests) == "table" and index.manifests or {}
  if #manifests ~= 1 then
    return nil, ("holds %d images, not one"):format(#manifests), "EARCHIVE"
  end
  local manifest, hex, config, id, blobs
  manifest, hex, code = blob(read, manifests[1], KEYS)
  if not manifest then return nil, hex, code end
  config, id, code = blob(read, manifest.config)
  if not config then return nil, id, code end
  blobs, message, code = blobs_of(hex, manifest, id)
  if not blobs then return nil, message, code end
  local notes = manifests[1].annotations
  return { id = id, created = config.created, descriptor = manifests[1], blobs = blobs,
    reference = type(notes) == "table" and notes[NAME] or nil }
end

--- What a layout in a directory holds: {id=, reference=, created=}, or nil, message, code.
function M.of_dir(dir)
  local tree <close>, why, reason = fs.tree(dir)
  if not tree then return nil, why, reason end
  local image, message, code = describe(function(member)
    return tree:read(member, { limit = 1 << 24 })
  end)
  return image, message and ("%s: %s"):format(dir, message), code
end

--- The same of an archive.
function M.of_archive(path)
  local image, message, code = describe(function(member)
    return archive.read_file(path, member, { limit = 1 << 24 })
  end)
  return image, message and ("%s: %s"):format(path, message), code
end

--- Is the file an OCI archive? Returns a boolean, or nil, message, code if it is no archive.
function M.is_archive(path)
  local text, message, code = archive.read_file(path, "oci-layout")
  if text then return true end
  if code == "ENOENT" and fs.stat(path) then return false end
  return nil, message, code
end

--- Seconds since the epoch of a time such as 2024-05-06T07:08:09.1Z; nil if it is none.
function M.epoch(created)
  local pattern = "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)"
  local y, m, d, h, min, s = tostring(created):match(pattern)
  if not y then return nil end
  y, m = tonumber(y), tonumber(m)
  -- Days from the calendar: years begin in March, so that the leap day is the last.
  local year = m <= 2 and y - 1 or y
  local days = 365 * year + year // 4 - year // 100 + year // 400
    + (153 * ((m + 9) % 12) + 2) // 5 + tonumber(d) - 1 - 719468
  return ((days * 24 + tonumber(h)) * 60 + tonumber(min)) * 60 + tonumber(s)
end

-- Whatever else is there goes.
local function keep_only(tree, path, wanted)
  for _, name in ipairs(tree:list(path) or {}) do
    if not wanted[name] then assert(tree:remove(path == "" and name or path .. "/" .. name)) end
  end
end

-- podman reads what is written here, and the blobs of the one image. Without a name it is loaded
-- without one.
local function settle(tree, image, name)
  keep_only(tree, "", { blobs = true })
  keep_only(tree, "blobs", { sha256 = true })
  keep_only(tree, "blobs/sha256", image.blobs)
  local from = image.descriptor
  local text = require("dkjson").encode({ schemaVersion = 2, manifests = { {
    mediaType = from.mediaType, digest = from.digest, size = from.size,
    annotations = name and { [NAME] = name } } } },
    { keyorder = { "schemaVersion", "manifests", "mediaType", "digest", "size", "annotations" } })
  local ok, message, code = tree:write("oci-layout", '{"imageLayoutVersion": "1.0.0"}')
  if ok then ok, message, code = tree:write("index.json", text) end
  return ok, message, code
end

local function even_modes(tree, path)
  local st, message, code = tree:lstat(path)
  local ok
  if st then ok, message, code = tree:chmod(path, st.type == "directory" and 493 or 420) end
  if not ok then return nil, message, code end
  for _, name in ipairs(st.type == "directory" and tree:list(path) or {}) do
    ok, message, code = even_modes(tree, path == "" and name or path .. "/" .. name)
    if not ok then return nil, message, code end
  end
  return true
end

--- Packs a layout as archive that loads as `name` (nil: without one): the same bytes for the same
-- image. progress as for archive.create. Returns what of_dir gives, or nil, message, code.
function M.pack(dir, target, name, progress)
  local image, message, code = M.of_dir(dir)
  if not image then return nil, message, code end
  local tree <close>, why, reason = fs.tree(dir)
  if not tree then return nil, why, reason end
  local ok
  ok, message, code = settle(tree, image, name)
  if ok then ok, message, code = even_modes(tree, "") end
  if not ok then return nil, ("%s: %s"):format(dir, message), code end
  ok, message, code = archive.create(target, dir, { mtime = 0, progress = progress })
  return ok and image, message, code
end

return M
