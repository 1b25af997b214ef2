-- SPDX-License-Identifier: MIT
-- OCI image layouts, as directories and as archives: what is in them, and packing one so that equal
-- images give equal bytes.
local archive = require "flake.archive"
local fs = require "flake.fs"

local M = {}

local NAME = "org.opencontainers.image.ref.name"

local function decode(text, what)
  local value = text and require("dkjson").decode(text)
  if type(value) == "table" then return value end
  return nil, what .. " is no JSON object", "EARCHIVE"
end

-- Content by digest. The digest becomes a path: nothing but hexadecimal digits.
local function blob(read, descriptor)
  local digest = type(descriptor) == "table" and descriptor.digest
  local hex = type(digest) == "string" and digest:match("^sha256:(%x+)$")
  if not hex or #hex ~= 64 then return nil, "a digest in the image is none", "EARCHIVE" end
  local text, message, code = read("blobs/sha256/" .. hex)
  if not text then return nil, message, code end
  local value
  value, message, code = decode(text, "blob " .. hex)
  return value, message or hex, code
end

-- read(member) gives the content of a file of the layout.
local function describe(read)
  local text, message, code = read("index.json")
  local index
  if text then index, message, code = decode(text, "index.json") end
  if not index then return nil, message, code end
  local manifests = type(index.manifests) == "table" and index.manifests or {}
  if #manifests ~= 1 then
    return nil, ("holds %d images, not one"):format(#manifests), "EARCHIVE"
  end
  local manifest, config, id
  manifest, message, code = blob(read, manifests[1])
  if not manifest then return nil, message, code end
  config, id, code = blob(read, manifest.config)
  if not config then return nil, id, code end
  local notes = manifests[1].annotations
  return { id = id, created = config.created, descriptor = manifests[1],
    reference = type(notes) == "table" and notes[NAME] or nil }
end

--- What a layout in a directory holds: {id=, reference=, created=}, or nil, message, code.
function M.of_dir(dir)
  local image, message, code = describe(function(member)
    return fs.read(("%s/%s"):format(dir, member), { limit = 1 << 24 })
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

-- The image is to be loaded under that name.
local function rename(dir, image, name)
  local from = image.descriptor
  local text = require("dkjson").encode({ schemaVersion = 2, manifests = { {
    mediaType = from.mediaType, digest = from.digest, size = from.size,
    annotations = { [NAME] = name } } } },
    { keyorder = { "schemaVersion", "manifests", "mediaType", "digest", "size", "annotations" } })
  return fs.write(dir .. "/index.json", text)
end

local function even_modes(dir)
  assert(fs.chmod(dir, 493))
  for _, name in ipairs(fs.list(dir) or {}) do
    local path = ("%s/%s"):format(dir, name)
    if fs.lstat(path).type == "directory" then even_modes(path) else assert(fs.chmod(path, 420)) end
  end
end

--- Packs a layout as archive that loads as `name`: the same bytes for the same image.
-- progress as for archive.create. Returns what of_dir gives, or nil, message, code.
function M.pack(dir, target, name, progress)
  local image, message, code = M.of_dir(dir)
  local ok
  if image then ok, message, code = rename(dir, image, name) end
  if not ok then return nil, message, code end
  even_modes(dir)
  ok, message, code = archive.create(target, dir, { mtime = 0, progress = progress })
  return ok and image, message, code
end

return M
