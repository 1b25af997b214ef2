-- SPDX-License-Identifier: MIT
-- Where packages are made: a hidden directory in the output directory, so that a result gets there
-- by rename, whole or not at all; or elsewhere, if others can change the output directory or its
-- name is none for packagers.
local fs = require "flake.fs"
local scratch = require "flake.scratch"

local M = {}

-- What packagers cannot have in the paths they work in.
local PLAIN = "^[%w._/+@=,-]+$"
local MODE = 420 -- 0644

--- Opens a workshop for packages in the directory output, which is made if it is missing.
-- Returns {dir=, output=}, to be closed, or nil, message, code.
function M.open(output)
  local ok, message, code = fs.mkdir_p(output)
  local real
  if ok then real, message, code = fs.realpath(output) end
  if not real then return nil, message, code end
  local work
  work, message, code = scratch.open("build", real:match(PLAIN) and real)
  if not work then return nil, message, code end
  return setmetatable({ dir = work.dir, output = real, work = work },
    { __close = function(shop) shop.work:close() end })
end

--- Moves finished files to the output. Returns their new paths, or nil, message, code.
function M.publish(shop, files)
  local paths = {}
  for i, file in ipairs(files) do
    paths[i] = ("%s/%s"):format(shop.output, file:match("([^/]*)$"))
    local ok, message, code = shop.work:publish(file, paths[i], MODE)
    if not ok then return nil, message, code end
  end
  return paths
end

return M
