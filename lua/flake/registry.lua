-- SPDX-License-Identifier: MIT
-- The only writer of definitions: NAME.yaml, NAME.d/, aliases of further commands and the links
-- that make commands. Order of a registration: definition first, links last; removal the reverse.
local fs = require "flake.fs"
local hooks = require "flake.hooks"
local loader = require "flake.loader"
local own = require "flake.own"
local pilot = require "flake.pilot"
local yaml = require "flake.yaml"

local M = {}

local ORDER = { "version", "user_may_override", "include", "tar", "path", "container", "vm", "name",
  "archive", "target_app_path", "host_app_path", "path_map", "runtime", "runas", "resume", "attach",
  "podman" }

--- Directory of the definitions. opts: {root=fake root, user=bool}
-- Returns the path, or nil, message, code where there is none for this user.
function M.dir(opts)
  opts = opts or {}
  if not opts.user then return pilot.flakes_dir(opts.root) end
  if opts.root then return nil, "--user and --root exclude each other", "EUSAGE" end
  local root = loader.user_root()
  if root then return root .. "/flakes" end
  return nil, "root has no flakes of its own: leave out --user", "EUSAGE"
end

--- Where pilot.load and pilot.plan find the flakes that opts (as for dir) mean.
-- Returns {dir=, own=}, or nil, message, code.
function M.where(opts)
  local dir, message, code = M.dir(opts)
  if not dir then return nil, message, code end
  return { dir = dir, own = opts and opts.user or false }
end

--- What stands before the paths of commands. opts as for dir.
function M.prefix(opts)
  if opts.user then return "" end
  return opts.root or pilot.flakes_dir():sub(1, -#pilot.flakes_dir("") - 1)
end

--- Is this the target of a command link of ours: a pilot, or flake-launch?
function M.is_pilot(target)
  local name = target:match("([^/]*)$")
  return name == "flake-launch" or name:match("^[%w_]+%-pilot$") ~= nil
end

--- "ours", "foreign" or nil (nothing there). Dangling links count as what they point to.
function M.what_is_at(path)
  local st = fs.lstat(path)
  if not st then return nil end
  local target = st.type == "symlink" and fs.readlink(path)
  return target and M.is_pilot(target) and "ours" or "foreign"
end

--- Checks a name of a flake or command. Returns true, or nil, reason.
function M.check_name(name)
  if #name > 200 or not name:match("^[%w_][%w._+-]*$") then
    return nil, "a name has letters, digits and . _ + - and begins with none of . + -"
  end
  return true
end

local function base(path)
  return path:match("([^/]*)$")
end

--- Loads one flake of the directory. opts as for dir.
function M.find(name, opts)
  local where, message, code = M.where(opts)
  if not where then return nil, message, code end
  return pilot.load(name, where)
end

local function row_of(where, name)
  local file = ("%s/%s.yaml"):format(where.dir, name)
  local flake, message = pilot.load(name, where)
  if not flake then return { name = name, file = file, error = message, apps = {} } end
  local apps = {}
  for i, app in ipairs(flake.apps) do apps[i] = app.path end
  return { name = name, engine = flake.engine, app = flake.app, file = file, apps = apps,
    target = flake.target or flake.app, image = flake.image }
end

--- All flakes of the directory, sorted by name; broken ones have `error`.
-- Returns an array of {name, engine, app, target, image, file, apps, error}.
function M.list(opts)
  local where, message, code = M.where(opts)
  if not where then return nil, message, code end
  local rows = {}
  for _, entry in ipairs(fs.list(where.dir) or {}) do
    local name = entry:match("^([^.].*)%.yaml$")
    if name and not fs.readlink(where.dir .. "/" .. entry) then
      table.insert(rows, row_of(where, name))
    end
  end
  return rows
end

-- Puts a symlink in place by rename, so that there is never a moment without it.
local function place_link(target, path)
  local temp = ("%s.tmp.%d"):format(path, require("flake.process").getpid())
  fs.unlink(temp)
  local ok, message, code = fs.symlink(target, temp)
  if not ok then return nil, message, code end
  ok, message, code = fs.rename(temp, path)
  if not ok then fs.unlink(temp) end
  return ok, message, code
end

local function aliases_of(dir, name)
  local found = {}
  for _, entry in ipairs(fs.list(dir) or {}) do
    if entry:match("%.yaml$") and fs.readlink(dir .. "/" .. entry) == name .. ".yaml" then
      table.insert(found, entry)
    end
  end
  return found
end

local function check_names(def)
  local ok, why = M.check_name(def.name)
  if not ok then return nil, ("flake name '%s': %s"):format(def.name, why), "EUSAGE" end
  for _, app in ipairs(def.apps) do
    ok, why = M.check_name(base(app.path))
    if not ok then return nil, ("command '%s': %s"):format(app.path, why), "EUSAGE" end
  end
  return true
end

-- Everything that must be free, or ours and --force.
local function check_free(def, dir, prefix, force)
  local file = ("%s/%s.yaml"):format(dir, def.name)
  local st = fs.lstat(file)
  if st and (st.type == "symlink" or not force) then
    local what = st.type == "symlink" and "is a command of another flake" or "exists already"
    return nil, ("flake '%s' %s: %s"):format(def.name, what, file), "EEXIST"
  end
  for _, app in ipairs(def.apps) do
    local found = M.what_is_at(prefix .. app.path)
    if found == "foreign" then
      return nil, ("%s exists and is no flake"):format(prefix .. app.path), "EEXIST"
    elseif found and not force then
      return nil, ("%s exists already"):format(prefix .. app.path), "EEXIST"
    end
    local alias = ("%s/%s.yaml"):format(dir, base(app.path))
    local owner = base(app.path) ~= def.name and fs.lstat(alias)
      and (fs.readlink(alias) or "a flake of that name")
    if owner and not (force and owner == def.name .. ".yaml") then
      return nil, ("command '%s' belongs to another flake: %s"):format(base(app.path), alias),
        "EEXIST"
    end
  end
  return true
end

-- Removes commands that the replaced definition had and the new one has not.
local function drop_old_commands(old, def, dir, prefix)
  local keep = {}
  for _, app in ipairs(def.apps) do keep[app.path], keep[base(app.path) .. ".yaml"] = true, true end
  for _, app in ipairs(old and old.apps or {}) do
    if not keep[app.path] and M.what_is_at(prefix .. app.path) == "ours" then
      fs.unlink(prefix .. app.path)
    end
  end
  for _, alias in ipairs(aliases_of(dir, def.name)) do
    if not keep[alias] then fs.unlink(dir .. "/" .. alias) end
  end
end

-- Runs steps {do, undo}; on failure undoes what was done, last first.
local function all_or_nothing(steps)
  for i, step in ipairs(steps) do
    local ok, message, code = step[1]()
    if not ok then
      for j = i - 1, 1, -1 do
        if steps[j][2] then steps[j][2]() end
      end
      return nil, message, code
    end
  end
  return true
end

-- A step that makes a path and, if it was not there before, takes it away again.
local function made(path, make, unmake)
  local there = fs.lstat(path) ~= nil
  return { make, not there and function() unmake(path) end or nil }
end

local function steps_of(def, dir, prefix, pilot_path)
  local file = ("%s/%s.yaml"):format(dir, def.name)
  local fragments = ("%s/%s.d"):format(dir, def.name)
  local text = assert(yaml.dump(def.doc, { order = ORDER }))
  local steps = {
    made(file, function() return fs.write(file, text, { mode = 420 }) end, fs.unlink),
    made(fragments, function() return fs.mkdir_p(fragments) end, fs.rmdir),
  }
  for _, app in ipairs(def.apps) do
    local alias = ("%s/%s.yaml"):format(dir, base(app.path))
    if base(app.path) ~= def.name then
      table.insert(steps, made(alias, function()
        return place_link(def.name .. ".yaml", alias)
      end, fs.unlink))
    end
  end
  for _, app in ipairs(def.apps) do
    local path = prefix .. app.path
    table.insert(steps, { function() return fs.mkdir_p((path:match("^(.*)/"))) end })
    table.insert(steps, made(path, function() return place_link(pilot_path, path) end, fs.unlink))
  end
  return steps
end

local function lock(dir)
  return fs.lock(dir .. "/.lock", { timeout = 60 })
end

--- Is this the name of a temporary file of ours?
function M.is_leftover(name)
  return name:match("%.tmp%.%w+$") ~= nil
end

-- What a killed registration left: under the lock nobody else's is in use.
local function sweep(def, dir, prefix)
  for _, entry in ipairs(fs.list(dir) or {}) do
    if M.is_leftover(entry) then fs.unlink(dir .. "/" .. entry) end
  end
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

--- Registers a flake. def: {name, engine, image, apps={{path=,target=},…}, doc=definition table}
-- opts: {root, user, force=bool, pilot=path the commands link to}
-- Returns true, or nil, message, code: EEXIST, EDENIED (by a hook), EUSAGE or of the file system.
function M.register(def, opts)
  local ok, message, code = check_names(def)
  if not ok then return nil, message, code end
  local dir = M.dir(opts)
  if not dir then return M.dir(opts) end
  if opts.user then ok, message, code = own.may_register(def) end
  if ok then ok, message, code = fs.mkdir_p(dir) end
  if not ok then return nil, message, code end
  local held <close>, why, name = lock(dir)
  if not held then return nil, why, name end
  local prefix = M.prefix(opts)
  ok, message, code = check_free(def, dir, prefix, opts.force)
  if not ok then return nil, message, code end
  local event = { flake = def.name, engine = def.engine, image = def.image, apps = def.apps,
    definition = def.doc }
  ok, message, code = hooks.run("register", event, { own = opts.user })
  if not ok then return nil, message, code end
  sweep(def, dir, prefix)
  local old = M.find(def.name, opts)
  ok, message, code = all_or_nothing(steps_of(def, dir, prefix, opts.pilot))
  if not ok then return nil, message, code end
  drop_old_commands(old, def, dir, prefix)
  return true
end

local function unlink_commands(apps, prefix, force)
  for _, app in ipairs(apps) do
    local found = M.what_is_at(prefix .. app.path)
    if found == "foreign" and not force then
      return nil, ("%s is no flake: it stays (--force removes the definition all the same)")
        :format(prefix .. app.path), "EEXIST"
    end
  end
  for _, app in ipairs(apps) do
    if M.what_is_at(prefix .. app.path) == "ours" then
      local ok, message, code = fs.unlink(prefix .. app.path)
      if not ok then return nil, message, code end
    end
  end
  return true
end

-- The flake and its commands; a broken definition can still go with --force.
local function victim(name, opts)
  local flake, message, code = M.find(name, opts)
  if flake then return flake.name, flake.apps, flake end
  if code == "ENOENT" then
    return nil, ("there is no flake '%s'"):format(name), code
  end
  if not opts.force then return nil, message .. " (--force removes it all the same)", code end
  return name, { { path = opts.app or "/usr/bin/" .. name } }
end

--- Removes a flake or the flake of a command. opts: {root, user, force, app=path of the command}
function M.remove(name, opts)
  local dir, problem, problem_code = M.dir(opts)
  if not dir then return nil, problem, problem_code end
  local flake, apps, loaded = victim(name, opts)
  if not flake then return nil, apps, loaded end
  local held <close>, why, lock_code = lock(dir)
  if not held then return nil, why, lock_code end
  local event = { flake = flake, apps = apps, image = loaded and loaded.image }
  local ok, message, code = hooks.run("remove", event, { own = opts.user })
  if not ok then return nil, message, code end
  ok, message, code = unlink_commands(apps, M.prefix(opts), opts.force)
  if not ok then return nil, message, code end
  for _, alias in ipairs(aliases_of(dir, flake)) do fs.unlink(dir .. "/" .. alias) end
  ok, message, code = fs.unlink(("%s/%s.yaml"):format(dir, flake))
  if not ok and code ~= "ENOENT" then return nil, message, code end
  return fs.remove_tree(("%s/%s.d"):format(dir, flake))
end

return M
