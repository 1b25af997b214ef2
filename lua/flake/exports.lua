-- SPDX-License-Identifier: MIT
-- Files of an image on the host, below its share directory, and the list of them in
-- NAME.d/exports.list: "DIGEST PATH" a line. A file is replaced or removed only if it is as we
-- wrote it. The list is written before the files, so a crash leaves none that nobody owns.
local fs = require "flake.fs"
local names = require "flake.names"

local M = {}

local PLACES = { applications = true, icons = true, pixmaps = true, man = true, zsh = true,
  fish = true, ["bash-completion"] = true }

--- The share directory that files are exported to. user: of the caller's own flakes.
function M.base(prefix, user)
  if user then return fs.user(fs.getuid()).home .. "/.local/share" end
  return prefix .. "/usr/local/share"
end

-- FNV-1a, to notice changes; no defence, for who can change the file can change the list.
local function digest(text)
  local hash = 0xcbf29ce484222325
  for i = 1, #text, 4096 do
    for _, byte in ipairs { text:byte(i, math.min(i + 4095, #text)) } do
      hash = (hash ~ byte) * 0x100000001b3
    end
  end
  return ("%016x"):format(hash)
end

local function is_ours(path)
  return names.relative(path) ~= nil and PLACES[path:match("^[^/]+")] ~= nil
end

local function list_file(dir, name)
  return ("%s/%s.d/exports.list"):format(dir, name)
end

--- What a flake has exported: {[path] = {[digest] = true}}. After a crash a path may have two.
function M.read(dir, name)
  local owned = {}
  for line in (fs.read(list_file(dir, name)) or ""):gmatch("[^\n]+") do
    local hash, path = line:match("^(%x+) (.+)$")
    if path and is_ours(path) then
      owned[path] = owned[path] or {}
      owned[path][hash] = true
    end
  end
  return owned
end

--- The paths of files, for hooks.
function M.paths(files)
  local paths = {}
  for i, file in ipairs(files) do paths[i] = file.path end
  return paths
end

-- Is the file as we wrote it? nil: there is none.
local function is_unchanged(file, digests)
  local st = fs.lstat(file)
  if not st then return nil end
  local text = digests and st.type == "file" and fs.read(file)
  return text and digests[digest(text)] or false
end

local function text_of(owned)
  local lines = {}
  for path, digests in pairs(owned) do
    for hash in pairs(digests) do table.insert(lines, hash .. " " .. path .. "\n") end
  end
  table.sort(lines)
  return table.concat(lines)
end

local function owned_by(files, old)
  local owned = {}
  for path, digests in pairs(old or {}) do
    owned[path] = {}
    for hash in pairs(digests) do owned[path][hash] = true end
  end
  for _, file in ipairs(files) do
    owned[file.path] = owned[file.path] or {}
    owned[file.path][digest(file.data)] = true
  end
  return owned
end

--- Is every place free, or the flake's own and unchanged? files: {{path=, data=}, …}
-- Returns true, or nil, message, "EEXIST".
function M.check(files, dir, name, base)
  local old = M.read(dir, name)
  for _, file in ipairs(files) do
    local full = base .. "/" .. file.path
    if is_unchanged(full, old[file.path]) == false then
      local why = old[file.path] and "was changed since it was exported"
        or "exists and is not of this flake"
      return nil, ("%s %s"):format(full, why), "EEXIST"
    end
  end
  return true
end

local function write_file(full, data)
  local ok, message, code = fs.mkdir_p((full:match("^(.*)/")))
  if ok then ok, message, code = fs.write(full, data, { mode = 420 }) end
  return ok, message, code
end

--- Adds steps {do, undo} that write the list and the files.
function M.add_steps(steps, files, dir, name, base)
  if #files == 0 then return end
  local file = list_file(dir, name)
  local before, both = fs.read(file), text_of(owned_by(files, M.read(dir, name)))
  table.insert(steps, {
    function() return fs.write(file, both, { mode = 420 }) end,
    function()
      if before then fs.write(file, before, { mode = 420 }) else fs.unlink(file) end
    end })
  for _, export in ipairs(files) do
    local full = base .. "/" .. export.path
    local there = fs.lstat(full) ~= nil
    table.insert(steps, { function() return write_file(full, export.data) end,
      not there and function() fs.unlink(full) end or nil })
  end
end

-- Temporary files that a killed registration left beside what is owned.
local function sweep(owned, base)
  local known_in = {}
  for path in pairs(owned) do
    local dir, name = (base .. "/" .. path):match("^(.*)/([^/]*)$")
    known_in[dir] = known_in[dir] or {}
    known_in[dir][name] = true
  end
  for dir, known in pairs(known_in) do
    for _, entry in ipairs(fs.list(dir) or {}) do
      local name = entry:match("^(.*)%.tmp%.%w+$")
      if name and known[name] then fs.unlink(dir .. "/" .. entry) end
    end
  end
end

-- Removes what is owned and not in keep; what somebody has changed stays.
local function drop(owned, keep, base, warn)
  sweep(owned, base)
  for path, digests in pairs(owned) do
    local full = base .. "/" .. path
    local unchanged = not keep[path] and is_unchanged(full, digests)
    if unchanged then
      local ok, message = fs.unlink(full)
      if not ok then warn(message) end
    elseif unchanged == false and not keep[path] then
      warn(("%s was changed since it was exported: it stays"):format(full))
    end
  end
end

local function silent() end

--- After a registration: takes away what only the replaced flake had exported.
function M.settle(files, dir, name, base, warn)
  local owned = owned_by(files)
  drop(M.read(dir, name), owned, base, warn or silent)
  if #files > 0 then return fs.write(list_file(dir, name), text_of(owned), { mode = 420 }) end
  fs.unlink(list_file(dir, name))
  return true
end

--- Takes away all that a flake has exported; warn(text) names what stays.
function M.remove(dir, name, base, warn)
  drop(M.read(dir, name), {}, base, warn or silent)
end

return M
