-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker build-image: a VM image of a container image and a kernel.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local podman_store = require "flake.store"
local registry = require "flake.registry"
local signature = require "flake.signature"
local vm = require "flake.vm"
local kernel = require "shipped.runtimes.firecracker.kernel"
local modules = require "shipped.runtimes.firecracker.modules"
local sci = require "shipped.runtimes.firecracker.sci"
local store = require "flake.vm_store"
local tree = require "shipped.runtimes.firecracker.tree"

local MIB = 1 << 20
local SLACK = 64 * MIB

-- Writes the files of a container of that image as tar. A command has to be named, but not to be
-- there.
local function export(reference, file)
  local ok, message, code = signature.ensure(podman_store.of(nil), reference)
  local id
  if ok then id, message, code = podman.ask("create", "--", reference, "/flake-image") end
  if not id then return nil, message, code end
  local gone <close> = setmetatable({}, { __close = function() -- luacheck: ignore gone
    podman.call({ "rm", "--force", id }, { stdout = "null", stderr = "null" })
  end })
  local result
  result, message, code = podman.call { "export", "--output", file, id }
  if not result then return nil, message, code end
  if result.code ~= 0 then
    return nil, ("podman could not export image '%s'"):format(reference), "EENGINE"
  end
  return true
end

-- The size of the root file system: asked for, or what the content needs.
local function size_for(entries, wanted)
  local bytes, inodes = tree.measure(entries)
  if not wanted then
    return (bytes + bytes // 50 + SLACK + MIB - 1) // MIB * MIB, inodes + 4096
  end
  if wanted < bytes then
    return nil, ("--size: the content alone needs %d MiB"):format((bytes + MIB - 1) // MIB),
      "EUSAGE"
  end
  return wanted // 4096 * 4096, inodes + 1024
end

local function make_rootfs(opts, job)
  local tar, dir, rootfs = job.temp .. "/export.tar", job.temp .. "/root", job.dir .. "/rootfs"
  assert(fs.mkdir(dir))
  local ok, message, code = export(opts.from_oci, tar)
  local entries, size, inodes
  if ok then entries, message, code = tree.unpack(tar, dir, {}, "") end
  if not entries then return nil, message, code end
  fs.unlink(tar)
  size, inodes, code = size_for(entries, opts.bytes)
  if not size then return nil, inodes, code end
  ok, message, code = e2fs.make(rootfs, size, { tree = dir, inodes = inodes, block = 4096 })
  fs.remove_tree(dir)
  if ok then ok, message, code = tree.settle(rootfs, entries) end
  if ok then ok, message, code = sci.put(rootfs, job.sci) end
  return ok, message, code
end

-- The kernel's modules as tree; nil: they are nowhere; nil, message, code: not where they must be.
local function module_tree(opts, names, version)
  if opts.modules then
    local found = fs.tree(opts.modules)
    if found then return found end
    return nil, ("there is no directory %s"):format(opts.modules), "ENOENT"
  end
  return version and modules.find(names, version, registry.prefix({}))
end

-- Has the kernel, or a module, what it takes to find the root file system? Without it a VM panics.
local function check_root(job, path, index)
  local lacking = {}
  for _, driver in ipairs(kernel.lacks(job.dir .. "/kernel")) do
    local known = index and (index.files[driver] or index.builtin[driver])
    if not known then table.insert(lacking, driver) end
  end
  if #lacking == 0 then return true end
  return nil, ("kernel %s: %s %s neither in it nor among its modules%s"):format(path,
    table.concat(lacking, ", "), #lacking == 1 and "is" or "are",
    index and "" or ", which are nowhere: --modules names their directory"), "EIMAGE"
end

local function without_modules(job, path)
  local ok, message, code = check_root(job, path)
  if not ok then return nil, message, code end
  job.note(("kernel %s: its modules are nowhere: what it has not built in is missing"):format(path))
  return true
end

local function make_initrd(opts, job, path)
  local names = kernel.names(path)
  local version = kernel.version(names) or opts.modules and opts.modules:match("([^/]+)/*$")
  local found <close>, message, code = module_tree(opts, names, version)
  if not found and message then return nil, message, code end
  if not found then return without_modules(job, path) end
  local index, why, reason = modules.index(found)
  if not index then return nil, why, reason end
  index.sealed = kernel.wants_signatures(names, version, found)
  local wanted, missing = modules.wanted(index)
  local ok
  ok, message, code = check_root(job, path, index)
  if not ok then return nil, message, code end
  if #missing > 0 then
    job.note(("kernel %s has no driver %s"):format(path, table.concat(missing, ", ")))
  end
  if #wanted == 0 then return true end
  local dir = job.temp .. "/initrd"
  assert(fs.mkdir(dir))
  return modules.initrd(index, wanted, version, job.sci, dir, job.dir .. "/initrd")
end

local function make(opts, job)
  local path, message, code = opts.kernel, nil, nil
  if not path then path, message, code = kernel.of_host() end
  local ok
  if path then ok, message, code = kernel.install(path, job.dir .. "/kernel") end
  if ok then ok, message, code = make_initrd(opts, job, path) end
  if ok then ok, message, code = make_rootfs(opts, job) end
  if not ok then return nil, message, code end
  return sci.note(job.dir)
end

--- flake-ctl firecracker build-image
return function(opts, ctx)
  if opts.size then
    opts.bytes = pilot.size(opts.size)
    if not opts.bytes then
      return nil, ("--size '%s' is no size, such as 2GiB"):format(opts.size), "EUSAGE"
    end
  end
  local init, message, code = vm.sci(ctx.info)
  if not init then return nil, message, code end
  local job <close>, why, name, hint = store.begin(opts)
  if not job then return nil, why, name, hint end
  job.sci = init
  job.note = function(text) ctx.err:write("flake-ctl: warning: ", text, "\n") end
  local ok
  ok, message, code = make(opts, job)
  if ok then ok, message, code = store.finish(job) end
  if not ok then return nil, message, code end
  return 0
end
