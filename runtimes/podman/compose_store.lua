-- SPDX-License-Identifier: MIT
-- What a composition has in podman's store: images (one name a flake, the key as tag), and, for the
-- time of the work, containers of the parts and a copy of the lowest. Every name is derived from
-- the flake's, so that what a killed composition left is found again.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local process = require "flake.process"

local M = {}

-- End of the tag of an image that goes without files that the host has not.
M.LENIENT = "-lenient"

local QUIET = { stdin = "null", stdout = "null", stderr = "null" }

-- So many parts a killed composition may have had.
local PARTS_MAX = 16

local function last_part(flake)
  return pilot.composed_name(flake):match("([^/]*)$")
end

--- Is the flake's image made of several things?
function M.is_composed(flake)
  return flake.engine == "podman" and (flake.base ~= nil or #flake.layers > 0
    or #flake.include.tar > 0 or #flake.include.path > 0 or flake.check_host_dependencies)
end

--- A file of the composition in the state directory. '~' is in no name of an instance.
function M.state_file(flake, suffix)
  local dir, message, code = pilot.state_dir()
  if not dir then return nil, message, code end
  return ("%s/~%s.%s"):format(dir, last_part(flake), suffix)
end

--- The name of the copy of the lowest part, while the image is composed.
function M.base_name(flake)
  return ("localhost/flake-pilot/base-%s"):format(last_part(flake))
end

--- The name of a container for the time of the work.
function M.container_name(flake, what)
  return ("flake-compose-%s-%s"):format(last_part(flake), what)
end

local function temp_base()
  return process.getenv("TMPDIR") or "/var/tmp"
end

local function temp_prefix(flake)
  return "flake-compose-" .. last_part(flake)
end

--- A directory for the parts that are no images; removed at <close>.
function M.temp_dir(flake)
  return fs.temp_dir({ dir = temp_base(), prefix = temp_prefix(flake) })
end

local function sweep_files(flake)
  local prefix = temp_prefix(flake) .. "."
  for _, name in ipairs(fs.list(temp_base()) or {}) do
    local path = ("%s/%s"):format(temp_base(), name)
    if name:sub(1, #prefix) == prefix and #name == #prefix + 6 then
      local st = fs.lstat(path)
      if st and st.type == "directory" and st.uid == fs.geteuid() then fs.remove_tree(path) end
    end
  end
end

-- podman build leaves its working containers when it is interrupted; they are called like the
-- image that they were made from.
local function sweep_containers(flake)
  local args = { "rm", "--force", "--ignore", "--time", "0",
    M.container_name(flake, "run"), ("base-%s-working-container"):format(last_part(flake)) }
  for i = 1, PARTS_MAX do table.insert(args, M.container_name(flake, i)) end
  podman.call(args, QUIET)
end

--- Makes a container of the Nth part, to look into. Returns its name, or nil, message, code.
function M.create(flake, part, n)
  local container = M.container_name(flake, n)
  local made, message, code = podman.call({ "create", "--pull=never", "--name", container,
    "--network=none", "--http-proxy=false", "--image-volume=ignore", part.id, "/flake-compose" },
    { stdin = "null", stdout = "null" })
  if not made then return nil, message, code end
  if made.code ~= 0 then
    return nil, ("cannot look into image '%s'"):format(part.reference), "EENGINE"
  end
  return container
end

local swept = {}

--- A copy of the lowest part without its triggers (ONBUILD): podman build would execute them, with
-- the includes of the host at hand. A committed image in OCI's format has none.
-- Returns the copy's configuration, or nil, message, code.
function M.copy_base(flake, part)
  local container, why, reason = M.create(flake, part, 1)
  if not container then return nil, why, reason end
  local name = M.base_name(flake)
  local text, message, code = podman.ask("commit", "--quiet", "--format=oci", container, name)
  if text then
    text, message, code = podman.ask("image", "inspect", "--format", "{{json .Config}}", name)
  end
  if not text then return nil, message, code end
  local config = require("dkjson").decode(text)
  if type(config) == "table" then return config end
  return nil, ("cannot copy image '%s'"):format(part.reference), "EENGINE"
end

--- Cleans up what a killed composition left. The result does it again at <close>, on every path.
function M.workshop(flake)
  if not swept[flake] then
    sweep_files(flake)
    sweep_containers(flake)
    M.remove(M.base_name(flake))
    swept[flake] = true
  end
  return setmetatable({}, { __close = function()
    sweep_containers(flake)
    M.remove(M.base_name(flake))
  end })
end

--- Path of the file that changes with every image of the store, or nil, message, code.
function M.index_file()
  return podman.ask("info", "--format",
    "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-images/images.json")
end

--- All composed images of the flake: array of {id=, tag=}, or nil, message, code.
function M.images(flake)
  local name = pilot.composed_name(flake)
  local text, message, code = podman.ask("images", "--no-trunc", "--format",
    "{{.Id}} {{.Repository}} {{.Tag}}", name)
  if not text then return nil, message, code end
  local found = {}
  for id, repository, tag in text:gmatch("(%S+) (%S+) (%S+)") do
    if repository == name then table.insert(found, { id = id:gsub("^sha256:", ""), tag = tag }) end
  end
  return found
end

--- Removes an image, by id or name; if it is in use it stays, silently. Is it gone?
function M.remove(image)
  local result = podman.call({ "rmi", image }, QUIET)
  return result ~= nil and result.code == 0
end

--- Removes composed images of the flake but the one of that tag; those in use stay, silently.
-- Returns how many went.
function M.collect(flake, images, tag)
  local gone = 0
  for _, image in ipairs(images) do
    if image.tag ~= tag and (image.tag ~= "latest" or not tag) then
      local name = ("%s:%s"):format(pilot.composed_name(flake), image.tag)
      if M.remove(name) then gone = gone + 1 end
    end
  end
  return gone
end

--- Removes all composed images of a flake that is gone.
function M.drop(flake)
  local file = M.state_file(flake, "hosts")
  if file then fs.unlink(file) end
  local images, message, code = M.images(flake)
  if not images then return nil, message, code end
  M.collect(flake, images)
  return true
end

return M
