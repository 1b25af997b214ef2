-- SPDX-License-Identifier: MIT
-- Kernels: Firecracker takes an ELF file on x86_64 (QEMU too), distributions have bzImages, which
-- hold one compressed: https://docs.kernel.org/arch/x86/boot.html
local archive = require "flake.archive"
local fs = require "flake.fs"
local image = require "flake.image"
local registry = require "flake.registry"

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

--- The version that a kernel file says, or its name; nil: neither.
function M.version(path)
  local header = header_of(path)
  return header and header.version or path:match("/vmlinu[xz]%-([^/]+)$")
end

--- May the kernel refuse modules that are not signed? That stands in the configuration beside it.
function M.wants_signatures(path)
  local dir, version = path:match("^(.*/)vmlinu[xz]%-([^/]+)$")
  local text = dir and fs.read(dir .. "config-" .. version)
  return not text or text:find("\nCONFIG_MODULE_SIG_FORCE=y", 1, true) ~= nil
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

--- The host's kernel: the one that runs, or the newest.
-- Returns its path, or nil, message, "ENOENT".
function M.of_host()
  local boot = registry.prefix({}) .. "/boot"
  local f <close> = io.open("/proc/sys/kernel/osrelease")
  local release = f and f:read("l") or ""
  local best
  for _, name in ipairs(fs.list(boot) or {}) do
    local version = name:match("^vmlinu[xz]%-(.+)$")
    if version == release then return boot .. "/" .. name end
    local newer = version and (not best or image.version_less(best, name))
    if newer and fs.stat(boot .. "/" .. name) then best = name end
  end
  if best then return boot .. "/" .. best end
  return nil, ("there is no kernel in %s: name one with --kernel"):format(boot), "ENOENT"
end

return M
