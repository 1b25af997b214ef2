-- SPDX-License-Identifier: MIT
-- Making an image: in a temporary directory beside the others, which is renamed when all of it is
-- there and good. Until then the old one of that name stays.
local fs = require "flake.fs"
local vm = require "flake.vm"

local M = {}

local PREFIX = ".making"
local PAGE = 4096

-- Nobody makes an image at present: what is half there is nobody's.
local function sweep(dir)
  local held <close> = fs.lock(dir .. "/.lock", { timeout = 0 })
  if not held then return end
  for _, name in ipairs(fs.list(dir) or {}) do
    if name:sub(1, #PREFIX) == PREFIX then fs.remove_tree(dir .. "/" .. name) end
  end
end

local function exists(name)
  return nil, ("image '%s' exists already"):format(name), "EEXIST",
    "--force replaces it as soon as the new one is there"
end

-- An image of a flake that demands signatures comes in a signed bundle only.
local function check_demands(opts, dir)
  local flakes = opts.checked and {} or vm.flakes_of(opts.name, dir, opts)
  for _, flake in ipairs(flakes or {}) do
    if #flake.signature_keys > 0 then
      return nil, ("flake '%s' demands signatures, which image '%s' has only in a signed bundle: "
        .. "flake-ctl import"):format(flake.name, opts.name), "ESIGNATURE"
    end
  end
  return true
end

--- Starts an image. opts: {name=, force=, root=, user=, checked=signatures have been}
-- Returns {dir=where its files go, temp=another empty directory, parts=of downloads}, which is to
-- be closed (<close>); or nil, message, code.
function M.begin(opts)
  local dir, message, code = vm.images_dir(opts)
  local ok
  if dir then ok, message, code = check_demands(opts, ("%s/%s"):format(dir, opts.name)) end
  if ok then ok, message, code = fs.mkdir_p(dir) end
  if not ok then return nil, message, code end
  if fs.lstat(dir .. "/" .. opts.name) and not opts.force then
    return exists(opts.name)
  end
  sweep(dir)
  local job = { images = dir, name = opts.name, force = opts.force,
    parts = dir .. "/.parts" }
  job.lock, message, code = fs.lock(dir .. "/.lock", { shared = true })
  if job.lock then job.holder, message, code = fs.temp_dir { dir = dir, prefix = PREFIX } end
  if not job.holder then return nil, message, code end
  job.dir, job.temp = job.holder:path() .. "/image", job.holder:path() .. "/temp"
  assert(fs.mkdir(job.dir))
  assert(fs.mkdir(job.temp))
  return setmetatable(job, { __close = function(self)
    self.holder:close()
    self.lock:unlock()
    fs.rmdir(self.parts)
  end })
end

--- Fills an initrd up to whole pages with zeros, which kernels skip. QEMU puts the initrd of an ELF
-- kernel as high as it goes below the last byte of memory, and in the last page SeaBIOS has its
-- ACPI tables: an initrd of whole pages ends before that page.
-- Returns true, or nil, message, code.
function M.pad_initrd(file)
  local f <close>, message = io.open(file, "ab")
  if not f then return nil, message, "EIO" end
  local ok, why = f:write(("\0"):rep(-f:seek("end") % PAGE))
  if ok then ok, why = f:flush() end
  if not ok then return nil, ("cannot write %s: %s"):format(file, why), "EIO" end
  return true
end

local function sync(dir)
  for _, name in ipairs(fs.list(dir)) do
    local file = dir .. "/" .. name
    local ok, message, code = fs.chmod(file, 420)
    if ok and name == "initrd" then ok, message, code = M.pad_initrd(file) end
    if ok then ok, message, code = fs.fsync(file) end
    if not ok then return nil, message, code end
  end
  return fs.fsync(dir)
end

-- At no moment is there none, but where the file system cannot do that.
local function replace(job, target)
  if fs.exchange(job.dir, target) then return true end
  local old = job.holder:path() .. "/old"
  local ok, message, code = fs.rename(target, old)
  if not ok then return nil, message, code end
  ok, message, code = fs.rename(job.dir, target)
  if not ok then fs.rename(old, target) end
  return ok, message, code
end

--- All is there and good: the image gets its name. Returns true, or nil, message, code.
function M.finish(job)
  local ok, message, code = sync(job.dir)
  if not ok then return nil, message, code end
  local target = job.images .. "/" .. job.name
  ok, message, code = fs.rename(job.dir, target)
  if not ok and fs.lstat(target) then
    -- Without --force there was none at the beginning: it is somebody else's.
    if not job.force then return exists(job.name) end
    ok, message, code = replace(job, target)
  end
  if not ok then return nil, message, code end
  return fs.fsync(job.images)
end

return M
