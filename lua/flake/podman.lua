-- SPDX-License-Identifier: MIT
-- Calls of podman itself.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

--- Exit status of a tool as a shell would report it.
function M.status(result)
  return result.signal and 128 + result.signal or result.code
end

-- podman goes back to its working directory by the path. Where that is closed to the caller (he is
-- in /root/x, as another user) it would do nothing at all: then it runs in /. nil: in the caller's.
local function directory()
  local here = fs.realpath(".")
  return not (here and fs.access(here, "x")) and "/" or nil
end

--- podman with these arguments, as process.run with its options. Returns its result, or nil,
-- message, code.
function M.call(args, opts)
  local all = { cwd = directory() }
  for name, value in pairs(opts or {}) do all[name] = value end
  return process.run({ "podman", table.unpack(args) }, all)
end

--- podman with the caller's terminal; its exit status is ours.
-- Returns the status, or nil, message, code if podman cannot be executed.
function M.run(...)
  local result, message, code = M.call { ... }
  if not result then return nil, message, code end
  return M.status(result)
end

--- podman's standard output, without the blanks at its end; its errors are shown.
-- Returns the text, or nil, message, code ("EENGINE": podman failed).
function M.ask(...)
  local result, message, code = M.call({ ... }, { stdout = "pipe" })
  if not result then return nil, message, code end
  if result.code ~= 0 then return nil, "podman " .. (...) .. " failed", "EENGINE" end
  return (result.stdout:gsub("%s+$", ""))
end

return M
