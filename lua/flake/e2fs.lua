-- SPDX-License-Identifier: MIT
-- ext2 to ext4 in files, by e2fsprogs: without root, without mounting anything. Commands for
-- debugfs hold no text of others: files are named by their inode numbers or are constants.
local fs = require "flake.fs"
local is_warning = require("flake.text").is_warning
local process = require "flake.process"

local M = {}

local SBIN = { "/usr/sbin/", "/sbin/", "/usr/local/sbin/" }

--- Path of a tool, which for normal users is often not on PATH.
-- Returns it, or nil, message, "ENOENT".
function M.tool(name, package)
  local path = process.which(name)
  for _, dir in ipairs(SBIN) do
    if not path and fs.access(dir .. name, "x") then path = dir .. name end
  end
  if path then return path end
  return nil, ("%s is not installed: install the package %s"):format(name,
    package or "e2fsprogs"), "ENOENT"
end

local function first_line(text)
  for line in text:gmatch("[^\n]+") do
    -- Every one of these tools begins with its version.
    local is_version = line:match("^[%w]+ %d+%.%d+[%w.]* %(")
    if not is_version and not is_warning(line) then return line end
  end
end

-- Runs a tool silently. Returns the result, or nil, message, code.
local function run(argv, opts)
  local path, message, code = M.tool(argv[1])
  if not path then return nil, message, code end
  opts = opts or {}
  opts.stdin, opts.stdout, opts.stderr = opts.stdin or "null", "pipe", "pipe"
  opts.env = { LC_ALL = "C", E2FSCK_CONFIG = "/dev/null", DEBUGFS_PAGER = "__none__" }
  return process.run({ path, table.unpack(argv, 2) }, opts)
end

-- The same for a tool whose exit status tells; up to `good` is fine.
local function must(argv, good)
  local result, message, code = run(argv)
  if not result then return nil, message, code end
  if result.code and result.code <= (good or 0) then return true end
  local why = first_line(result.stderr) or first_line(result.stdout) or "no reason given"
  return nil, ("%s failed: %s"):format(argv[1], why), "EIMAGE"
end

--- Runs commands of debugfs. Returns what it wrote to its output and its errors, or nil, message,
-- code if it could not open the image. opts: {write=, cwd=}
function M.debugfs(image, commands, opts)
  opts = opts or {}
  local argv = { "debugfs", "-f", "-", image }
  if opts.write then table.insert(argv, 2, "-w") end
  local result, message, code = run(argv,
    { stdin = { data = table.concat(commands, "\n") .. "\n" }, cwd = opts.cwd })
  if not result then return nil, message, code end
  local why = result.stderr:match("Bad magic number[^\n]*") or result.code ~= 0
    and (first_line(result.stderr) or "debugfs failed")
  if why then return nil, ("%s: %s"):format(image, why), "EIMAGE" end
  return result.stdout, result.stderr
end

--- Does the file begin with an ext2, ext3 or ext4 file system?
function M.is_ext(path)
  local f <close> = io.open(path, "rb")
  return f ~= nil and f:seek("set", 1080) == 1080 and f:read(2) == "\x53\xEF"
end

--- Space of a file system: {free=bytes, size=bytes, inodes=free ones}, or nil, message, code.
function M.space(image)
  local text, message, code = M.debugfs(image, { "stats -h" })
  if not text then return nil, message, code end
  local function number(name) return tonumber(text:match("\n" .. name .. ":%s*(%d+)")) end
  local block, blocks, free = number("Block size"), number("Block count"), number("Free blocks")
  if not (block and blocks and free) then
    return nil, ("%s: its file system cannot be read"):format(image), "EIMAGE"
  end
  return { free = free * block, size = blocks * block, inodes = number("Free inodes") or 0 }
end

--- Repairs what a crash may have left, so that it can be changed.
function M.repair(image)
  return must({ "e2fsck", "-f", "-p", image }, 1)
end

--- Is it without any fault? Returns true, or nil, message, code.
function M.check(image)
  return must { "e2fsck", "-f", "-n", image }
end

--- Makes it so much larger (bytes).
function M.grow(image, by)
  local space, message, code = M.space(image)
  if not space then return nil, message, code end
  return must { "resize2fs", image, ("%dK"):format((space.size + by + 1023) // 1024) }
end

-- Without it mke2fs, which leaves away a last group that is too small, makes a smaller file.
local function make_file(path, size)
  local f <close>, message = io.open(path, "wb")
  local ok = f
  if ok then ok, message = f:seek("set", size - 1) end
  if ok then ok, message = f:write("\0") end
  if ok then ok, message = f:close() end
  if ok then return true end
  return nil, ("cannot make a file of %d MiB, %s: %s"):format(size >> 20, path,
    message:lower()), "EIO"
end

--- Makes a file system of `size` bytes in a new file of that size. opts: {tree=directory that goes
-- in, inodes=at least so many, block=size of blocks}
function M.make(image, size, opts)
  local ok, message, code = make_file(image, size)
  if not ok then return nil, message, code end
  local argv = { "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E",
    "lazy_itable_init=1,root_owner=0:0" }
  local function add(...) table.move({ ... }, 1, select("#", ...), #argv + 1, argv) end
  if opts.block then add("-b", tostring(opts.block)) end
  if opts.inodes and opts.inodes > size // 16384 then add("-N", tostring(opts.inodes)) end
  if opts.tree then add("-d", opts.tree) end
  add(image, ("%dk"):format(size // 1024))
  return must(argv)
end

-- One listing of `ls -p`: /inode/mode/uid/gid/name/size/
local ENTRY = "/(%d+)/(%d+)/(%d+)/(%d+)/([^/]*)/%d*/\n"

-- Adds the entries of directories to found, and those that are directories to `next_level`. Every
-- listing begins with ".", the directory itself.
local function read_listing(text, paths, found, next_level)
  local here
  for ino, mode, uid, gid, name in text:gmatch(ENTRY) do
    ino, mode = math.tointeger(tonumber(ino)), tonumber(mode, 8)
    if name == "." then
      here = paths[ino]
    elseif name ~= ".." and here and ino > 0 then
      local path = here == "" and name or here .. "/" .. name
      local entry = { ino = ino, mode = mode, uid = tonumber(uid), gid = tonumber(gid) }
      found[path] = entry
      if mode >> 12 == 4 and not paths[ino] then
        paths[ino] = path
        table.insert(next_level, ino)
      end
    end
  end
end

--- All files of a file system: {[path without leading slash] = {ino=, mode=, uid=, gid=}}; mode
-- has the type of the file, too. depth: only so many levels. Or nil, message, code.
function M.walk(image, depth)
  local found, paths, level = {}, { [2] = "" }, { 2 }
  for _ = 1, depth or math.huge do
    if #level == 0 then break end
    local commands, following = {}, {}
    for i, ino in ipairs(level) do commands[i] = ("ls -p <%d>"):format(ino) end
    local text, message, code = M.debugfs(image, commands)
    if not text then return nil, message, code end
    read_listing(text, paths, found, following)
    level = following
  end
  return found
end

return M
