-- SPDX-License-Identifier: MIT
-- The only writer of definitions: NAME.yaml, NAME.d/, aliases of further commands and the links
-- that make commands. Order of a registration: definition first, links last; removal the reverse.
local changes = require "flake.changes"
local exports = require "flake.exports"
local fs = require "flake.fs"
local hooks = require "flake.hooks"
local loader = require "flake.loader"
local own = require "flake.own"
local pilot = require "flake.pilot"
local places = require "flake.places"
local process = require "flake.process"
local signature_files = require "flake.signature_files"
local base = require("flake.text").base
local yaml = require "flake.yaml"

local M = {}

local ORDER = { "version", "user_may_override", "include", "tar", "path", "container", "vm", "name",
  "archive", "signature_policy", "signature_keys", "target_app_path", "host_app_path",
  "base_container", "check_host_dependencies",
  "layers", "path_map", "runtime", "runas", "resume", "attach", "share", "podman", "force_vsock",
  "firecracker", "engine", "rootfs_image_path", "kernel_image_path", "initrd_path", "vcpu_count",
  "mem_size_mib", "overlay_size", "network", "tap", "tap_made", "snapshot", "boot_args" }

--- Directory of the definitions. opts: {root=fake root, user=bool}
-- Returns the path, or nil, message, code where there is none for this user.
function M.dir(opts)
  opts = opts or {}
  if not opts.user then return pilot.flakes_dir(opts.root) end
  if opts.root then return nil, "--user and --root exclude each other", "EUSAGE" end
  local root = loader.user_root()
  if root then return root .. "/flakes" end
  return nil, loader.why_no_user_root(), "EUSAGE"
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
  local apps, first = {}, flake.apps[1]
  for i, app in ipairs(flake.apps) do apps[i] = app.path end
  return { name = name, engine = flake.engine, app = first.path, file = file, apps = apps,
    target = first.target or first.path, image = flake.image }
end

-- Entries of the directory of definitions; none where there is none yet.
local function entries_of(dir)
  local entries, message, code = fs.list(dir)
  if not entries and code == "ENOENT" then return {} end
  return entries, message, code
end

--- All flakes of the directory, sorted by name; broken ones have `error`.
-- Returns an array of {name, engine, app, target, image, file, apps, error}.
function M.list(opts)
  local where, message, code = M.where(opts)
  if not where then return nil, message, code end
  local rows = {}
  local entries, why, name_of_error = entries_of(where.dir)
  if not entries then return nil, why, name_of_error end
  for _, entry in ipairs(entries) do
    local name, path = entry:match("^([^.].*)%.yaml$"), where.dir .. "/" .. entry
    if name and not (places.alias_target(path) and fs.stat(path)) then
      table.insert(rows, row_of(where, name))
    end
  end
  return rows
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

-- Removes commands, includes and keys that the replaced definition had and the new one has not.
local function drop_old(old, def, dir, prefix)
  local keep = {}
  for _, app in ipairs(def.apps) do keep[app.path], keep[base(app.path) .. ".yaml"] = true, true end
  for _, app in ipairs(old and old.apps or {}) do
    if not keep[app.path] and places.what_is_at(prefix .. app.path) == "ours" then
      fs.unlink(prefix .. app.path)
    end
  end
  for _, alias in ipairs(aliases_of(dir, def.name)) do
    if not keep[alias] then fs.unlink(dir .. "/" .. alias) end
  end
  for _, file in ipairs(def.files or {}) do keep[file.to] = true end
  if not def.keeps_texts then
    signature_files.drop_others(("%s/%s.d"):format(dir, def.name), def.texts)
  end
  local included = ("%s/%s.include/"):format(dir, def.name)
  for _, entry in ipairs(def.files and fs.list(included) or {}) do
    if not keep[included .. entry] then fs.unlink(included .. entry) end
  end
end

--- The text of a definition. def: as for register. The paths of commands stay in their order.
-- Returns it, or nil, message, code.
function M.text(def)
  local order = table.move(ORDER, 1, #ORDER, 1, {})
  for _, app in ipairs(def.apps) do table.insert(order, app.path) end
  local text, message = yaml.dump(def.doc, { order = order })
  if text then return text end
  return nil, ("cannot write the definition of flake '%s': %s"):format(def.name, message), "EUSAGE"
end

local function steps_of(def, text, dir, prefix, opts)
  local file = ("%s/%s.yaml"):format(dir, def.name)
  local fragments = ("%s/%s.d"):format(dir, def.name)
  local steps = {
    changes.made(file, function() return fs.write(file, text, { mode = 420 }) end, fs.unlink),
    changes.made(fragments, function() return fs.mkdir_p(fragments) end, fs.rmdir),
  }
  changes.add_copies(steps, def.files)
  signature_files.add_steps(steps, def.texts, changes.made)
  exports.add_steps(steps, def.exports or {}, dir, def.name, exports.base(prefix, opts.user))
  for _, app in ipairs(def.apps) do
    local alias = ("%s/%s.yaml"):format(dir, base(app.path))
    if base(app.path) ~= def.name then
      table.insert(steps, changes.made(alias, function()
        return changes.place_link(def.name .. ".yaml", alias)
      end, fs.unlink))
    end
  end
  for _, app in ipairs(def.apps) do
    local path = prefix .. app.path
    table.insert(steps, { function() return fs.mkdir_p((path:match("^(.*)/"))) end })
    table.insert(steps, changes.made(path, function()
      return changes.place_link(opts.pilot, path)
    end, fs.unlink))
  end
  return steps
end

-- A step during which no other process changes definitions.
local function locked(dir, step, ...)
  local held <close>, message, code = fs.lock(dir .. "/.lock", { timeout = 60 })
  if not held then return nil, message, code end
  return step(...)
end

-- Everything that must be free, or the flake's own and --force.
local function check_free(def, dir, opts)
  local prefix = M.prefix(opts)
  local ok, message, code = places.check_free(def, dir, prefix, opts.force)
  if not ok then return nil, message, code end
  return exports.check(def.exports or {}, dir, def.name, exports.base(prefix, opts.user))
end

-- Takes a file or directory its name, so that from one moment to the next none of it counts. What
-- has such a name is swept.
local function put_aside(path)
  local ok, message, code = fs.rename(path, ("%s.tmp.%d"):format(path, process.getpid()))
  if ok or code == "ENOENT" then return true end
  return nil, message, code
end

local function write(def, text, dir, opts)
  local prefix = M.prefix(opts)
  local ok, message, code = check_free(def, dir, opts)
  if not ok then return nil, message, code end
  places.sweep(def, dir, prefix)
  for _, path in ipairs(places.remains(def.name, dir)) do
    ok, message, code = put_aside(path)
    if not ok then return nil, message, code end
  end
  places.sweep_definitions(dir)
  local old = M.find(def.name, opts)
  ok, message, code = changes.run(steps_of(def, text, dir, prefix, opts))
  if not ok then return nil, message, code end
  drop_old(old, def, dir, prefix)
  return exports.settle(def.exports or {}, dir, def.name, exports.base(prefix, opts.user),
    opts.warn)
end

-- Whatever refuses a registration does so before anything is changed.
local function check(def, dir, opts)
  local ok, message, code = places.check_names(def)
  if ok and opts.user then ok, message, code = own.may_register(def) end
  if ok then ok, message, code = fs.mkdir_p(dir) end
  if ok then ok, message, code = locked(dir, check_free, def, dir, opts) end
  if not ok then return nil, message, code end
  return hooks.run("register", { flake = def.name, engine = def.engine, image = def.image,
    apps = def.apps, definition = def.doc, merged = def.merged or def.doc,
    exports = exports.paths(def.exports or {}) }, { own = opts.user })
end

--- Registers a flake. def: {name, engine, image, apps={{path=,target=},…}, doc=definition table,
-- merged=the doc with the fragments that come with it, files={{from=,to=},…} copied beside it,
-- texts={{to=,text=},…} written beside it (keys and a policy), or keeps_texts: those stay,
-- exports={{path=,data=},…} for the share directory}
-- opts: {root, user, force=bool, pilot=path the commands link to, warn=function(text),
-- prepare=function() called when nothing refuses any more and nothing is written yet; its nil,
-- message, code stop all}
-- Returns true, or nil, message, code: EEXIST, EDENIED (by a hook), EUSAGE or of the file system.
function M.register(def, opts)
  local dir, problem, name = M.dir(opts)
  if not dir then return nil, problem, name end
  local ok, message, code = check(def, dir, opts)
  local text
  if ok then text, message, code = M.text(def) end
  if not text then return nil, message, code end
  if opts.prepare then ok, message, code = opts.prepare() end
  if not ok then return nil, message, code end
  return locked(dir, write, def, text, dir, opts)
end

local function check_removable(apps, prefix, force)
  for _, app in ipairs(apps) do
    if places.what_is_at(prefix .. app.path) == "foreign" and not force then
      return nil, ("%s is no flake: it stays (--force removes the definition all the same)")
        :format(prefix .. app.path), "EEXIST"
    end
  end
  return true
end

-- What a broken definition does not tell: the caller must name the command, if there is one.
local function command_of_broken(name, opts)
  local prefix = M.prefix(opts)
  local path = opts.app or "/usr/bin/" .. name
  local there = places.find_link(name, opts, prefix)
  if not places.what_is_at(prefix .. path) and there then
    return nil, ("the command of flake '%s' is %s, not %s"):format(name, there, prefix .. path),
      "EUSAGE"
  end
  return { { path = path } }
end

local function has_command(flake, path)
  for _, app in ipairs(flake.apps) do
    if app.path == path then return true end
  end
  return false
end

-- The flake and its commands; a broken definition can still go with --force.
local function victim(name, opts)
  local flake, message, code = M.find(name, opts)
  if flake and opts.app and not has_command(flake, opts.app) then
    return nil, ("flake '%s' has no command %s: its first is %s"):format(flake.name, opts.app,
      flake.apps[1].path), "ENOENT"
  end
  if flake then return flake.name, flake.apps, flake.image end
  if code == "ENOENT" and #places.remains(name, M.dir(opts)) > 0 then return name, {} end
  if code == "ENOENT" then return nil, ("there is no flake '%s'"):format(name), code end
  if not opts.force then return nil, message .. " (--force removes it all the same)", code end
  local apps, problem, problem_code = command_of_broken(name, opts)
  if not apps then return nil, problem, problem_code end
  return name, apps
end

-- The reverse of write.
local function erase(flake, apps, dir, opts)
  local prefix = M.prefix(opts)
  for _, app in ipairs(apps) do
    if places.what_is_at(prefix .. app.path) == "ours" then
      local ok, message, code = fs.unlink(prefix .. app.path)
      if not ok then return nil, message, code end
    end
  end
  for _, alias in ipairs(aliases_of(dir, flake)) do fs.unlink(dir .. "/" .. alias) end
  exports.remove(dir, flake, exports.base(prefix, opts.user), opts.warn)
  -- Whatever of it a kill leaves counts for no other flake: the definition goes last.
  for _, kind in ipairs { "d", "include", "yaml" } do
    local ok, message, code = put_aside(("%s/%s.%s"):format(dir, flake, kind))
    if not ok then return nil, message, code end
  end
  places.sweep_definitions(dir)
  return true
end

--- Removes a flake or the flake of a command.
-- opts: {root, user, force, app=path of the command, warn=function(text), prepare=as for register}
function M.remove(name, opts)
  local dir, problem, problem_code = M.dir(opts)
  if not dir then return nil, problem, problem_code end
  local flake, apps, image = victim(name, opts)
  if not flake then return nil, apps, image end
  local ok, message, code = locked(dir, check_removable, apps, M.prefix(opts), opts.force)
  if ok then
    ok, message, code = hooks.run("remove", { flake = flake, apps = apps, image = image },
      { own = opts.user })
  end
  if ok and opts.prepare then ok, message, code = opts.prepare() end
  if not ok then return nil, message, code end
  return locked(dir, erase, flake, apps, dir, opts)
end

return M
