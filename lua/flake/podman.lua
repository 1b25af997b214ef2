-- SPDX-License-Identifier: MIT
-- Calls of podman itself.
local process = require "flake.process"

local M = {}

--- Exit status of a tool as a shell would report it.
function M.status(result)
  return result.signal and 128 + result.signal or result.code
end

--- podman with the caller's terminal; its exit status is ours.
-- Returns the status, or nil, message, code if podman cannot be executed.
function M.run(...)
  local result, message, code = process.run({ "podman", ... })
  if not result then return nil, message, code end
  return M.status(result)
end

--- podman's standard output, without the blanks at its end; its errors are shown.
-- Returns the text, or nil, message, code ("EENGINE": podman failed).
function M.ask(...)
  local result, message, code = process.run({ "podman", ... }, { stdout = "pipe" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, "podman " .. (...) .. " failed", "EENGINE" end
  return (result.stdout:gsub("%s+$", ""))
end

return M
