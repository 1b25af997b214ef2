-- SPDX-License-Identifier: MIT
-- What decides whether a composed image is up to date: stamps of files, and the key made of them.
local digest = require "flake.digest"
local fs = require "flake.fs"
local includes = require "flake.includes"
local loader = require "flake.loader"
local pilot = require "flake.pilot"

local M = {}

-- A launch looks at each of them.
local ENTRIES_MAX = 50000

-- A device gets another number when the machine starts again; that is no change of a file.
local function without_device(stamp)
  return (stamp:gsub("^%d+:", ""))
end

local function add(state, path)
  local stamp = pilot.watch(path)
  table.insert(state.entries, stamp)
  table.insert(state.key, without_device(stamp))
end

local function add_tree(state, path)
  add(state, path)
  if #state.entries > ENTRIES_MAX then
    return nil, ("%s: more than %d files to watch"):format(path, ENTRIES_MAX), "ELIMIT"
  end
  local st, message, code = fs.lstat(path)
  if not st then return nil, message, code end
  if st.type ~= "directory" then return true end
  local names
  names, message, code = fs.list(path)
  if not names then return nil, message, code end
  for _, name in ipairs(names) do
    local ok
    ok, message, code = add_tree(state, ("%s/%s"):format(path, name))
    if not ok then return nil, message, code end
  end
  return true
end

local function add_includes(state, flake, kind)
  for _, path in ipairs(flake.include[kind]) do
    table.insert(state.key, kind)
    local full = includes.absolute(flake, path)
    add(state, full)
    local real, message, code = fs.realpath(full)
    local ok = real
    if real then ok, message, code = add_tree(state, real) end
    if not ok then
      return nil, ("flake '%s': include.%s: %s"):format(flake.name, kind, message), code
    end
  end
  return true
end

-- What says which parts it has. Also the definitions that would count instead of this one.
local function add_definition(state, flake)
  local function watch(path) table.insert(state.entries, pilot.watch(path)) end
  for _, file in ipairs(flake.files) do watch(file) end
  watch((flake.file:gsub("%.yaml$", ".d")))
  local own = loader.user_root()
  for _, dir in ipairs { pilot.flakes_dir(), own and own .. "/flakes" } do
    local file = ("%s/%s.yaml"):format(dir, flake.name)
    if file ~= flake.file then watch(file) end
  end
end

--- Stamps of all that the image depends on but the store. paths: as compose_host gives them.
-- Returns {entries=, key=}, or nil, message, code.
function M.take(flake, parts, paths)
  local state = { entries = {}, key = { "flake-pilot compose 1", flake.file } }
  add_definition(state, flake)
  for _, part in ipairs(parts) do table.insert(state.key, part.id) end
  for _, entry in ipairs(paths) do
    table.insert(state.key, entry.kind)
    add(state, entry.path)
  end
  for _, kind in ipairs { "tar", "path" } do
    local ok, message, code = add_includes(state, flake, kind)
    if not ok then return nil, message, code end
  end
  state.key = digest.sha256(table.concat(state.key, "\0"))
  return state
end

return M
