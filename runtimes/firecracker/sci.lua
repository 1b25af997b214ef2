-- SPDX-License-Identifier: MIT
-- The guest's init in root file systems: is it there, putting it there.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local vm = require "flake.vm"

local M = {}

local DIRS = { "/overlayroot", "/proc", "/sys", "/dev", "/dev/pts", "/mnt", "/run", "/tmp",
  "/usr", "/usr/sbin" }
-- For directories and what the file system needs to hold them.
local SLACK = 256 * 1024

--- Is the init of the image ours?
function M.is_ours(image)
  local text = e2fs.debugfs(image, { "cat /usr/sbin/sci" })
  return text ~= nil and text:find(vm.marker, 1, true) ~= nil
end

-- The commands that make the directories that are missing. The "/." makes debugfs follow a link.
local function missing_dirs(image)
  local commands = {}
  for i, dir in ipairs(DIRS) do commands[i] = "stat " .. dir .. "/." end
  local text, message, code = e2fs.debugfs(image, commands)
  if not text then return nil, message, code end
  local made = {}
  for _, dir in ipairs(DIRS) do
    local from = select(2, text:find("debugfs: stat " .. dir .. "/.\n", 1, true))
    if not text:find("^Inode: %d", from + 1) then
      table.insert(made, "mkdir " .. dir)
      if dir == "/tmp" then table.insert(made, "set_inode_field /tmp mode 041777") end
    end
  end
  return made
end

local function make_room(image, size)
  local space, message, code = e2fs.space(image)
  if not space then return nil, message, code end
  if space.free >= size + SLACK and space.inodes > #DIRS then return true end
  return e2fs.grow(image, size + SLACK + (1 << 20))
end

-- A name that is there already goes first: write does not replace.
local function commands_for(image, name)
  local commands, message, code = missing_dirs(image)
  if not commands then return nil, message, code end
  for _, command in ipairs { "cd /usr/sbin/.", "rm sci", "write " .. name .. " sci",
    "set_inode_field sci mode 0100755", "set_inode_field sci uid 0", "set_inode_field sci gid 0" }
  do
    table.insert(commands, command)
  end
  return commands
end

local function put(image, sci)
  local dir, name = sci:match("^(.*)/([^/]*)$")
  local commands, message, code = commands_for(image, name)
  if not commands then return nil, message, code end
  local text, errors, why = e2fs.debugfs(image, commands, { write = true, cwd = dir })
  if not text then return nil, errors, why end
  if M.is_ours(image) then return e2fs.check(image) end
  local line = errors:match("\n([^\n]*Could not[^\n]*)") or errors:match("\n(write:[^\n]*)")
  return nil, ("%s: cannot put the guest's init in%s"):format(image, line and ": " .. line or ""),
    "EIMAGE"
end

--- Puts the init and the directories that it needs into a root file system.
-- Returns true, or nil, message, code.
function M.put(image, sci)
  if not e2fs.is_ext(image) then
    return nil, "the root file system is none of ext2, ext3, ext4: the guest's init cannot go in",
      "EIMAGE"
  end
  local ok, message, code = e2fs.repair(image)
  if ok then ok, message, code = make_room(image, fs.stat(sci).size) end
  if ok then ok, message, code = put(image, sci) end
  return ok, message, code
end

--- Writes the file that tells the pilot that the init of the image in dir is ours.
function M.note(dir)
  return fs.write(dir .. "/channel", vm.channel)
end

return M
