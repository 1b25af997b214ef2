-- SPDX-License-Identifier: MIT
-- Which files of the host an image wants: those in /removed of every part, and what /systemfiles of
-- the lowest part prints. What an image says is believed in nothing: the script runs in the image,
-- without rights, and which files it gets is decided where they are read (archive.pack_public).
local archive = require "flake.archive"
local fs = require "flake.fs"
local podman = require "flake.podman"
local printable = require("flake.output").printable
local reason = require("flake.text").reason
local store = require "shipped.runtimes.podman.compose_store"

local M = {}

local LIST_MAX = 8 << 20
local PATHS_MAX = 20000
local SECONDS = 20
local LIMITS = { memory = "--memory=256m", pids = "--pids-limit=64" }

-- Appends the paths of a list to `paths` (array of {kind=, path=}).
local function read_list(text, kind, source, paths)
  for line in text:gmatch("[^\n]+") do
    local path = "/" .. line:gsub("%s+$", ""):gsub("^%./", ""):gsub("/+", "/"):gsub("^/", "")
    if path:find("%c") or (path .. "/"):find("/%.%.?/") then
      return nil, ("%s names no path: '%s'"):format(source, printable(line)), "EFLAKE"
    end
    if path ~= "/" then table.insert(paths, { kind = kind, path = path }) end
    if #paths > PATHS_MAX then
      return nil, ("%s: more than %d files of the host"):format(source, PATHS_MAX), "ELIMIT"
    end
  end
  return true
end

-- A file of a container that does not run: its text, "" if there is none, or nil, message, code.
local function read_out(container, path, source, dir)
  local result, message, code = podman.call({ "cp", container .. ":" .. path, "-" },
    { stdin = "null", stdout = "pipe", stderr = "pipe", limit = LIST_MAX })
  if not result then return nil, source .. ": " .. message, code end
  if result.code ~= 0 then
    local why = reason(result, "podman cp failed")
    if why:find("no such file", 1, true) or why:find("could not be found", 1, true) then
      return ""
    end
    return nil, ("%s: %s"):format(source, printable(why)), "EENGINE"
  end
  local file = dir .. "/list.tar"
  local ok
  ok, message, code = fs.write(file, result.stdout, { mode = 384 })
  local members = ok and archive.list(file, { max_entries = 10 })
  if ok and not (members and members[1] and members[1].type == "file") then
    return nil, source .. " is no regular file", "EFLAKE"
  end
  if not ok then return nil, message, code end
  return archive.read_file(file, members[1].path)
end

-- podman refuses a limit that the caller's cgroups cannot hold.
local function add_limits(argv)
  local known = podman.ask("info", "--format", "{{.Host.CgroupControllers}}") or ""
  for controller, option in pairs(LIMITS) do
    if (" " .. known:gsub("%W", " ") .. " "):find(" " .. controller .. " ", 1, true) then
      table.insert(argv, option)
    end
  end
end

-- The output of the script, run with no rights in the image's own root.
local function run_script(flake, part)
  local source = "/systemfiles of image " .. part.reference
  local argv = { "run", "--rm", "--pull=never",
    "--name", store.container_name(flake.state_name, "run"), "--network=none", "--read-only",
    -- podman 5's own /tmp has the mode of the image's, and podman's have no limit of their size.
    "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777,notmpcopyup,size=64m", "--cap-drop=all",
    "--security-opt=no-new-privileges", "--user=65534:65534", "--http-proxy=false", "--workdir=/",
    "--timeout=" .. SECONDS + 10, "--entrypoint=sh" }
  add_limits(argv)
  table.move({ part.id, "/systemfiles" }, 1, 2, #argv + 1, argv)
  local result, message, code = podman.call(argv,
    { stdin = "null", stdout = "pipe", stderr = "pipe", limit = LIST_MAX, timeout = SECONDS })
  if not result then return nil, source .. ": " .. message, code end
  if result.timed_out then
    return nil, ("%s did not end within %d s"):format(source, SECONDS), "ETIMEDOUT"
  end
  if result.code ~= 0 then
    return nil, ("%s failed: %s"):format(source, printable(reason(result))), "EENGINE"
  end
  return result.stdout, source
end

local function ask_part(flake, parts, i, dir, paths)
  local part = parts[i]
  local container, why, name = store.create(flake.state_name, part, i)
  if not container then return nil, why, name end
  local source = "/removed of image " .. part.reference
  local text, message, code = read_out(container, "/removed", source, dir)
  if not text then return nil, message, code end
  local ok
  ok, message, code = read_list(text, "removed", source, paths)
  if not ok or i > 1 then return ok, message, code end
  text, message, code = read_out(container, "/systemfiles", "/systemfiles of image "
    .. part.reference, dir)
  if not text then return nil, message, code end
  if text == "" then return true end
  text, source, code = run_script(flake, part)
  if not text then return nil, source, code end
  return read_list(text, "system", source, paths)
end

local function load_cache(file, ids)
  local text = file and fs.read(file)
  local first, rest = (text or ""):match("^([^\n]*)\n(.*)$")
  if first ~= ids then return nil end
  local paths = {}
  for kind, path in rest:gmatch("(%l+) ([^\n]*)\n") do
    table.insert(paths, { kind = kind, path = path })
  end
  return paths
end

--- What the parts want of the host: array of {kind="removed"|"system", path=}, or nil, message,
-- code. It depends on nothing but the parts, and is remembered.
function M.paths(flake, parts)
  if not (flake.base or flake.check_host_dependencies) then return {} end
  local ids = {}
  for i, part in ipairs(parts) do ids[i] = part.id end
  local file, key = store.state_file(flake.state_name, "hosts"), table.concat(ids, " ")
  local paths = load_cache(file, key)
  if paths then return paths end
  paths = {}
  local _ <close> = store.workshop(flake.state_name)
  local temp <close>, why, name = store.temp_dir(flake.state_name)
  if not temp then return nil, why, name end
  for i in ipairs(parts) do
    local ok, message, code = ask_part(flake, parts, i, temp:path(), paths)
    if not ok then return nil, message, code end
  end
  local lines = { key }
  for _, entry in ipairs(paths) do table.insert(lines, entry.kind .. " " .. entry.path) end
  fs.write(file, table.concat(lines, "\n") .. "\n", { mode = 384 })
  return paths
end

return M
