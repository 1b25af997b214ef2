-- SPDX-License-Identifier: MIT
-- Finds and loads what admins may replace: drivers, commands, hooks, Lua modules.
-- Roots by rank: ~/.flakes, /etc/flakes, the shipped directory. Missing is fine, broken is loud.
local fs = require "flake.fs"
local process = require "flake.process"

local M = { api = 1 }

local TYPES = { runtimes = "ENGINE", commands = "TOOL" }
local MANDATORY = { "register", "export" }

local state = { roots = nil, share = nil }

-- The user's own root, or nil where it must not count: root, under sudo, uid unlike euid.
local function user_root()
  local uid = fs.getuid()
  if uid == 0 or uid ~= fs.geteuid() or process.getenv("SUDO_UID") then return nil end
  local user = fs.user(uid)
  return user and user.home:sub(1, 1) == "/" and user.home .. "/.flakes" or nil
end

--- The user's own root directory (rank 1), or nil where it is skipped.
function M.user_root()
  return user_root()
end

--- Why there is none, for people.
function M.why_no_user_root()
  local uid = fs.getuid()
  if uid == 0 then return "root has no flakes of its own: leave out --user" end
  if process.getenv("SUDO_UID") then
    return "there are no own flakes through sudo, which may keep another's surroundings: log in as "
      .. "that user, or call env --unset=SUDO_UID flake-ctl"
  end
  return ("user %d has no home directory for own flakes"):format(uid)
end

--- Sets up the roots and the search for modules; called once by main and launch.
-- info: {share=, prefix_root=} as the host hands it over.
function M.setup(info)
  state.share = info.share
  state.roots = {}
  local own = user_root()
  if own then table.insert(state.roots, own) end
  table.insert(state.roots, info.prefix_root .. "/etc/flakes")
  if package.searchers[2] ~= M.searcher then table.insert(package.searchers, 2, M.searcher) end
end

--- Overriding roots (ranks 1 and 2), highest first.
function M.override_roots()
  return state.roots
end

--- Reads a file of an overriding root that only root and the caller can change.
-- Returns its text, or nil, message, code.
function M.read(path)
  local text, message, code = fs.read(path, { trusted = true })
  if text or code ~= "EPERM" then return text, message, code end
  return nil, ("refusing to load %s: %s"):format(path, message), "ETRUST"
end

--- Loads one Lua file that M.read reads. Returns the chunk or nil, message, code.
-- env: table of globals for the chunk (default: the real ones).
function M.load_file(path, env)
  local text, message, code = M.read(path)
  if not text then return nil, message, code end
  local chunk, why = load(text, "@" .. path, "t", env or _G)
  if not chunk then return nil, why, "ELUA" end
  return chunk
end

local function exists(path)
  return fs.stat(path) ~= nil
end

-- `shipped.X` is the shipped file even where X is replaced; other names look in ROOT/lua first.
function M.searcher(name)
  local relative = name:gsub("%.", "/")
  local path
  local shipped = relative:match("^shipped/(.+)$")
  if shipped then
    path = ("%s/%s.lua"):format(state.share, shipped)
    if not exists(path) then return "\n\tno file '" .. path .. "'" end
  else
    for _, root in ipairs(state.roots) do
      local candidate = ("%s/lua/%s.lua"):format(root, relative)
      if exists(candidate) then path = candidate break end
    end
    if not path then return nil end
  end
  local chunk, message = M.load_file(path)
  if not chunk then error(message, 0) end
  return chunk, path
end

-- Directories that may hold files of a kind ("runtimes", "commands"), highest rank first.
local function dirs_of(kind)
  local dirs = {}
  for _, root in ipairs(state.roots) do table.insert(dirs, root .. "/" .. kind) end
  local shipped = kind == "commands" and "/lua/flake/commands" or "/" .. kind
  table.insert(dirs, state.share .. shipped)
  return dirs
end

--- Path of the file that wins for kind and name, or nil.
function M.find(kind, name)
  if not name:match("^[%w_-]+$") then return nil end
  for _, dir in ipairs(dirs_of(kind)) do
    local path = ("%s/%s.lua"):format(dir, name)
    if exists(path) then return path end
  end
end

--- Sorted names of all files of a kind in all roots.
function M.names(kind)
  local seen, names = {}, {}
  for _, dir in ipairs(dirs_of(kind)) do
    for _, file in ipairs(fs.list(dir) or {}) do
      local name = file:match("^([%w_-]+)%.lua$")
      if name and not seen[name] then
        seen[name] = true
        table.insert(names, name)
      end
    end
  end
  table.sort(names)
  return names
end

-- What a driver must bring: missing parts are named here, not where they crash.
local function check_command(path, what, command)
  if type(command) ~= "table" or type(command.run) ~= "function" then
    return nil, ("%s: %s has no run function"):format(path, what), "EDRIVER"
  end
  if type(command.about) ~= "string" then
    return nil, ("%s: %s has no about text"):format(path, what), "EDRIVER"
  end
  return true
end

-- The verbs of a driver.
local function check_verbs(path, driver)
  for verb, command in pairs(driver.commands) do
    local ok, message, code = check_command(path, ("command '%s'"):format(verb), command)
    if not ok then return nil, message, code end
  end
  return true
end

local function check_runtime(path, driver)
  if type(driver.about) ~= "string" then
    return nil, path .. ": the driver has no about text", "EDRIVER"
  end
  if type(driver.commands) ~= "table" then
    return nil, path .. ": the driver has no commands", "EDRIVER"
  end
  for _, verb in ipairs(MANDATORY) do
    if not driver.commands[verb] then
      return nil, ("%s: the driver has no command '%s'"):format(path, verb), "EDRIVER"
    end
  end
  return check_verbs(path, driver)
end

-- What a command does, or its verbs do.
local function check_tool(path, driver)
  if type(driver.commands) ~= "table" then return check_command(path, "the command", driver) end
  if type(driver.about) == "string" then return check_verbs(path, driver) end
  return nil, path .. ": the command has no about text", "EDRIVER"
end

local function check_builder(path, driver)
  for _, part in ipairs { "detect", "setup", "compile" } do
    if type(driver[part]) ~= "function" then
      return nil, ("%s: the builder has no function '%s'"):format(path, part), "EDRIVER"
    end
  end
  if type(driver.about) == "string" then return true end
  return nil, path .. ": the builder has no about text", "EDRIVER"
end

local function check_driver(path, driver, kind)
  if type(driver) ~= "table" then
    return nil, ("%s: must return a table, not a %s"):format(path, type(driver)), "EDRIVER"
  end
  if driver.api ~= M.api then
    return nil, ("%s: written for api %s, this is api %d"):format(path, driver.api, M.api),
      "EDRIVER"
  end
  driver.type = driver.type or TYPES[kind]
  local ok, message, code
  if kind == "runtimes" then
    ok, message, code = check_runtime(path, driver)
  elseif kind == "builders" then
    ok, message, code = check_builder(path, driver)
  else
    ok, message, code = check_tool(path, driver)
  end
  if not ok then return nil, message, code end
  return driver
end

--- Loads the driver or command of that kind and name.
-- Returns the table and its path; nil if there is none; nil, message, code if it is broken.
function M.load(kind, name)
  local path = M.find(kind, name)
  if not path then return nil end
  local chunk, message, code = M.load_file(path)
  if not chunk then return nil, message, code end
  local ok, result = xpcall(chunk, function(e) return tostring(e) end, name)
  if not ok then return nil, result, "EDRIVER" end
  local driver
  driver, message, code = check_driver(path, result, kind)
  if not driver then return nil, message, code end
  return driver, path
end

--- Path of the executable flake-ctl-NAME on PATH that is not flake-ctl itself, or nil.
function M.executable(name)
  local path = name:match("^[%w_-]+$") and process.which("flake-ctl-" .. name)
  if path and fs.realpath(path) ~= fs.realpath("/proc/self/exe") then return path end
end

--- Executables flake-ctl-NAME on PATH: sorted array of {name=, path=}.
function M.executables()
  local seen, found = {}, {}
  for dir in (process.getenv("PATH") or ""):gmatch("[^:]+") do
    local absolute = dir:sub(1, 1) == "/"
    for _, file in ipairs(absolute and fs.list(dir) or {}) do
      local name = file:match("^flake%-ctl%-([%w_-]+)$")
      local path = dir .. "/" .. file
      if name and not seen[name] and fs.access(path, "x") then
        seen[name] = true
        table.insert(found, { name = name, path = path })
      end
    end
  end
  table.sort(found, function(a, b) return a.name < b.name end)
  return found
end

return M
