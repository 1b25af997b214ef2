-- SPDX-License-Identifier: MIT
-- What a bundle of a podman flake has: its image, base and layers as OCI archives.
local fs = require "flake.fs"
local image = require "flake.image"
local is_text = require("flake.text").is_text
local podman = require "flake.podman"
local yaml = require "flake.yaml"

local M = {}

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

--- Names of the files that a bundle must have. bundle: its manifest.
function M.files(bundle)
  local names = { "image" }
  for i in ipairs(bundle.parts) do names[i + 1] = "part/" .. i end
  return names
end

-- The names that podman gives to what it loads must be what the manifest says, or another image
-- would be replaced.
local function is_named(file, reference)
  local tagged = reference:match(":[^/]*$") and reference or reference .. ":latest"
  for _, name in ipairs(image.names_in(file)) do
    local qualified = tostring(name):sub(-#tagged - 1) == "/" .. tagged
    if name ~= reference and name ~= tagged and not qualified then return false end
  end
  return true
end

--- Checks the images of an unpacked bundle. Returns true, or nil, message, code.
function M.check(bundle, file, dir)
  local images = { { "image", bundle.image } }
  for i, part in ipairs(bundle.parts) do images[i + 1] = { "part/" .. i, part } end
  for _, one in ipairs(images) do
    if not is_text(one[2]) or not is_named(dir .. "/" .. one[1], one[2]) then
      return nil, ("%s: %s is not of image '%s'"):format(file, one[1],
        tostring(one[2])), "EARCHIVE"
    end
  end
  return true
end

--- What a definition must say on this host: nothing else.
function M.adapt() end

local function load_image(file)
  local result, message, code = podman.call({ "load", "--quiet", "--input", file },
    { stdout = "null" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, "podman could not load the bundle's image", "EENGINE" end
  return true
end

--- Loads the images of an unpacked bundle. Returns true, or nil, message, code.
function M.load(bundle, dir)
  local ok, message, code = load_image(dir .. "/image")
  for i in ipairs(bundle.parts) do
    if ok then ok, message, code = load_image(("%s/part/%d"):format(dir, i)) end
  end
  return ok, message, code
end

return M
