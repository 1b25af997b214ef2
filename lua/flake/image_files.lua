-- SPDX-License-Identifier: MIT
-- Reads files out of an image without running anything of it: a container that is created, copied
-- from and removed. podman follows links inside the image only; nothing is unpacked on the host.
local archive = require "flake.archive"
local fs = require "flake.fs"
local scratch = require "flake.scratch"
local store = require "flake.store"

local M = {}
local Files = {}
Files.__index = Files

-- What one file, and one directory with all in it, may have.
local FILE_LIMIT, DIR_LIMIT = 4 << 20, 64 << 20

function Files:podman(args, opts)
  return self.store:run({ "podman", table.unpack(args) }, opts)
end

--- Opens an image that is here; user: whose podman has it (nil: the caller's). Close it at the end.
-- Returns the files, or nil, message, code.
function M.open(image, user)
  local user_store, why, name = store.of(user)
  if not user_store then return nil, why, name end
  local self = setmetatable({ image = image, store = user_store }, Files)
  local made, message, code = self:podman(
    { "create", "--pull=never", "--net=none", image, "/none" }, { stdin = "null", stdout = "pipe" })
  if not made then return nil, message, code end
  if made.code ~= 0 then
    return nil, ("image '%s' cannot be read: exports need it here"):format(image), "EENGINE"
  end
  self.id = made.stdout:match("%x+")
  self.temp, message, code = scratch.open("files")
  if self.temp then return self end
  self:close()
  return nil, message, code
end

function Files:close()
  if self.id then
    self:podman({ "rm", "--force", self.id }, { stdin = "null", stdout = "null", stderr = "null" })
  end
  if self.temp then self.temp:close() end
  self.id, self.temp = nil, nil
end

Files.__close = Files.close

-- The tar of a path, as a file of ours; nil if it is not there or too large.
function Files:tar(path, limit)
  local copied = self:podman({ "cp", self.id .. ":" .. path, "-" },
    { stdin = "null", stdout = "pipe", stderr = "null", limit = limit })
  if not copied or copied.code ~= 0 then return nil end
  local file = self.temp.dir .. "/tar"
  return fs.write(file, copied.stdout) and file
end

--- Content of a regular file, or of what a link leads to inside the image; nil if there is none.
function Files:get(path)
  local tar = self:tar(path, FILE_LIMIT + (64 << 10))
  local members = tar and archive.list(tar, { max_entries = 10 })
  if not members or #members ~= 1 or members[1].type ~= "file" then return nil end
  return archive.read_file(tar, members[1].path, { limit = FILE_LIMIT })
end

--- Entries of a directory whose names wanted(name) takes: array of {name=, data=}.
function Files:dir(path, wanted)
  local tar = self:tar(path, DIR_LIMIT)
  local found, links = {}, {}
  for _, member in ipairs(tar and archive.list(tar, { max_entries = 100000 }) or {}) do
    local name = member.path:match("^[^/]+/([^/]+)$")
    if name and wanted(name) then
      local data = member.type == "file"
        and archive.read_file(tar, member.path, { limit = FILE_LIMIT })
      if data then
        table.insert(found, { name = name, data = data })
      elseif member.type:match("link$") then
        table.insert(links, name)
      end
    end
  end
  -- The tar is gone once another file is read.
  for _, name in ipairs(links) do
    local data = self:get(path .. "/" .. name)
    if data then table.insert(found, { name = name, data = data }) end
  end
  return found
end

--- What the image's own entry point runs; nil: nothing that it names.
function Files:entry_point()
  local asked = self:podman({ "image", "inspect", "--format", "{{json .Config}}", self.image },
    { stdin = "null", stdout = "pipe", stderr = "null" })
  local config = asked and asked.code == 0 and require("dkjson").decode(asked.stdout)
  for _, key in ipairs { "Entrypoint", "Cmd" } do
    local argv = type(config) == "table" and config[key]
    if type(argv) == "table" and type(argv[1]) == "string" then return argv[1] end
  end
end

-- --- several images, one over the other ---------------------------------------------------------

local Stack = {}
Stack.__index = Stack

--- Opens images, highest first; what is in one hides what those below have under the same name.
-- Otherwise as open.
function M.open_all(images, user)
  local stack = setmetatable({ parts = {} }, Stack)
  for i, image in ipairs(images) do
    local files, message, code = M.open(image, user)
    if not files then
      stack:close()
      return nil, message, code
    end
    stack.parts[i] = files
  end
  return stack
end

function Stack:close()
  for _, files in ipairs(self.parts) do files:close() end
end

Stack.__close = Stack.close

function Stack:get(path)
  for _, files in ipairs(self.parts) do
    local data = files:get(path)
    if data then return data end
  end
end

function Stack:dir(path, wanted)
  local found, seen = {}, {}
  for _, files in ipairs(self.parts) do
    for _, entry in ipairs(files:dir(path, wanted)) do
      if not seen[entry.name] then table.insert(found, entry) end
      seen[entry.name] = true
    end
  end
  return found
end

--- As for what is composed of them: the highest one's, else the lowest one's.
function Stack:entry_point()
  return self.parts[1]:entry_point() or self.parts[#self.parts]:entry_point()
end

return M
