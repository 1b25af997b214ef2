-- SPDX-License-Identifier: MIT
-- Names of flakes and commands, and the places that they need: what may stand where, and what is
-- there already.
local fs = require "flake.fs"
local loader = require "flake.loader"
local pilot = require "flake.pilot"
local base = require("flake.text").base

local M = {}

local LINK_DIRS = { "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin", "/opt/bin" }

local is_launcher = { ["flake-launch"] = true, ["firecracker-pilot"] = true }
for _, engine in ipairs(pilot.engines()) do is_launcher[engine .. "-pilot"] = true end

--- Is this the target of a command link of ours: the pilot of an engine, or flake-launch?
function M.is_pilot(target)
  return is_launcher[base(target)] or false
end

--- "ours", "foreign" or nil (nothing there). Dangling links count as what they point to.
function M.what_is_at(path)
  local st = fs.lstat(path)
  if not st then return nil end
  local target = st.type == "symlink" and fs.readlink(path)
  return target and M.is_pilot(target) and "ours" or "foreign"
end

--- Is this the name of a temporary file of ours?
function M.is_leftover(name)
  return name:match("%.tmp%.%w+$") ~= nil
end

--- The flake whose command COMMAND.yaml makes, as the pilots see it: the target of a relative link
-- in the same directory. nil: it is no such link.
function M.alias_target(path)
  local target = fs.readlink(path)
  return target and target:match("^([^/]+)%.yaml$")
end

--- Where command links usually are, each directory once. opts as for registry.dir.
function M.link_dirs(opts, prefix)
  local root = opts.user and loader.user_root()
  local home = root and root:gsub("/%.flakes$", "")
  local dirs, seen = {}, {}
  for _, dir in ipairs(home and { home .. "/.local/bin", home .. "/bin" } or LINK_DIRS) do
    local real = fs.realpath(prefix .. dir) or dir
    if not seen[real] then table.insert(dirs, dir) end
    seen[real] = true
  end
  return dirs
end

--- Checks a name of a flake or command. Returns true, or nil, reason.
function M.check_name(name)
  if #name > 200 or not name:match("^[%w_][%w._+-]*$") then
    return nil, "a name has letters, digits and . _ + - and begins with none of . + -"
  end
  return true
end

-- A pilot that is called by a name such as its own explains itself.
local function check_command(name)
  if name:match("%-pilot$") or M.is_pilot(name) then
    return nil, "only pilots have such names"
  end
  return M.check_name(name)
end

--- Checks all names of a definition (as for registry.register).
-- Returns true, or nil, message, "EUSAGE".
function M.check_names(def)
  local ok, why = M.check_name(def.name)
  if not ok then return nil, ("flake name '%s': %s"):format(def.name, why), "EUSAGE" end
  for _, app in ipairs(def.apps) do
    ok, why = check_command(base(app.path))
    if not ok then return nil, ("command '%s': %s"):format(app.path, why), "EUSAGE" end
  end
  return true
end

--- What a removed flake of that name has left and what would count for the next one: directories
-- with something in them, beside no definition.
function M.remains(name, dir)
  local found = {}
  if fs.lstat(("%s/%s.yaml"):format(dir, name)) then return found end
  for _, kind in ipairs { "d", "include" } do
    local path = ("%s/%s.%s"):format(dir, name, kind)
    if #(fs.list(path) or {}) > 0 then table.insert(found, path) end
  end
  return found
end

local function check_remains(def, dir, force)
  local remains = M.remains(def.name, dir)
  if force or #remains == 0 then return true end
  return nil, ("%s is there, of a flake '%s' that is gone: --force removes it"):format(remains[1],
    def.name), "EEXIST"
end

local function check_file(def, dir, force)
  local file = ("%s/%s.yaml"):format(dir, def.name)
  local st = fs.lstat(file)
  if not st or (st.type ~= "symlink" and force) then return true end
  local what = M.alias_target(file) and "is a command of another flake" or "exists already"
  return nil, ("flake '%s' %s: %s"):format(def.name, what, file), "EEXIST"
end

local function check_link(path, force)
  local found = M.what_is_at(path)
  if found == "foreign" then return nil, path .. " exists and is no flake", "EEXIST" end
  if found and not force then return nil, path .. " exists already", "EEXIST" end
  return true
end

local function check_alias(def, dir, command, force)
  local alias = ("%s/%s.yaml"):format(dir, command)
  local owner = command ~= def.name and fs.lstat(alias)
    and (fs.readlink(alias) or "a flake of that name")
  if not owner or (force and owner == def.name .. ".yaml") then return true end
  return nil, ("command '%s' belongs to another flake: %s"):format(command, alias), "EEXIST"
end

--- Everything that a definition needs must be free, or ours and force.
-- Returns true, or nil, message, "EEXIST".
function M.check_free(def, dir, prefix, force)
  local ok, message, code = check_file(def, dir, force)
  if ok then ok, message, code = check_remains(def, dir, force) end
  for _, app in ipairs(def.apps) do
    if ok then ok, message, code = check_link(prefix .. app.path, force) end
    if ok then ok, message, code = check_alias(def, dir, base(app.path), force) end
  end
  return ok, message, code
end

--- A place of a command of that name that is ours, where such links usually are; nil: none.
function M.find_link(name, opts, prefix)
  for _, dir in ipairs(M.link_dirs(opts, prefix)) do
    local path = ("%s%s/%s"):format(prefix, dir, name)
    if M.what_is_at(path) == "ours" then return path end
  end
end

--- Removes what killed commands left beside the definitions: under the lock nobody else's is in
-- use.
function M.sweep_definitions(dir)
  for _, entry in ipairs(fs.list(dir) or {}) do
    if M.is_leftover(entry) then fs.remove_tree(dir .. "/" .. entry) end
  end
end

--- The same of a flake that is to be registered, beside its commands, too.
function M.sweep(def, dir, prefix)
  M.sweep_definitions(dir)
  for _, app in ipairs(def.apps) do
    local parent, name = (prefix .. app.path):match("^(.*/)([^/]*)$")
    for _, entry in ipairs(fs.list(parent) or {}) do
      local path = parent .. entry
      if entry:sub(1, #name + 5) == name .. ".tmp." and M.what_is_at(path) == "ours" then
        fs.unlink(path)
      end
    end
  end
end

return M
