-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker register: from options to a definition of schema version 1.
local base = require("flake.text").base
local fs = require "flake.fs"
local includes = require "flake.includes"
local registering = require "flake.registering"
local registry = require "flake.registry"
local signature = require "flake.signature"
local vm = require "flake.vm"
local yaml = require "flake.yaml"
local engine = require "shipped.runtimes.firecracker.engine"
local finish = require "shipped.runtimes.firecracker.register_finish"
local limits = require "shipped.runtimes.firecracker.limits"
local network = require "shipped.runtimes.firecracker.network"
local template = require "shipped.runtimes.firecracker.template"

-- What guests with the init of older tools must be told; ours is told by the pilot.
local OLD_ARGS = { "init=/usr/sbin/sci", "console=ttyS0", "root=/dev/vda", "acpi=off",
  "rd.neednet=1", "ip=dhcp", "quiet" }
local ARGS = { "ip=dhcp", "quiet" }

local OLDER = "image '%s' has the init of older tools (pull --replace-sci puts ours in)"

-- The words of the kernel's command line. image: as find_image has it.
local function boot_args(opts, image)
  local words = yaml.list {}
  for _, word in ipairs(image.channel and ARGS or OLD_ARGS) do
    if not (opts.no_net and word:match("^ip=")) then table.insert(words, word) end
  end
  if not image.channel and opts.force_vsock then table.insert(words, "sci_force_vsock=1") end
  return table.move(opts.boot_arg, 1, #opts.boot_arg, #words + 1, words)
end

-- The image's files, where launches will find them. A package may bring the image along.
local function find_image(opts)
  local dir, message, code = vm.find_image(opts.vm, opts)
  if not dir and not (opts.root and code == "ENOENT") then return nil, message, code end
  dir = dir or ("%s/%s"):format(vm.images_dir(opts), opts.vm)
  local seen = opts.root and dir:sub(#opts.root + 1) or dir
  local image = { rootfs = seen .. "/rootfs", kernel = seen .. "/kernel",
    initrd = fs.stat(dir .. "/initrd") and seen .. "/initrd" or nil,
    channel = fs.stat(dir .. "/channel") ~= nil or not fs.stat(dir) }
  if fs.stat(dir) and not fs.stat(dir .. "/kernel") then
    return nil, ("image '%s' has no kernel"):format(opts.vm), "ENOENT"
  end
  return image
end

-- Definition keys of schema version 1, as `register` of older tools writes them, and ours.
local function definition(opts, image, link)
  local settings = {
    rootfs_image_path = image.rootfs,
    kernel_image_path = image.kernel,
    initrd_path = image.initrd,
    boot_args = boot_args(opts, image),
    mem_size_mib = opts.mem_mib,
    vcpu_count = opts.vcpu_count,
    overlay_size = opts.overlay_size,
    engine = opts.engine,
    network = not opts.no_net,
    snapshot = opts.snapshot or nil,
    tap = link and link.name,
    tap_made = link and link.made or nil,
  }
  local doc = {
    user_may_override = opts.user_may_override,
    include = { tar = yaml.null, path = yaml.null },
    vm = {
      name = opts.vm,
      host_app_path = opts.app,
      target_app_path = opts.target or opts.app,
      runtime = { runas = opts.run_as or yaml.null, resume = opts.resume or false,
        force_vsock = opts.force_vsock or false, firecracker = settings },
    },
  }
  includes.add_keys(opts, doc.include)
  return doc
end

-- What options need of each other, and each for itself. Returns true, or nil, message, code.
local function check(opts)
  local included = #opts.include_tar + #opts.include_path > 0
  if included and not opts.overlay_size then
    return nil, "--include-tar and --include-path need --overlay-size: they go onto that disk",
      "EUSAGE"
  end
  local ok, message, code = registering.check_user(opts)
  if ok then opts.vcpu_count, message, code = limits.vcpu(opts.vcpu or "2") end
  if opts.vcpu_count then opts.mem_mib, message, code = limits.mem(opts.mem or "4096") end
  if not opts.mem_mib then return nil, message, code end
  if opts.overlay_size then
    opts.overlay_bytes, message, code = limits.overlay(opts.overlay_size)
    if not opts.overlay_bytes then return nil, message, code end
  end
  ok, message, code = limits.boot_args(opts.boot_arg)
  if ok then ok, message, code = includes.check_options(opts) end
  return ok, message, code
end

-- Directories that our init gives each VM anew (those of older tools have no own /run and /tmp).
local HIDDEN = { "/proc", "/sys", "/dev", "/run", "/tmp" }

local function check_includes(opts, image)
  for _, path in ipairs(opts.include_path) do
    for _, dir in ipairs(image.channel and HIDDEN or {}) do
      if (path .. "/"):sub(1, #dir + 1) == dir .. "/" then
        return nil, ("--include-path '%s' would not be seen: %s is new in each VM")
          :format(path, dir), "EUSAGE"
      end
    end
  end
  return true
end

-- What saving a booted VM takes. Returns true, or nil, message, code.
local function check_snapshot(opts, image)
  local why
  if opts.root then
    why = "a booted VM can only be saved where it will run"
  elseif opts.resume then
    why = "with --resume the VM stays: there is no boot to save"
  elseif not image.channel then
    why = OLDER:format(opts.vm)
  end
  if why then return nil, "--snapshot: " .. why, "EUSAGE" end
  return engine.check_snapshot(opts.engine, opts.host)
end

local function check_host(opts, image)
  opts.host = not opts.root and engine.look() or nil
  if opts.resume and not image.channel then
    return nil, "--resume: " .. OLDER:format(opts.vm), "EUSAGE"
  end
  if not opts.snapshot then return true end
  return check_snapshot(opts, image)
end

-- What template.ensure wants to know; nil: the flake has no disk.
local function disk_of(opts, name, image)
  if not opts.overlay_bytes then return nil end
  local list = {}
  for _, path in ipairs(opts.include_tar) do table.insert(list, "tar:" .. path) end
  for _, path in ipairs(opts.include_path) do table.insert(list, "path:" .. path) end
  return { name = name, state_name = (opts.user and "~" or "") .. name,
    size = opts.overlay_bytes, rootfs = image.rootfs, includes = list }
end

-- Nothing refuses any more, nothing is written yet.
local function prepare(opts, disk, link)
  local ok, message, code = true, nil, nil
  if disk and not opts.root then ok, message, code = template.ensure(disk, true) end
  if ok then ok, message, code = network.make(link) end
  return ok, message, code
end

-- Writes the definition and makes all that goes with it. Returns true, or nil, message, code.
local function register(opts, ctx, name, image)
  local old = registry.find(name, opts)
  local ok, message, code = registering.check_engine(old, "firecracker")
  if not ok then return nil, message, code end
  local link = network.plan(opts, name, old)
  local disk = disk_of(opts, name, image)
  opts.link = link
  local def = { name = name, engine = "firecracker", image = opts.vm,
    apps = { { path = opts.app, target = opts.target or opts.app } } }
  def.doc = definition(opts, image, link)
  if #opts.require_signature > 0 then
    ok, message, code = signature.record(def, def.doc.vm, opts.require_signature,
      registry.dir(opts))
    if not ok then return nil, message, code end
  end
  local function warn(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end
  ok, message, code = registry.register(def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = ctx.info.bindir .. "/firecracker-pilot", warn = warn,
    prepare = function() return prepare(opts, disk, link) end })
  local made = { disk = disk, link = link, ctl = ctx.info.bindir .. "/flake-ctl" }
  if ok then ok, message, code = finish(opts, name, old, made, warn) end
  if not ok then
    network.undo(link)
    if disk and not old then template.drop(disk) end
  end
  return ok, message, code
end

local function say(opts, ctx)
  for _, remark in ipairs { opts.host and engine.remark(opts.engine, opts.host) or false,
    network.remark(opts.link) or false } do
    if remark then ctx.err:write("flake-ctl: warning: ", remark, "\n") end
  end
  registering.warn_path(opts, { opts.app }, ctx)
  registering.warn_risk(opts, opts.name or base(opts.app), ctx)
end

--- flake-ctl firecracker register
return function(opts, ctx)
  local ok, message, code = check(opts)
  local image
  if ok then image, message, code = find_image(opts) end
  if not image then return nil, message, code end
  ok, message, code = check_includes(opts, image)
  if ok then ok, message, code = check_host(opts, image) end
  if not ok then return nil, message, code end
  ok, message, code = register(opts, ctx, opts.name or base(opts.app), image)
  if not ok then return nil, message, code, registering.hint(opts, code) end
  say(opts, ctx)
  return 0
end
