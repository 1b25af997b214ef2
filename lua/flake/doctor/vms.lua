-- SPDX-License-Identifier: MIT
-- What the doctor says of VM flakes: KVM, the tools, their images and network, and what flakes that
-- are gone have left.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local process = require "flake.process"
local quote = require("flake.text").quote
local registry = require "flake.registry"
local tap = require "flake.tap"
local vm = require "flake.vm"
local vm_disks = require "flake.vm_disks"

local M = {}

local function caller()
  local user = fs.user(fs.getuid())
  return user and user.name or tostring(fs.getuid())
end

--- Is there KVM, and may the caller use it?
function M.kvm(add)
  if not fs.stat("/dev/kvm") then
    add("warning", "/dev/kvm is missing: VM flakes would be emulated, slowly",
      "enable virtualisation in the firmware (or nested virtualisation), as root: "
        .. "modprobe kvm_intel or kvm_amd")
  elseif not fs.access("/dev/kvm", "rw") then
    add("warning", "you may not use /dev/kvm: VM flakes would be emulated, slowly",
      ("as root: usermod --append --groups kvm %s, then log in again"):format(caller()))
  else
    local usable, why = pilot.kvm()
    if not usable then
      add("warning", ("KVM does not work here: %s; VM flakes are emulated, slowly"):format(why),
        "run them on a host whose /dev/kvm works")
    end
  end
end

-- The engine of a flake on this host.
local function engine_of(params)
  local wanted = params.engine or "auto"
  if wanted ~= "auto" then return wanted end
  return process.which("firecracker") and pilot.kvm() and "firecracker" or "qemu"
end

local function check_engine(add, flake, engine)
  local qemu = "qemu-system-" .. vm.machine()
  if engine == "firecracker" and not process.which("firecracker") then
    add("serious", ("flake '%s': firecracker is not installed"):format(flake.name),
      "install Firecracker, or register the flake with --engine auto")
  elseif engine == "firecracker" and not pilot.kvm() then
    add("serious", ("flake '%s': Firecracker cannot run without KVM"):format(flake.name),
      "register the flake with --engine auto")
  elseif engine == "qemu" and not process.which(qemu) then
    add("serious", ("flake '%s': %s is not installed"):format(flake.name, qemu),
      "install the package qemu-system-x86 (Debian), qemu-kvm")
  end
end

local function check_files(add, flake, params)
  for _, name in ipairs { "rootfs", "kernel", "initrd" } do
    local path = params[name]
    if not path and name ~= "initrd" then
      add("serious", ("flake '%s' names no %s"):format(flake.name, name),
        "register it again with --force")
    elseif path and not fs.stat(path) then
      add("serious", ("flake '%s': its %s is missing: %s"):format(flake.name, name, path),
        ("flake-ctl firecracker pull --name %s, then register it again with --force")
          :format(quote(flake.image)))
    elseif path and not fs.access(path, "r") then
      add("serious", ("flake '%s': you may not read %s"):format(flake.name, path),
        "chmod a+r " .. quote(path))
    end
  end
end

-- As the pilot has it: images of older tools have no such file.
local function check_resume(add, flake, params)
  local dir = params.rootfs and params.rootfs:match("^(.*/)")
  if not flake.resume or not dir or not fs.stat(params.rootfs) or fs.stat(dir .. "channel") then
    return
  end
  add("serious", ("flake '%s' cannot resume: the init of image '%s' is that of older tools")
    :format(flake.name, flake.image),
    "get the image again with flake-ctl firecracker pull --replace-sci --force")
end

local function check_network(add, flake, params)
  if params.no_net then return end
  local name = params.tap or tap.name(flake.state_name)
  if not fs.stat("/dev/net/tun") then
    add("serious", ("flake '%s': /dev/net/tun is missing"):format(flake.name),
      "as root: modprobe tun; or register it with --no-net")
  elseif not tap.is_there(name) then
    add("serious", ("flake '%s': its network device %s is missing"):format(flake.name, name),
      ("as root: %s; or register it with --no-net"):format(tap.recipe(name,
        flake.user or caller())))
  end
end

-- Whoever calls makes it for himself; what is missing is a matter of seconds.
local function check_template(add, flake, params)
  local dir = params.overlay_size and pilot.vm_storage()
  if not dir or flake.user then return end
  local size = (params.overlay_size + 4095) // 4096 * 4096
  local name = pilot.vm_template(flake.state_name, size, params.includes)
  if fs.stat(dir .. "/" .. name) then return end
  if flake.own or fs.geteuid() == 0 then
    add("warning", ("flake '%s': its disk has no template, the next call has to make it")
      :format(flake.name), ("flake-ctl firecracker compose %s%s"):format(quote(flake.name),
        flake.own and " --user" or ""))
  end
  if not e2fs.tool("mke2fs") then
    add("serious", ("flake '%s': mke2fs is not installed"):format(flake.name),
      "install the package e2fsprogs")
  end
end

-- Calls that find no saved VM of their definition boot one, silently.
local function check_saved(add, flake, params)
  local where = params.snapshot and not flake.user and registry.where { user = flake.own }
  local plan = where and pilot.plan(flake.name, {}, where)
  if not plan or not plan.process then return end
  add("warning", ("flake '%s': no VM is saved of its definition and image as they are now: "
    .. "your calls boot one"):format(flake.name), ("flake-ctl firecracker compose --force %s%s")
    :format(flake.own and "--user " or "", quote(flake.name)))
end

--- One VM flake.
function M.check_flake(add, flake)
  local params = vm.params(flake)
  local engine = engine_of(params)
  check_engine(add, flake, engine)
  check_files(add, flake, params)
  check_resume(add, flake, params)
  if engine == "firecracker" then check_network(add, flake, params) end
  check_template(add, flake, params)
  check_saved(add, flake, params)
end

-- Who makes an image or a disk holds the lock.
local function is_at_work(dir)
  local lock = dir .. "/.lock"
  local held <close> = fs.lstat(lock) and fs.lock(lock, { timeout = 0 })
  return fs.lstat(lock) ~= nil and not held
end

-- What killed commands have left. They take away what the one before has left, but downloads stay
-- for the next of the same URI.
local function check_leftovers(add, root)
  for below, name in pairs { images = "^%.making", ["images/.parts"] = "%.part$",
    storage = "^%.compose" } do
    local dir = root .. "/" .. below
    local entries = not is_at_work((dir:gsub("/%.parts$", ""))) and fs.list(dir)
    for _, entry in ipairs(entries or {}) do
      if entry:match(name) then
        add("warning", ("left by a command that was interrupted: %s/%s"):format(dir, entry),
          below:match("parts") and "get it again, or: rm -r " .. quote(dir)
            or "rm -r " .. quote(dir .. "/" .. entry))
      end
    end
  end
end

--- What is half made, and disks of flakes that are gone. names: state_names of all flakes, as set.
function M.check_disks(add, names)
  local root = vm.root({ user = fs.geteuid() ~= 0 })
  if not root or not fs.stat(root) then return end
  check_leftovers(add, root)
  if not fs.stat(root .. "/storage") then return end
  for _, path in ipairs(vm_disks.orphans(names)) do
    local what = path:match("%.snap") and "saved VM" or "disk"
    add("warning", ("there is no flake for the %s %s"):format(what, path), "rm -r " .. path)
  end
end

--- Tools without which no image can be made.
function M.check_tools(add)
  for _, name in ipairs { "debugfs", "mke2fs", "e2fsck" } do
    if not e2fs.tool(name) then
      add("warning", ("%s is missing: images and disks of VMs cannot be made"):format(name),
        "install the package e2fsprogs")
      return
    end
  end
end

return M
