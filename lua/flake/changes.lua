-- SPDX-License-Identifier: MIT
-- Changes of files that happen all or not at all. A step is {do, undo or nil}.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

--- Puts a symlink in place by rename, so that there is never a moment without it.
function M.place_link(target, path)
  local temp = ("%s.tmp.%d"):format(path, process.getpid())
  fs.unlink(temp)
  local ok, message, code = fs.symlink(target, temp)
  if not ok then return nil, message, code end
  ok, message, code = fs.rename(temp, path)
  if not ok then fs.unlink(temp) end
  return ok, message, code
end

--- Runs steps; on failure undoes what was done, last first.
function M.run(steps)
  for i, step in ipairs(steps) do
    local ok, message, code = step[1]()
    if not ok then
      for j = i - 1, 1, -1 do
        if steps[j][2] then steps[j][2]() end
      end
      return nil, message, code
    end
  end
  return true
end

--- A step that makes a path and, if it was not there before, takes it away again.
function M.made(path, make, unmake)
  local there = fs.lstat(path) ~= nil
  return { make, not there and function() unmake(path) end or nil }
end

--- Adds the steps that copy files: {{from=, to=}, …}.
function M.add_copies(steps, files)
  for _, file in ipairs(files or {}) do
    local dir = file.to:match("^(.*)/")
    table.insert(steps, M.made(dir, function() return fs.mkdir_p(dir) end, fs.rmdir))
    table.insert(steps, M.made(file.to, function()
      return fs.copy(file.from, file.to)
    end, fs.unlink))
  end
end

return M
