-- SPDX-License-Identifier: MIT
-- Kernel modules of a guest: which of its drivers are modules, and an initrd that has them.
local archive = require "flake.archive"
local fs = require "flake.fs"
local base = require("flake.text").base

local M = {}

-- Without these a VM does not come up, or not with all that it promises.
local NEEDED = { "virtio_mmio", "virtio_blk", "ext4", "overlay", "virtio_console", "virtio_net",
  "vmw_vsock_virtio_transport" }
-- Taken where they are; the rest of them is no loss. ext4 wants crc32c when it is loaded.
local WELCOME = { "crc32c_generic", "crc32c_intel", "libcrc32c", "virtio_rng", "af_packet" }

local function name_of(path)
  return (base(path):gsub("%.ko[.%w]*$", ""):gsub("-", "_"))
end

local function lines_of(path)
  return (fs.read(path) or ""):gmatch("[^\n]+")
end

local function scan(dir, below, found)
  for _, entry in ipairs(fs.list(dir .. "/" .. below) or {}) do
    local path = below .. "/" .. entry
    local st = fs.lstat(dir .. "/" .. path)
    if st and st.type == "directory" then
      scan(dir, path, found)
    elseif st and entry:match("%.ko[.%w]*$") then
      found[name_of(path)] = path
    end
  end
end

--- What a directory of modules has: {files={name=path below dir}, builtin={name=true}}.
function M.index(dir)
  local index = { dir = dir, files = {}, builtin = {} }
  for line in lines_of(dir .. "/modules.builtin") do index.builtin[name_of(line)] = true end
  for line in lines_of(dir .. "/modules.dep") do
    local path = line:match("^([^:]+):")
    if path then index.files[name_of(path)] = path end
  end
  if not next(index.files) then scan(dir, "kernel", index.files) end
  return index
end

local SIGNED = "~Module signature appended~\n"

-- A module without the signature at its end (Linux, include/linux/module_signature.h): the guest
-- would check it, whose kernel and initrd lie side by side, and when emulated that takes a while.
local function unsigned(data)
  if data:sub(-#SIGNED) ~= SIGNED then return data end
  local info = #data - #SIGNED - 12
  if info < 0 then return data end
  local signer, key, size = data:byte(info + 4), data:byte(info + 5), (">I4"):unpack(data, info + 9)
  local rest = info - signer - key - size
  return rest > 0 and data:sub(1, rest) or data
end

-- The module as the kernel takes it, at the same place below target, decompressed.
-- Returns the names of the modules that it needs, or nil, message, code.
local function take(index, name, target)
  local from = index.files[name]
  local to = target .. "/" .. from:gsub("%.ko[.%w]*$", ".ko")
  local ok, message, code = fs.mkdir_p((to:match("^(.*)/")))
  if ok then ok, message, code = archive.decompress(index.dir .. "/" .. from, to) end
  local data
  if ok then data, message, code = fs.read(to) end
  if data and not index.sealed then
    data = unsigned(data)
    ok, message, code = fs.write(to, data)
  end
  if not ok or not data then return nil, message, code end
  local needs = {}
  for one in (data:match("%z?depends=([^%z]*)%z") or ""):gmatch("[^,]+") do
    table.insert(needs, (one:gsub("-", "_")))
  end
  return needs
end

local function path_in(index, name)
  return (index.files[name]:gsub("%.ko[.%w]*$", ".ko"))
end

-- modules.dep has all that a module needs; what is to be loaded first comes last.
local function all_needs(taken, name, list, seen)
  for _, need in ipairs(taken[name]) do
    if taken[need] and not seen[need] then
      seen[need] = true
      all_needs(taken, need, list, seen)
      table.insert(list, 1, need)
    end
  end
  return list
end

local function write_dep(index, taken, target)
  local names, lines = {}, {}
  for name in pairs(taken) do table.insert(names, name) end
  table.sort(names)
  for i, name in ipairs(names) do
    local paths = {}
    for j, need in ipairs(all_needs(taken, name, {}, { [name] = true })) do
      paths[j] = path_in(index, need)
    end
    lines[i] = ("%s: %s"):format(path_in(index, name), table.concat(paths, " ")):gsub(" $", "")
  end
  return fs.write(target .. "/modules.dep", table.concat(lines, "\n") .. "\n")
end

--- Which of the drivers are modules, and which are nowhere: two arrays of names.
function M.wanted(index)
  local some, missing = {}, {}
  for _, name in ipairs(NEEDED) do
    if index.files[name] then
      table.insert(some, name)
    elseif not index.builtin[name] then
      table.insert(missing, name)
    end
  end
  return some, missing
end

--- Puts modules and what they need into the directory target, with a modules.dep.
-- Returns true, or nil, message, code.
function M.collect(index, names, target)
  local taken, queue = {}, table.move(names, 1, #names, 1, {})
  for _, name in ipairs(WELCOME) do
    if index.files[name] then table.insert(queue, name) end
  end
  while #queue > 0 do
    local name = table.remove(queue)
    if not taken[name] and index.files[name] then
      local needs, message, code = take(index, name, target)
      if not needs then return nil, message, code end
      taken[name] = needs
      table.move(needs, 1, #needs, #queue + 1, queue)
    end
  end
  return write_dep(index, taken, target)
end

-- Where a kernel of that name may have its modules: itself among them, lib/modules beside its
-- directory /boot or beside itself.
local function roots_of(name)
  local dir = name:match("^(.*)/")
  return dir, { dir:match("^(.*)/boot$") or dir, dir }
end

local function in_root(root, version)
  for _, dir in ipairs { "/lib/modules/", "/usr/lib/modules/" } do
    local path = root .. dir .. version
    if fs.stat(path) then return path end
  end
end

--- The directory of the modules of a kernel: beside it, by one of its names, or the host's.
-- Returns it or nil.
function M.find(names, version, prefix)
  for _, name in ipairs(names) do
    local dir, roots = roots_of(name)
    if base(dir) == version and fs.stat(dir .. "/kernel") then return dir end
    for _, root in ipairs(roots) do
      local path = in_root(root, version)
      if path then return path end
    end
  end
  return in_root(prefix, version)
end

--- Writes an initrd whose init is ours, with modules from `index` (index.sealed: they keep their
-- signatures). dir: an empty directory.
-- Returns true, or nil, message, code.
function M.initrd(index, names, version, sci, dir, file)
  for _, path in ipairs { "dev", "proc", "sys", "run", "newroot" } do
    assert(fs.mkdir(dir .. "/" .. path))
  end
  local target = ("%s/lib/modules/%s"):format(dir, version)
  local ok, message, code = fs.mkdir_p(target)
  if ok then ok, message, code = fs.copy(sci, dir .. "/init", { mode = 493 }) end
  if ok then ok, message, code = M.collect(index, names, target) end
  if ok then ok, message, code = archive.create(file, dir, { format = "newc", mtime = 0 }) end
  return ok and true, message, code
end

return M
