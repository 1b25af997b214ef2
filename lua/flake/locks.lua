-- SPDX-License-Identifier: MIT
-- Waiting for locks as long as it takes.
local fs = require "flake.fs"

local M = {}

--- Takes the lock of a file. Returns it, or nil, message, code.
function M.wait(file)
  -- In short steps: between them an interruption gets through.
  repeat
    local held, message, code = fs.lock(file, { timeout = 0.5 })
    if held or code ~= "ETIMEDOUT" then return held, message, code end
  until false
end

return M
