-- SPDX-License-Identifier: MIT
-- Kernels: Firecracker takes an ELF file on x86_64 (QEMU too), distributions have bzImages, which
-- hold one compressed: https://docs.kernel.org/arch/x86/boot.html
local archive = require "flake.archive"
local fs = require "flake.fs"
local image = require "flake.image"
local registry = require "flake.registry"
local base = require("flake.text").base

local M = {}

local ELF = "\x7fELF"
local HEADER = 0x1f1 -- where the setup header of a bzImage begins

-- The fields of a bzImage's setup header, or nil.
local function header_of(path)
  local f <close> = io.open(path, "rb")
  local text = f and f:read(4096) or ""
  if text:sub(0x203, 0x206) ~= "HdrS" or #text < 0x250 then return nil end
  local setup_sects, protocol = text:byte(HEADER + 1), ("<I2"):unpack(text, 0x207)
  if protocol < 0x208 then return nil end
  local offset, length = ("<I4I4"):unpack(text, 0x249)
  local start = ((setup_sects == 0 and 4 or setup_sects) + 1) * 512 + offset
  local version = ("<I2"):unpack(text, 0x20f)
  if version > 0 and f:seek("set", version + 0x200) then
    version = (f:read(256) or ""):match("^[%w._+~-]+")
  end
  f:seek("set", start)
  return { start = start, length = length, magic = f:read(4) or "", version = version or nil }
end

-- The version in the name of a kernel: boot/vmlinuz-V, or among its modules lib/modules/V/vmlinuz.
local function version_in(path)
  return path:match("/vmlinu[xz]%-([^/]+)$") or path:match("/modules/([^/]+)/vmlinu[xz]$")
end

--- A kernel's file by its names: as it is called, and what is behind the links.
function M.names(path)
  local dir = fs.realpath(path:match("^.*/") or ".")
  return { dir and ("%s/%s"):format(dir == "/" and "" or dir, base(path)) or path,
    fs.realpath(path) }
end

--- The version that a kernel file says, or one of its names; nil: neither.
function M.version(names)
  local header = header_of(names[1])
  local version = header and header.version
  for _, name in ipairs(names) do version = version or version_in(name) end
  return version
end

-- The configuration of a kernel: beside it, or in the tree of its modules.
local function configuration(names, version, modules)
  for _, name in ipairs(names) do
    local text = fs.read(("%s/config-%s"):format(name:match("^(.*)/"), version))
    if text then return text end
  end
  return modules and modules:read("config")
end

--- May the kernel refuse modules that are not signed? Its configuration says that; without one it
-- may. modules: their tree, or nil.
function M.wants_signatures(names, version, modules)
  local text = configuration(names, version, modules)
  return not text or ("\n" .. text):find("\nCONFIG_MODULE_SIG_FORCE=y", 1, true) ~= nil
end

local function magic_of(path)
  local f <close> = io.open(path, "rb")
  return f and f:read(4)
end

-- Does the file begin as kernels do? ELF, bzImage (x86), Image (arm64), EFI's (both, and zboot).
local function is_kernel(path)
  local f <close> = io.open(path, "rb")
  local text = f and f:read(0x240) or ""
  return text:sub(1, 4) == ELF or text:sub(1, 2) == "MZ" or text:sub(0x203, 0x206) == "HdrS"
    or text:sub(0x39, 0x3c) == "ARM\x64"
end

-- Behind all but gzip's data is its size, in 4 bytes of which the decompressors know nothing.
local function slice_of(header)
  local tail = header.magic:sub(1, 2) == "\x1f\x8b" and 0 or 4
  return { offset = header.start, length = header.length - tail, max_size = 1 << 30 }
end

--- Writes the kernel of the file `from` as the new file `to`: the ELF file in a bzImage, what a
-- compressed one holds, or else the same. Returns true, or nil, message, code.
function M.install(from, to)
  local header = header_of(from)
  if header and header.length > 4 then
    local size = archive.decompress(from, to, slice_of(header))
    if size and magic_of(to) == ELF then return true end
    fs.unlink(to)
    return fs.copy(from, to)
  end
  local size, message, code = archive.decompress(from, to, { max_size = 1 << 30 })
  if not size then return nil, message, code end
  if size == 0 then return nil, from .. " is empty", "EIMAGE" end
  if is_kernel(to) then return true end
  fs.unlink(to)
  return nil, from .. " is no kernel", "EIMAGE"
end

-- What a kernel has of a driver in it, as that names itself.
local NAMES = { virtio_mmio = "virtio-mmio", virtio_blk = "virtio_blk", ext4 = "ext4" }

--- Which of the drivers without which no root file system is found are not in the kernel? An array
-- of names; empty, too, where a kernel is compressed still, and does not tell.
function M.lacks(path)
  local text, lacking = fs.read(path) or "", {}
  if text:sub(1, 4) ~= ELF and text:sub(0x39, 0x3c) ~= "ARM\x64" then return lacking end
  for driver, name in pairs(NAMES) do
    if not text:find(("\0%s\0"):format(name), 1, true) then table.insert(lacking, driver) end
  end
  table.sort(lacking)
  return lacking
end

-- The kernels of the host: {[version]=path}, by preference in /boot.
local function installed()
  local prefix, found = registry.prefix({}), {}
  local function add(path)
    local version = version_in(path)
    if version and not found[version] and fs.stat(path) then found[version] = path end
  end
  for _, name in ipairs(fs.list(prefix .. "/boot") or {}) do add(prefix .. "/boot/" .. name) end
  for _, dir in ipairs { prefix .. "/usr/lib/modules", prefix .. "/lib/modules" } do
    for _, version in ipairs(fs.list(dir) or {}) do add(("%s/%s/vmlinuz"):format(dir, version)) end
  end
  return found
end

--- The host's kernel: the one that runs, or the newest.
-- Returns its path, or nil, message, "ENOENT".
function M.of_host()
  local f <close> = io.open("/proc/sys/kernel/osrelease")
  local kernels, best = installed(), nil
  local running = kernels[f and f:read("l") or ""]
  if running then return running end
  for version in pairs(kernels) do
    if not best or image.version_less(best, version) then best = version end
  end
  if best then return kernels[best] end
  return nil, ("there is no kernel in %s/boot or beside modules: name one with --kernel")
    :format(registry.prefix({})), "ENOENT"
end

return M
