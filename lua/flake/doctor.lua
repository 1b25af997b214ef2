-- SPDX-License-Identifier: MIT
-- Checks of the host and of the flakes. A finding: {severity="serious"|"warning", what=, remedy=}.
local fs = require "flake.fs"
local hooks = require "flake.hooks"
local images = require "flake.doctor_images"
local loader = require "flake.loader"
local pilot = require "flake.pilot"
local process = require "flake.process"
local registry = require "flake.registry"

local M = {}

local LINK_DIRS = { "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin", "/opt/bin" }

local function read_line(path)
  local f <close> = io.open(path)
  return f and f:read("l")
end

local function check_engine(add)
  if not process.which("podman") then
    add("serious", "podman is not installed", "install the package podman")
    return
  end
  if not process.which("crun") and not process.which("runc") then
    add("serious", "podman has no OCI runtime", "install the package crun")
  end
  local result = process.run({ "podman", "info", "--format", "{{.Store.GraphRoot}}" },
    { stdin = "null", stdout = "pipe", stderr = "pipe", timeout = 20 })
  if not result or result.code ~= 0 then
    local why = result and result.stderr:match("[^\n]+") or "no answer"
    add("serious", "podman does not work: " .. why, "see podman info")
  end
end

-- crun wants cgroups of one kind: v1 and v2 with controllers side by side are refused.
local function check_cgroups(add)
  local controllers = read_line("/sys/fs/cgroup/unified/cgroup.controllers")
  if controllers and controllers ~= "" then
    add("warning", "cgroup v1 and v2 are mounted together (hybrid), which crun refuses",
      "boot with systemd.unified_cgroup_hierarchy=1")
  elseif not fs.stat("/sys/fs/cgroup") then
    add("serious", "/sys/fs/cgroup is missing", "mount the cgroup file system")
  end
end

-- podman wants to raise the limit of open files; without CAP_SYS_RESOURCE it cannot exceed the
-- hard limit.
local function check_limits(add)
  for line in io.lines("/proc/self/limits") do
    local hard = line:match("^Max open files%s+%d+%s+(%d+)")
    if hard and tonumber(hard) < 1024 then
      add("warning", ("only %s files may be open"):format(hard), "raise nofile in limits.conf(5)")
    end
  end
end

local function has_range(file, user)
  local f <close> = io.open(file)
  for line in (f and f:lines() or function() end) do
    local owner = line:match("^([^:]+):%d+:%d+")
    if owner == user.name or owner == tostring(user.uid) then return true end
  end
  return false
end

local function check_rootless(add)
  local uid = fs.getuid()
  if uid == 0 then return end
  local user = fs.user(uid)
  for _, file in ipairs { "/etc/subuid", "/etc/subgid" } do
    if not user or not has_range(file, user) then
      add("serious", ("%s has no range for you: rootless podman cannot start"):format(file),
        ("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s")
          :format(user and user.name or uid))
    end
  end
  if not process.which("newuidmap") then
    add("serious", "newuidmap is missing: rootless podman cannot start",
      "install the package uidmap")
  end
end

local function check_kvm(add)
  if not fs.stat("/dev/kvm") then
    add("warning", "/dev/kvm is missing: VM flakes would be emulated, slowly",
      "enable virtualisation, load kvm_intel or kvm_amd")
  elseif not fs.access("/dev/kvm", "rw") then
    add("warning", "you may not use /dev/kvm", "join the group kvm")
  end
end

local function check_roots(add)
  local dirs = loader.override_roots()
  local definitions = pilot.flakes_dir()
  for _, dir in ipairs { definitions, table.unpack(dirs) } do
    if fs.stat(dir) then
      local ok, message = fs.trusted(dir)
      if not ok then
        add("serious", message, ("chown root: %s && chmod go-w %s, and what leads to it")
          :format(dir, dir))
      end
    end
  end
end

local function check_overrides(add)
  for _, kind in ipairs { "runtimes", "commands" } do
    for _, name in ipairs(loader.names(kind)) do
      local driver, message = loader.load(kind, name)
      if not driver then add("serious", message, "repair or remove the file") end
    end
  end
  for _, kind in ipairs { "register", "launch", "exit", "remove" } do
    for _, file in ipairs(hooks.files(kind, { own = true })) do
      local chunk, message = loader.load_file(file)
      if not chunk then add("serious", message, "repair or remove the hook") end
    end
  end
end

local function check_definition(add, name, dir)
  local flake, message = pilot.load(name, { dir = dir })
  if not flake then
    add("serious", message, "repair the definition, or flake-ctl podman remove --force --app PATH")
    return
  end
  for _, key in ipairs(flake.unknown) do
    add("warning", ("%s: unknown key '%s'"):format(flake.file, key),
      "a misspelling? it has no effect")
  end
  if flake.engine == "podman" then images.check_parts(add, flake) end
end

local orphan_kinds = {
  ["no-command"] = { "serious", "the command of flake '%s' is missing: %s",
    "register it again with --force" },
  ["no-definition"] = { "serious", "flake '%s' has no definition for its command: %s",
    "register it again, or remove the link" },
  dangling = { "serious", "the pilot behind flake '%s' is missing: %s",
    "install the pilot's package" },
  leftover = { "warning", "an interrupted registration of '%s' left %s",
    "register it again with --force, or remove the file" },
}

local function check_orphans(add, only)
  for _, orphan in ipairs(registry.orphans({}, LINK_DIRS)) do
    if not only or orphan.flake == only then
      local severity, text, remedy = table.unpack(orphan_kinds[orphan.kind])
      add(severity, text:format(orphan.flake, orphan.path), remedy)
    end
  end
end

--- All findings of the host and all flakes, or of one flake only.
-- Returns an array of findings, or nil, message, code if there is no such flake.
function M.examine(name)
  local findings = {}
  local function add(severity, what, remedy)
    table.insert(findings, { severity = severity, what = what, remedy = remedy })
  end
  local dir = registry.dir({})
  if name then
    local _, message, code = pilot.load(name, { dir = dir })
    if code == "ENOENT" then return nil, message, code end
    check_definition(add, name, dir)
  else
    check_engine(add)
    check_cgroups(add)
    check_limits(add)
    check_rootless(add)
    check_kvm(add)
    check_roots(add)
    check_overrides(add)
    local names = {}
    for _, row in ipairs(registry.list({}) or {}) do
      names[row.name] = true
      check_definition(add, row.name, dir)
    end
    for _, row in ipairs(registry.list({ user = true }) or {}) do names[row.name] = true end
    images.check_composed(add, names)
  end
  check_orphans(add, name)
  return findings
end

return M
