-- SPDX-License-Identifier: MIT
-- Kernel modules of a guest: which of its drivers are modules, and an initrd that has them. They
-- may be a stranger's: all of them is read and written in trees.
local archive = require "flake.archive"
local fs = require "flake.fs"
local names_of = require "flake.names"
local printable = require("flake.output").printable
local base = require("flake.text").base

local M = {}

-- Without these a VM does not come up, or not with all that it promises.
local NEEDED = { "virtio_mmio", "virtio_blk", "ext4", "overlay", "virtio_console", "virtio_net",
  "vmw_vsock_virtio_transport" }
-- Taken where they are; the rest of them is no loss. ext4 wants crc32c when it is loaded.
local WELCOME = { "crc32c_generic", "crc32c_intel", "libcrc32c", "virtio_rng", "af_packet" }

local MODULE_MAX = 256 << 20

local function name_of(path)
  return (base(path):gsub("%.ko[.%w]*$", ""):gsub("-", "_"))
end

local function lines_of(tree, name)
  return (tree:read(name) or ""):gmatch("[^\n]+")
end

local function scan(tree, below, found)
  for _, entry in ipairs(tree:list(below) or {}) do
    local path = below .. "/" .. entry
    local st = tree:lstat(path)
    if st and st.type == "directory" then
      scan(tree, path, found)
    elseif st and entry:match("%.ko[.%w]*$") then
      found[name_of(path)] = path
    end
  end
end

--- What a tree of modules (of which modules.find gives one) has: {tree=, files={name=path in it},
-- builtin={name=true}}. Or nil, message, "EIMAGE".
function M.index(tree)
  local index = { tree = tree, files = {}, builtin = {} }
  for line in lines_of(tree, "modules.builtin") do index.builtin[name_of(line)] = true end
  for line in lines_of(tree, "modules.dep") do
    local path = line:match("^([^:]+):")
    local good, why = names_of.relative(path or "none")
    if not good then
      return nil, ("modules.dep: '%s' %s"):format(printable(path), why), "EIMAGE"
    end
    if path then index.files[name_of(path)] = path end
  end
  if not next(index.files) then scan(tree, "kernel", index.files) end
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

local function path_in(index, name)
  return (index.files[name]:gsub("%.ko[.%w]*$", ".ko"))
end

-- The decompressed file. work: an empty directory.
local function unpack(index, from, work)
  local tree <close>, message, code = fs.tree(work)
  local ok
  if tree then ok, message, code = index.tree:copy_to(from, tree, "packed") end
  if ok then
    ok, message, code = archive.decompress(work .. "/packed", work .. "/plain",
      { max_size = MODULE_MAX })
  end
  local data
  if ok then data, message, code = tree:read("plain") end
  if not data then return nil, message, code end
  tree:remove("packed")
  tree:remove("plain")
  return data
end

-- The module as the kernel takes it, at the same place in the tree target, decompressed.
-- Returns the names of the modules that it needs, or nil, message, code.
local function take(index, name, target, work)
  local from = index.files[name]
  local to = path_in(index, name)
  local ok
  local data, message, code = unpack(index, from, work)
  if data then ok, message, code = target:mkdir_p(to:match("^(.*)/") or "") end
  if ok and not index.sealed then data = unsigned(data) end
  if ok then ok, message, code = target:write(to, data) end
  if not ok then return nil, message, code end
  local needs = {}
  for one in (data:match("%z?depends=([^%z]*)%z") or ""):gmatch("[^,]+") do
    table.insert(needs, (one:gsub("-", "_")))
  end
  return needs
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
  return target:write("modules.dep", table.concat(lines, "\n") .. "\n")
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

--- Puts modules and what they need into the tree target, with a modules.dep.
-- Returns true, or nil, message, code.
function M.collect(index, names, target)
  local work <close>, why, reason = fs.temp_dir { prefix = "flake-modules" }
  if not work then return nil, why, reason end
  local taken, queue = {}, table.move(names, 1, #names, 1, {})
  for _, name in ipairs(WELCOME) do
    if index.files[name] then table.insert(queue, name) end
  end
  while #queue > 0 do
    local name = table.remove(queue)
    if not taken[name] and index.files[name] then
      local needs, message, code = take(index, name, target, work:path())
      if not needs then return nil, message, code end
      taken[name] = needs
      table.move(needs, 1, #needs, #queue + 1, queue)
    end
  end
  return write_dep(index, taken, target)
end

-- The modules of that version below a root directory, as tree, or nil.
local function in_root(root, version)
  local tree <close> = fs.tree(root .. "/")
  for _, dir in ipairs { "lib/modules/", "usr/lib/modules/" } do
    local found = tree and tree:below(dir .. version)
    if found then return found end
  end
end

-- The directory of a kernel that is among its modules, as tree, or nil.
local function around(dir, version)
  if base(dir) ~= version then return nil end
  local tree = fs.tree(dir .. "/")
  if tree and tree:lstat("kernel") then return tree end
end

--- The modules of a kernel as tree: around it, in lib/modules beside its directory /boot or beside
-- itself, by one of its names, or else the host's; nil: there are none.
function M.find(names, version, prefix)
  if not names_of.file(version) then return nil end
  for _, name in ipairs(names) do
    local dir = name:match("^(.*)/")
    local found = around(dir, version) or in_root(dir:match("^(.*)/boot$") or dir, version)
      or in_root(dir, version)
    if found then return found end
  end
  return in_root(prefix, version)
end

-- What an initrd has besides modules. Returns the tree for those, or nil, message, code.
local function prepare(root, version, sci)
  for _, path in ipairs { "dev", "proc", "sys", "run", "newroot" } do assert(root:mkdir(path)) end
  local target = "lib/modules/" .. version
  local dir, name = sci:match("^(.*/)([^/]*)$")
  local from <close>, message, code = fs.tree(dir)
  local ok
  if from then ok, message, code = from:copy_to(name, root, "init", { mode = 493 }) end
  if ok then ok, message, code = root:mkdir_p(target) end
  if not ok then return nil, message, code end
  return root:below(target)
end

--- Writes an initrd whose init is ours, with modules from `index` (index.sealed: they keep their
-- signatures). dir: an empty directory.
-- Returns true, or nil, message, code.
function M.initrd(index, names, version, sci, dir, file)
  local good, why = names_of.file(version)
  if not good then return nil, ("the kernel's version %s"):format(why), "EIMAGE" end
  local root <close>, message, code = fs.tree(dir)
  local target, ok
  if root then target, message, code = prepare(root, version, sci) end
  if target then ok, message, code = M.collect(index, names, target) end
  if ok then ok, message, code = archive.create(file, dir, { format = "newc", mtime = 0 }) end
  return ok and true, message, code
end

return M
