-- SPDX-License-Identifier: MIT
-- The images that a composed image is made of.
local podman = require "flake.podman"
local quote = require("flake.text").quote
local reason = require("flake.text").reason
local signature = require "flake.signature"
local store = require "flake.store"

local M = {}

--- References of the parts, lowest first.
function M.references(flake)
  local refs = {}
  if flake.base then
    table.insert(refs, flake.base)
    table.move(flake.layers, 1, #flake.layers, 2, refs)
  end
  table.insert(refs, flake.image)
  return refs
end

--- Is an image in the store? Returns a boolean, or nil, message, code.
function M.is_here(reference)
  local result, message, code = podman.call({ "image", "exists", "--", reference },
    { stdin = "null", stdout = "null", stderr = "null" })
  if not result then return nil, message, code end
  return result.code == 0
end

local function pull(reference)
  if reference:match("^localhost/") then
    return nil, ("image '%s' is not here, and no registry has it: load it with "
      .. "flake-ctl podman load --oci FILE"):format(reference), "EENGINE"
  end
  return signature.pull(store.of(nil), reference, function(args)
    local result, message, code = podman.call({ "pull", "--quiet", table.unpack(args) },
      { stdin = "null", stdout = "null" })
    if not result then return nil, message, code end
    if podman.status(result) == 0 then return true end
    return nil, ("cannot get image '%s'; see: flake-ctl podman pull --uri %s")
      :format(reference, quote(reference)), "EENGINE"
  end)
end

local function inspect(refs)
  local result, message, code = podman.call({ "image", "inspect", "--",
    table.unpack(refs) }, { stdin = "null", stdout = "pipe", stderr = "pipe" })
  if not result then return nil, message, code end
  if result.code ~= 0 then
    return nil, reason(result, "podman image inspect failed"), "EENGINE"
  end
  local images = require("dkjson").decode(result.stdout)
  if type(images) == "table" and #images == #refs then return images end
  return nil, "podman image inspect gave no sense", "EENGINE"
end

--- The parts, lowest first: array of {reference=, id=, config=}, or nil, message, code. Those that
-- are missing are pulled.
function M.find(flake)
  local refs = M.references(flake)
  local images, message, code = inspect(refs)
  if not images then
    for _, reference in ipairs(refs) do
      local here, why, name = M.is_here(reference)
      if here == false then here, why, name = pull(reference) end
      if not here then return nil, why, name end
    end
    images, message, code = inspect(refs)
  end
  if not images then return nil, message, code end
  local parts = {}
  for i, image in ipairs(images) do
    parts[i] = { reference = refs[i], id = image.Id:gsub("^sha256:", ""),
      config = image.Config or {} }
  end
  return parts
end

return M
