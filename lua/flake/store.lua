-- SPDX-License-Identifier: MIT
-- A store of images: podman's of the caller, or through sudo that of the user a flake runs as.
-- The methods answer nil, message, code when podman fails.
local fs = require "flake.fs"
local process = require "flake.process"
local reason = require("flake.text").reason

local M = {}
M.__index = M

--- The store of a user; nil: the caller's. Returns nil, message, code for an unknown user.
function M.of(user)
  local known = user and fs.user(user)
  if user and not known then return nil, ("there is no user '%s'"):format(user), "EFLAKE" end
  local other = known and known.uid ~= fs.geteuid()
  return setmetatable({ prefix = other and { "sudo", "--user=" .. user, "--" } or {} }, M)
end

--- Runs a program as the store's user, with options of process.run, in / if they name no directory:
-- he may not reach the caller's. Returns its result.
function M:run(argv, opts)
  local full = table.move(self.prefix, 1, #self.prefix, 1, {})
  table.move(argv, 1, #argv, #full + 1, full)
  local all = { cwd = "/" }
  for name, value in pairs(opts or {}) do all[name] = value end
  return process.run(full, all)
end

--- Likewise; its output is collected.
function M:tool(argv, timeout, stderr)
  return self:run(argv, { stdin = "null", stdout = "pipe", stderr = stderr or "pipe",
    timeout = timeout })
end

--- podman's output. stderr: "inherit" shows its progress.
function M:podman(argv, stderr)
  local result, message, code = self:tool({ "podman", table.unpack(argv) }, nil, stderr)
  if not result then return nil, message, code end
  if result.code == 0 then return result.stdout end
  -- A registry may have written it: so it is said whose words they are.
  return nil, "podman: " .. reason(result, ("%s failed"):format(argv[1])), "EENGINE"
end

local function decode(text)
  local value = require("dkjson").decode(text)
  return type(value) == "table" and value or {}
end

--- What the store knows of an image: {id=, digest=, digests={[digest]=true}, names=, config=}.
-- nil without message: it is not there.
function M:image(name)
  local found, message, code = self:tool({ "podman", "image", "exists", name })
  if not found then return nil, message, code end
  if found.code == 1 then return nil end
  local text
  text, message, code = self:podman({ "image", "inspect", name })
  if not text then return nil, message, code end
  local image = decode(text)[1] or {}
  local digests = { [image.Digest or ""] = true }
  for _, known in ipairs(image.RepoDigests or {}) do
    digests[known:match("@(.*)$") or ""] = true
  end
  return { id = image.Id, digest = image.Digest, digests = digests, names = image.RepoTags or {},
    config = image.Config or {} }
end

--- Names of an image by its id, tags and digests; nil without message: it is not there.
function M:names(id)
  local text, message, code = self:podman({ "images", "--all", "--no-trunc", "--format", "json" })
  if not text then return nil, message, code end
  for _, image in ipairs(decode(text)) do
    if image.Id == id then return image.Names or {} end
  end
end

function M:tag(id, name)
  return self:podman({ "tag", id, name })
end

function M:untag(id, name)
  return self:podman({ "untag", id, name })
end

--- Removes an image that nothing names or uses. Returns true if it is gone, else false and why.
function M:drop(id)
  local names, message = self:names(id)
  if not names then return message == nil, message end
  if #names > 0 then return false, "it is also named " .. table.concat(names, ", ") end
  local ok
  ok, message = self:podman({ "rmi", id })
  return ok ~= nil, message
end

-- A label of containers that flakes start. Its value is made at the start, so that what an image
-- says of itself, for all containers of it, is another.
local RUN = "flake-pilot.run"

-- What images say of themselves: {[id]=value}.
local function said_by_images(self)
  local text, message, code = self:podman { "images", "--all", "--no-trunc", "--format", "json",
    "--filter", "label=" .. RUN }
  if not text then return nil, message, code end
  local said = {}
  for _, image in ipairs(decode(text)) do
    said[image.Id:gsub("^sha256:", "")] = (image.Labels or {})[RUN]
  end
  return said
end

--- Containers that flakes have started, as podman's JSON tells of them: of one flake, or (nil) of
-- all. all: also those that do not run. Returns an array, or nil, message, code.
function M:containers(flake, all)
  local text, message, code = self:podman { "ps", "--no-trunc", "--format", "json",
    "--filter", "label=flake-pilot.flake" .. (flake and "=" .. flake or ""),
    all and "--all" or "--all=false" }
  if not text then return nil, message, code end
  local found, said = {}, nil
  for _, container in ipairs(decode(text)) do
    if not said then said, message, code = said_by_images(self) end
    if not said then return nil, message, code end
    local run = container.Labels[RUN]
    local image = (container.ImageID or ""):gsub("^sha256:", "")
    if run and run ~= said[image] then table.insert(found, container) end
  end
  return found
end

--- Running containers of flakes that use an image: {{flake=, instance=, id=}, …}.
function M:instances(image_id)
  local found = {}
  for _, container in ipairs(self:containers() or {}) do
    local labels = container.Labels
    if container.ImageID == image_id then
      table.insert(found, { id = container.Id, flake = labels["flake-pilot.flake"],
        instance = labels["flake-pilot.instance"] ~= "" and labels["flake-pilot.instance"]
          or nil })
    end
  end
  return found
end

return M
