-- SPDX-License-Identifier: MIT
-- Where packages are made: a hidden directory in the output directory, so that a result gets there
-- by rename, whole or not at all. What a killed build left goes with the next one.
local fs = require "flake.fs"

local M = {}

local PREFIX = ".flake-build"
-- What packagers cannot have in the paths they work in.
local PLAIN = "^[%w._/+@=,-]+$"

-- A directory that nobody works in: its lock is free.
local function sweep(base)
  for _, name in ipairs(fs.list(base) or {}) do
    local path = ("%s/%s"):format(base, name)
    local st = name:match("^%.flake%-build%.%w+$") and fs.lstat(path)
    if st and st.type == "directory" and st.uid == fs.geteuid() then
      local held <close> = fs.lock(path .. "/lock", { timeout = 0 })
      if held then fs.remove_tree(path) end
    end
  end
end

--- Opens a workshop for packages in the directory output, which is made if it is missing.
-- Returns {dir=, output=}, to be closed, or nil, message, code.
function M.open(output)
  local ok, message, code = fs.mkdir_p(output)
  local real
  if ok then real, message, code = fs.realpath(output) end
  if not real then return nil, message, code end
  local base = real:match(PLAIN) and real or "/var/tmp"
  sweep(base)
  local temp, why, name = fs.temp_dir({ dir = base, prefix = PREFIX })
  if not temp then return nil, why, name end
  local held
  held, why, name = fs.lock(temp:path() .. "/lock", { timeout = 0 })
  if not held then
    temp:close()
    return nil, why, name
  end
  return setmetatable({ dir = temp:path(), output = real, base = base },
    { __close = function()
      temp:close()
      held:unlock()
    end })
end

--- Moves finished files to the output. Returns their new paths, or nil, message, code.
function M.publish(shop, files)
  local move = shop.base == shop.output and fs.rename or fs.copy
  local paths = {}
  for i, file in ipairs(files) do
    paths[i] = ("%s/%s"):format(shop.output, file:match("([^/]*)$"))
    local ok, message, code = fs.chmod(file, 420)
    if ok then ok, message, code = fs.fsync(file) end
    if ok then ok, message, code = move(file, paths[i]) end
    if not ok then return nil, message, code end
  end
  return paths
end

return M
