-- SPDX-License-Identifier: MIT
-- Checks of the host: engine, cgroups, and what rootless podman needs. Each check calls
-- add(severity, what, remedy) for what it finds.
local fs = require "flake.fs"
local loader = require "flake.loader"
local own = require "flake.own"
local podman = require "flake.podman"
local process = require "flake.process"
local reason = require("flake.text").reason

local M = {}

local OTHERS_WRITE = 18 -- 0022

local function read_line(path)
  local f <close> = io.open(path)
  return f and f:read("l")
end

-- A pause process that is gone, of a boot before or of another machine.
local function engine_remedy(why)
  if why:find("join the existing user namespace", 1, true) then return "podman system migrate" end
  return "see podman info"
end

local function ask_podman(args)
  return podman.call(args, { stdin = "null", stdout = "pipe", stderr = "pipe", timeout = 20 })
end

-- What `podman info` tells of itself, whatever it leaves out.
local function facts_of(text)
  local info = require("dkjson").decode(text)
  info = type(info) == "table" and info or {}
  local host, executables = info.host or {}, {}
  for _, name in ipairs { "pasta", "slirp4netns" } do
    local path = (host[name] or {}).executable
    if path ~= "" then executables[name] = path end
  end
  local netavark = (host.networkBackendInfo or {}).version
  return { version = (info.version or {}).Version, backend = host.networkBackend,
    netavark = netavark and netavark:match("netavark ([%d.]+)"), executables = executables,
    rootless_cmd = host.rootlessNetworkCmd }
end

--- Is podman here, and does it work? Returns what it tells of itself: {version=, backend=,
-- netavark=its version, rootless_cmd=, executables={[name]=path}}; what it does not tell is nil.
function M.engine(add)
  if not process.which("podman") then
    add("serious", "podman is not installed", "install the package podman")
    return { executables = {} }
  end
  if not process.which("crun") and not process.which("runc") then
    add("serious", "podman has no OCI runtime", "install the package crun")
  end
  local result = ask_podman { "info", "--format", "json" }
  if result and result.code == 0 then return facts_of(result.stdout) end
  local why = result and not result.timed_out and reason(result) or "no answer"
  add("serious", "podman does not work: " .. why, engine_remedy(why))
  -- This it tells even where its configuration is no good.
  local version = ask_podman { "--version" }
  return { version = version and version.stdout:match("podman version ([%d.]+)"),
    executables = {} }
end

-- crun wants cgroups of one kind: v1 and v2 with controllers side by side are refused.
function M.cgroups(add)
  local controllers = read_line("/sys/fs/cgroup/unified/cgroup.controllers")
  if controllers and controllers ~= "" then
    add("serious", "cgroup v1 and v2 are mounted together (hybrid), which crun refuses",
      "boot with systemd.unified_cgroup_hierarchy=1")
  elseif not fs.stat("/sys/fs/cgroup") then
    add("serious", "/sys/fs/cgroup is missing", "mount the cgroup file system")
  end
end

-- Ranges of a file: {{owner=, first=, count=}, …}.
local function ranges_of(file)
  local ranges = {}
  local f <close> = io.open(file)
  for line in (f and f:lines() or function() end) do
    local owner, first, count = line:match("^([^:]+):(%d+):(%d+)")
    if owner then
      table.insert(ranges, { owner = owner, first = tonumber(first), count = tonumber(count) })
    end
  end
  return ranges
end

local function has_range(ranges, user)
  for _, range in ipairs(ranges) do
    local mine = range.owner == user.name or range.owner == tostring(user.uid)
    if mine and range.count > 0 then return true end
  end
  return false
end

-- As useradd does: above all that somebody has, for whoever shares ids can be each other's root.
local function free_range(files)
  local first = 100000
  for _, ranges in pairs(files) do
    for _, range in ipairs(ranges) do first = math.max(first, range.first + range.count) end
  end
  return ("%d-%d"):format(first, first + 65535)
end

--- What is wrong with the subordinate ids of a user. dir: of subuid and subgid.
-- Returns nil, or what and remedy.
function M.missing_ids(user, dir)
  local files, missing, options = {}, {}, {}
  for _, name in ipairs { "subuid", "subgid" } do files[name] = ranges_of(dir .. "/" .. name) end
  for _, name in ipairs { "subuid", "subgid" } do
    if not has_range(files[name], user) then
      table.insert(missing, ("%s/%s"):format(dir, name))
      table.insert(options, ("--add-%ss %s"):format(name, free_range(files)))
    end
  end
  if #missing == 0 then return nil end
  return ("no range for you in %s: rootless podman has one uid only, and images of several users "
    .. "fail"):format(table.concat(missing, " and ")),
    ("as root: usermod %s %s, then you: podman system migrate"):format(table.concat(options, " "),
      user.name)
end

--- Subordinate ids and the tools that map them.
function M.ids(add)
  local uid = fs.getuid()
  local user = fs.user(uid) or { uid = uid, name = tostring(uid) }
  local what, remedy = M.missing_ids(user, "/etc")
  if what then add("serious", what, remedy) end
  for _, tool in ipairs { "newuidmap", "newgidmap" } do
    if not process.which(tool) then
      add("serious", tool .. " is missing: rootless podman cannot start",
        "install the package uidmap")
    end
  end
end

--- Where sockets, locks and the state of instances are while a user is logged in.
function M.runtime_dir(add)
  local dir = process.getenv("XDG_RUNTIME_DIR")
  if not dir then
    local usual = ("/run/user/%d"):format(fs.getuid())
    if not fs.stat(usual) then
      add("warning", ("no runtime directory: XDG_RUNTIME_DIR is not set and %s is missing; podman "
        .. "uses /tmp"):format(usual), "log in instead of su, or as root: loginctl enable-linger")
    end
    return
  end
  local st = fs.stat(dir)
  if not st or st.type ~= "directory" then
    add("serious", ("the runtime directory is missing: XDG_RUNTIME_DIR is %s"):format(dir),
      "log in instead of su, or unset XDG_RUNTIME_DIR")
  elseif st.uid ~= fs.getuid() then
    add("serious", ("the runtime directory %s belongs to user %d: XDG_RUNTIME_DIR is not yours")
      :format(dir, st.uid), "log in instead of su, or unset XDG_RUNTIME_DIR")
  elseif st.mode & OTHERS_WRITE ~= 0 then
    add("warning", ("others can write to the runtime directory %s: what is in it is not relied on, "
      .. "and calls into instances go the long way through podman"):format(dir),
      "chmod go-w " .. dir)
  end
end

--- The usual directory of a user's commands.
function M.path(add)
  local root = loader.user_root()
  local dir = root and root:gsub("/%.flakes$", "") .. "/.local/bin"
  if dir and not own.on_path(dir) then
    add("warning", ("%s is not on PATH: commands in it are found only by their path"):format(dir),
      own.path_remedy(dir))
  end
end

--- All that a user needs for flakes of his own.
function M.rootless(add)
  M.ids(add)
  M.runtime_dir(add)
  M.path(add)
end

return M
