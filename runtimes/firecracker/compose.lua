-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker compose: the formatted disk, with the included files, that takes the
-- changes of a VM. Calls start with a copy of it.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local includes = require "flake.includes"
local locks = require "flake.locks"
local pilot = require "flake.pilot"
local registry = require "flake.registry"
local vm = require "flake.vm"
local instances = require "shipped.runtimes.firecracker.instances"
local lower = require "shipped.runtimes.firecracker.lower"
local tree = require "shipped.runtimes.firecracker.tree"

local UPPER = "rootfs_upper"

-- The archive of one include. Returns its path, or nil, message, code.
local function archive_of(flake, include, temp)
  local kind, path = include:match("^(%a+):(.*)$")
  if kind == "tar" then return includes.absolute(flake, path) end
  local file = temp .. "/include.tar"
  fs.unlink(file)
  local ok, message, code = includes.pack(path, file, temp)
  return ok and file, message, code
end

-- Unpacks all includes. Returns the entries for tree.settle, or nil, message, code.
local function fill(flake, params, temp, upper)
  local entries = {}
  for _, include in ipairs(params.includes) do
    local file, message, code = archive_of(flake, include, temp)
    if file then file, message, code = tree.unpack(file, upper, entries, UPPER .. "/") end
    if not file then
      return nil, ("flake '%s': include %s"):format(flake.name, message), code
    end
  end
  if #params.includes == 0 then return entries end
  local ok, message, code = lower.fit(params.rootfs, upper, entries, UPPER .. "/")
  if not ok then return nil, message, code end
  return entries
end

local function make(flake, params, size, target)
  local dir = target:match("^(.*)/")
  local temp <close>, why, reason = fs.temp_dir { dir = dir, prefix = ".compose" }
  if not temp then return nil, why, reason end
  local root, file = temp:path() .. "/tree", temp:path() .. "/disk"
  assert(fs.mkdir_p(root .. "/" .. UPPER))
  assert(fs.mkdir(root .. "/rootfs_work"))
  local ok
  local entries, message, code = fill(flake, params, temp:path(), root .. "/" .. UPPER)
  if not entries then return nil, message, code end
  local _, inodes = tree.measure(entries)
  ok, message, code = e2fs.make(file, size, { tree = root, inodes = inodes + 1024 })
  if not ok and #params.includes > 0 then
    message = ("%s (do the includes fit into the overlay size?)"):format(message)
  end
  if ok then ok, message, code = tree.settle(file, entries) end
  if ok then ok, message, code = fs.chmod(file, 420) end
  if ok then ok, message, code = fs.fsync(file) end
  if ok then ok, message, code = fs.rename(file, target) end
  return ok, message, code
end

-- Includes as absolute paths, as the template's name has them.
local function absolute_includes(flake, list)
  local all = {}
  for i, include in ipairs(list) do
    local kind, path = include:match("^(%a+):(.*)$")
    all[i] = kind .. ":" .. includes.absolute(flake, path)
  end
  return all
end

local function find(opts)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if flake.engine ~= "firecracker" then
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local params = vm.params(flake)
  if not params.overlay_size then
    return nil, ("flake '%s' has no overlay size: there is nothing to compose"):format(flake.name),
      "EUSAGE"
  end
  params.includes = absolute_includes(flake, params.includes)
  return flake, params
end

--- flake-ctl firecracker compose
return function(opts)
  local flake, params, code = find(opts)
  if not flake then return nil, params, code end
  local dir, message, reason = pilot.vm_storage()
  if not dir then return nil, message, reason end
  local size = (params.overlay_size + 4095) // 4096 * 4096
  local name = pilot.vm_template(flake.state_name, size, params.includes)
  local held <close>, why, problem = locks.wait(dir .. "/.lock")
  if not held then return nil, why, problem end
  if not opts.force and fs.stat(dir .. "/" .. name) then return 0 end
  local ok
  ok, message, reason = make(flake, params, size, dir .. "/" .. name)
  if not ok then return nil, message, reason end
  instances.sweep(flake.state_name, { template = true }, name)
  return 0
end
