-- SPDX-License-Identifier: MIT
-- An image archive of any kind (OCI or docker, compressed or not) as OCI layout in a directory.
local archive = require "flake.archive"
local fs = require "flake.fs"
local oci = require "flake.oci"
local process = require "flake.process"

local M = {}

-- A reference for an image that says none: the file's name.
local function from_file(file)
  local name = file:match("([^/]*)$"):lower()
  repeat
    local shorter = name:gsub("%.tar$", ""):gsub("%.[gx]z$", ""):gsub("%.tgz$", "")
      :gsub("%.zstd?$", ""):gsub("%.bz2$", ""):gsub("%.oci$", "")
    local done = shorter == name
    name = shorter
  until done
  name = name:gsub("[^a-z0-9]+", "-"):gsub("^-", ""):gsub("-$", "")
  return "localhost/" .. (name ~= "" and name or "image")
end

-- podman notes whole names, other tools only tags.
local function reference_of(noted, file)
  if not noted then return from_file(file) .. ":latest" end
  if noted:find("[/:]") then return noted end
  return ("%s:%s"):format(from_file(file), noted)
end

local function first_tag(file)
  local text = archive.read_file(file, "manifest.json")
  local list = text and require("dkjson").decode(text)
  local tags = type(list) == "table" and type(list[1]) == "table" and list[1].RepoTags
  return type(tags) == "table" and type(tags[1]) == "string" and tags[1] or nil
end

local function convert(file, dir)
  if not process.which("skopeo") then
    return nil, ("%s is no OCI archive; docker archives need skopeo, which is not installed")
      :format(file), "ENOENT"
  end
  if file:find(":", 1, true) or dir:find(":", 1, true) then
    return nil, "skopeo cannot read paths with ':'", "EUSAGE"
  end
  local result, message, code = process.run({ "skopeo", "copy", "--quiet",
    "docker-archive:" .. file, "oci:" .. dir }, { stdin = "null", stdout = "null" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, ("%s is no image archive"):format(file), "EARCHIVE" end
  return true
end

--- Unpacks an archive of one image. Returns {id=, reference=, created=}, or nil, message, code.
function M.unpack(file, dir)
  local is_oci, message, code = oci.is_archive(file)
  local ok, tag
  if is_oci then
    ok, message, code = fs.mkdir(dir)
    if ok then ok, message, code = archive.extract(file, dir, { plain = true }) end
  elseif is_oci == false then
    tag = first_tag(file)
    ok, message, code = convert(file, dir)
  end
  local image
  if ok then image, message, code = oci.of_dir(dir) end
  if not image then return nil, message, code end
  image.reference = reference_of(tag or image.reference, file)
  return image
end

return M
