-- SPDX-License-Identifier: MIT
-- What a bundle of a VM flake has: the files of its image.
local archive = require "flake.archive"
local digest = require "flake.digest"
local fs = require "flake.fs"
local loader = require "flake.loader"
local vm = require "flake.vm"
local vm_store = require "flake.vm_store"
local yaml = require "flake.yaml"

-- Disks compress well, and nobody stores bundles for their speed.
local M = { compression = "zstd" }

local KEYS = { rootfs = "rootfs_image_path", kernel = "kernel_image_path", initrd = "initrd_path" }
local FILES = { "rootfs", "kernel", "initrd", "channel", "checksum" }
local KNOWN = {}
for _, name in ipairs(FILES) do KNOWN[name] = true end

--- Nothing.
function M.parts()
  return yaml.list {}
end

--- Writes the image's files into a directory. Returns true, or nil, message, code.
function M.save(flake, dir)
  local params, target = vm.params(flake), dir .. "/image"
  if not (params.rootfs and params.kernel) then
    return nil, ("flake '%s' names no image files"):format(flake.name), "EFLAKE"
  end
  local beside = params.rootfs:match("^(.*/)")
  local ok, message, code = fs.mkdir(target)
  for _, name in ipairs(FILES) do
    local from = params[name] or not KEYS[name] and beside .. name
    if ok and from and (KEYS[name] or fs.stat(from)) then
      ok, message, code = fs.copy(from, target .. "/" .. name)
    end
  end
  return ok, message, code
end

--- Names of the files that a bundle must have.
function M.files()
  return { "image/rootfs", "image/kernel" }
end

--- Checks an unpacked bundle. Returns true, or nil, message, code.
function M.check(manifest, file, dir)
  manifest.dir = dir
  if not loader.find("runtimes", "firecracker") then
    return nil, ("%s is of a VM flake: install firecracker-pilot first"):format(file), "ENOENT"
  end
  local ok, why = vm.check_name(manifest.image)
  if not ok then
    return nil, ("%s: the name of its image %s"):format(file, why), "EARCHIVE"
  end
  for _, name in ipairs(fs.list(dir .. "/image")) do
    local st = fs.lstat(("%s/image/%s"):format(dir, name))
    if not KNOWN[name] or st.type ~= "file" then
      return nil, ("%s: refusing image/%s"):format(file, name), "EARCHIVE"
    end
  end
  return true
end

--- Where this host will have the image's files, by the keys of a definition.
function M.place(manifest, dir, opts)
  local place, files = ("%s/%s"):format(vm.images_dir(opts), manifest.image), {}
  if opts.root then place = place:sub(#opts.root + 1) end
  for name, key in pairs(KEYS) do
    if fs.stat(("%s/image/%s"):format(dir, name)) then
      files[key] = ("%s/%s"):format(place, name)
    end
  end
  return files
end

-- Is the same image there already?
local function is_same(there, dir)
  for _, name in ipairs(FILES) do
    local a, b = fs.stat(there .. "/" .. name), fs.stat(dir .. "/" .. name)
    if (a and a.size) ~= (b and b.size) then return false end
    local same = not a or digest.file(there .. "/" .. name) == digest.file(dir .. "/" .. name)
    if not same then return false end
  end
  return true
end

-- Is the image of a bundle there already? Older bundles have initrds as they were before images
-- were made of whole pages.
local function is_there(there, dir)
  if is_same(there, dir) then return true end
  local initrd = dir .. "/initrd"
  return fs.stat(initrd) and vm_store.pad_initrd(initrd) and is_same(there, dir)
end

--- The image of this host that would be another one: {{what=, users={flakes}}} or {}.
function M.replaced(manifest, opts)
  local there = ("%s/%s"):format(vm.images_dir(opts), manifest.image)
  if not fs.lstat(there) or is_there(there, manifest.dir .. "/image") then return {} end
  local users = {}
  for _, flake in ipairs(vm.flakes_of(manifest.image, there, opts) or {}) do
    if flake.name ~= manifest.name then table.insert(users, flake.name) end
  end
  return { { what = ("image '%s'"):format(manifest.image), users = users } }
end

--- Flakes that demand signatures and have the image.
function M.demanding(manifest, opts)
  local place, found = ("%s/%s"):format(vm.images_dir(opts), manifest.image), {}
  for _, flake in ipairs(vm.flakes_of(manifest.image, place, opts) or {}) do
    if #flake.signature_keys > 0 then table.insert(found, flake) end
  end
  return found
end

--- Gives this host the image. Returns true, or nil, message, code.
function M.load(manifest, opts)
  local dir = manifest.dir
  local there = ("%s/%s"):format(vm.images_dir(opts), manifest.image)
  if is_there(there, dir .. "/image") then return true end
  local job <close>, message, code = vm_store.begin { name = manifest.image, force = opts.force,
    root = opts.root, user = opts.user, checked = true }
  if not job then return nil, message, code end
  for _, name in ipairs(fs.list(dir .. "/image")) do
    local from, to = ("%s/image/%s"):format(dir, name), job.dir .. "/" .. name
    local size, why, reason
    if name == "rootfs" then
      size, why, reason = archive.decompress(from, to)
    else
      size, why, reason = fs.copy(from, to)
    end
    if not size then return nil, why, reason end
  end
  return vm_store.finish(job)
end

return M
