-- SPDX-License-Identifier: MIT
-- Images that a flake brings along as archives (key `archive` of its definition): the flake's own
-- image first, then those of its base and layers. Each has a name of the flake's own, so that a
-- name that others use is never moved, and nothing goes that was there before.
local fs = require "flake.fs"
local locks = require "flake.locks"
local oci = require "flake.oci"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local references = require "flake.references"
local registry = require "flake.registry"
local signature = require "flake.signature"

local M = {}

--- References of the images, in the order of the archives.
function M.references(flake)
  return { flake.image, flake.base, table.unpack(flake.base and flake.layers or {}) }
end

--- The flake's own name for its Nth image. tag: "offered" marks an image that got the name in the
-- definition from us.
function M.name(flake, n, tag)
  local key = pilot.composed_name(flake):match("([^/]*)$")
  return ("localhost/flake-pilot/package-%s%s:%s"):format(key, n > 1 and "-" .. n or "",
    tag or "latest")
end

-- Id of an image in the store; nil if it is not there (or podman cannot tell).
local function id_of(place, name)
  local text = place:podman { "image", "inspect", "--format", "{{.Id}}", "--", name }
  return text and text:gsub("^sha256:", ""):match("^%x+")
end

local function flakes_but(name)
  local found = {}
  for _, row in ipairs(registry.list() or {}) do
    local flake = row.engine == "podman" and row.name ~= name and registry.find(row.name)
    if flake then table.insert(found, flake) end
  end
  return found
end

-- References of other flakes, as a set.
local function used_by_others(flake)
  local used = {}
  for _, reference in ipairs(references.collect(flakes_but(flake.name))) do
    used[references.with_tag(reference.name)] = true
  end
  return used
end

-- The name that the definition says, for whoever looks for it; taken names stay what they are.
local function offer(place, flake, n, reference, id)
  local full, mark = references.with_tag(reference), M.name(flake.state_name, n, "offered")
  local there = id_of(place, reference)
  if there == id or full:find("@", 1, true) then return end
  if there and (there ~= id_of(place, mark) or used_by_others(flake)[full]) then return end
  place:tag(id, reference)
  place:tag(id, mark)
end

local function load_one(place, flake, n, path, reference)
  -- The file may go when the image is there; and a copy of the definition may be elsewhere.
  if not fs.stat(path) then
    local id = id_of(place, M.name(flake.state_name, n)) or reference and id_of(place, reference)
    if id then return id end
  end
  local image, message, code = oci.of_archive(path)
  if not image then return nil, message, code end
  local name = M.name(flake.state_name, n)
  local old = id_of(place, name)
  if old == image.id then return image.id end
  local ok
  if id_of(place, image.id) then
    ok, message, code = place:tag(image.id, name)
  else
    ok, message, code = place:podman { "load", "--quiet", "--input", path }
    if ok and image.reference ~= name then ok, message, code = place:tag(image.id, name) end
  end
  if not ok then return nil, message, code end
  if reference then offer(place, flake, n, reference, image.id) end
  if old then place:drop(old) end
  return image.id
end

--- Loads what is missing. place: a store. Returns the ids, or nil, message, code.
function M.ensure(flake, place)
  local refs, ids = M.references(flake), {}
  for n, path in ipairs(flake.archives) do
    local id, message, code = load_one(place, flake, n, path, refs[n])
    if not id then return nil, message, code end
    ids[n] = id
  end
  return ids
end

--- Notes the image for the pilot, as long as definition, archives and store stay as they are.
function M.record(flake, id)
  local index, message, code = podman.ask("info", "--format",
    "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-images/images.json")
  if not index then return nil, message, code end
  local entries = { index, (flake.file:gsub("%.yaml$", ".d")) }
  table.move(flake.files, 1, #flake.files, #entries + 1, entries)
  table.move(flake.archives, 1, #flake.archives, #entries + 1, entries)
  for i, path in ipairs(entries) do entries[i] = pilot.watch(path) end
  return pilot.record_composed(flake.state_name, id, entries)
end

--- One at a time for each flake and user. Returns the lock, or nil, message, code.
function M.lock(flake)
  local dir, message, code = pilot.state_dir()
  if not dir then return nil, message, code end
  local key = pilot.composed_name(flake.state_name):match("([^/]*)$")
  return locks.wait(("%s/~%s.archive"):format(dir, key))
end

-- Ids of images that other flakes use.
local function ids_of_others(place, flake)
  local ids = {}
  for reference in pairs(used_by_others(flake)) do
    local id = id_of(place, reference)
    if id then ids[id] = true end
  end
  return ids
end

--- Gets the images that no archive holds. Returns true, or nil, message, code.
function M.pull(flake, place)
  for n, reference in ipairs(M.references(flake)) do
    local ok, message, code = true, nil, nil
    if not id_of(place, reference) then
      ok, message, code = signature.pull(place, reference, function(args)
        return place:podman({ "pull", table.unpack(args) }, "inherit")
      end)
      local id = ok and id_of(place, reference)
      for _, tag in ipairs(id and { "latest", "offered" } or {}) do
        place:tag(id, M.name(flake.state_name, n, tag))
      end
    end
    if not ok then return nil, message, code end
  end
  return true
end

-- A name goes: of the image, not of what it may have become.
local function untag(place, id, name)
  if id_of(place, name) == id then place:untag(id, name) end
end

--- Takes away what the flake brought or pulled, but no image that another flake uses.
function M.release(flake, place)
  local others = ids_of_others(place, flake)
  for n, reference in ipairs(M.references(flake)) do
    local name, mark = M.name(flake.state_name, n), M.name(flake.state_name, n, "offered")
    local id, offered = id_of(place, name), id_of(place, mark)
    if offered and not others[offered] then untag(place, offered, reference) end
    if offered then untag(place, offered, mark) end
    if id then untag(place, id, name) end
    for _, one in ipairs { id or "", offered or "" } do
      if one ~= "" and not others[one] then place:drop(one) end
    end
  end
  return true
end

return M
