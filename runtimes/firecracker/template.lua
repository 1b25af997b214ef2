-- SPDX-License-Identifier: MIT
-- The template of a flake's disk: formatted, with the included files. It takes the changes of a VM;
-- calls start with a copy of it.
-- A job: {name=of the flake, state_name=, size=bytes, rootfs=path,
-- includes={"tar:PATH"|"path:PATH", …} with absolute paths}
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local includes = require "flake.includes"
local locks = require "flake.locks"
local pilot = require "flake.pilot"
local lower = require "shipped.runtimes.firecracker.lower"
local tree = require "shipped.runtimes.firecracker.tree"

local M = {}

local UPPER, PREFIX = "rootfs_upper", ".compose"

-- The archive of one include. Returns its path, or nil, message, code.
local function archive_of(include, temp)
  local kind, path = include:match("^(%a+):(.*)$")
  if kind == "tar" then return path end
  local file = temp .. "/include.tar"
  fs.unlink(file)
  local ok, message, code = includes.pack(path, file, temp)
  return ok and file, message, code
end

-- Unpacks all includes. Returns the entries for tree.settle, or nil, message, code.
local function fill(job, temp, upper)
  local entries = {}
  for _, include in ipairs(job.includes) do
    local file, message, code = archive_of(include, temp)
    if file then file, message, code = tree.unpack(file, upper, entries, UPPER .. "/") end
    if not file then
      return nil, ("flake '%s': include %s"):format(job.name, message), code
    end
  end
  if #job.includes == 0 then return entries end
  local ok, message, code = lower.fit(job.rootfs, upper, entries, UPPER .. "/")
  if not ok then return nil, message, code end
  return entries
end

local function make(job, target)
  local dir = target:match("^(.*)/")
  local temp <close>, why, reason = fs.temp_dir { dir = dir, prefix = PREFIX }
  if not temp then return nil, why, reason end
  local root, file = temp:path() .. "/root", temp:path() .. "/disk"
  assert(fs.mkdir_p(root .. "/" .. UPPER))
  assert(fs.mkdir(root .. "/rootfs_work"))
  local ok
  local entries, message, code = fill(job, temp:path(), root .. "/" .. UPPER)
  if not entries then return nil, message, code end
  local _, inodes = tree.measure(entries)
  -- As many as usual, if nothing goes in.
  inodes = inodes > 0 and inodes + 256 or nil
  ok, message, code = e2fs.make(file, job.size, { tree = root, inodes = inodes })
  if not ok and #job.includes > 0 then
    message = ("%s (do the includes fit into the overlay size?)"):format(message)
  end
  if ok then ok, message, code = tree.settle(file, entries) end
  if ok then ok, message, code = fs.chmod(file, 420) end
  if ok then ok, message, code = fs.fsync(file) end
  if ok then ok, message, code = fs.rename(file, target) end
  return ok, message, code
end

--- Where the template of a job is, or would be. Returns directory and name, or nil, message, code.
function M.place(job)
  local dir, message, code = pilot.vm_storage()
  if not dir then return nil, message, code end
  job.size = (job.size + 4095) // 4096 * 4096
  return dir, pilot.vm_template(job.state_name, job.size, job.includes)
end

-- Under the lock nobody else's is in use.
local function sweep(dir)
  for _, name in ipairs(fs.list(dir) or {}) do
    if name:sub(1, #PREFIX) == PREFIX then fs.remove_tree(dir .. "/" .. name) end
  end
end

--- Makes the template where it is missing, or anew. Returns true, or nil, message, code.
function M.ensure(job, anew)
  local dir, name, code = M.place(job)
  if not dir then return nil, name, code end
  local held <close>, why, problem = locks.wait(dir .. "/.lock")
  if not held then return nil, why, problem end
  sweep(dir)
  local there = not anew and fs.stat(dir .. "/" .. name)
  if there and there.type == "file" and there.size == job.size then return true end
  return make(job, dir .. "/" .. name)
end

--- Removes the template of a job.
function M.drop(job)
  local dir, name = M.place(job)
  if dir then fs.unlink(dir .. "/" .. name) end
end

return M
