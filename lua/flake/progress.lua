-- SPDX-License-Identifier: MIT
-- Shows on a terminal that something goes on; elsewhere nothing is shown.
local process = require "flake.process"

local M = {}

local STEP = 0.2 -- seconds between two looks
local CLEAR = "\r\27[K"

local function size(bytes)
  if bytes < 1 << 20 then return ("%d KiB"):format(bytes >> 10) end
  return ("%d MiB"):format(bytes >> 20)
end

--- A line that is rewritten: {show=function(text), close}. Use it with <close>. err: stream.
function M.line(label, err)
  local on = err.terminal
  local line = { last = 0 }
  function line.show(text)
    local now = process.clock()
    if not on or now - line.last < STEP then return end
    line.last = now
    err:raw(CLEAR):write(label, " ", text)
    err:flush()
  end
  return setmetatable(line, { __close = function()
    if on and line.last > 0 then err:raw(CLEAR) end
  end })
end

--- For archive.create: shows bytes.
function M.bytes(line)
  return function(_, bytes) line.show(size(bytes)) end
end

--- For http.download: shows bytes, of how many if that is known.
function M.share(line)
  return function(done, total)
    if total <= 0 then return line.show(size(done)) end
    line.show(("%s of %s, %d %%"):format(size(done), size(total), done * 100 // total))
  end
end

--- Runs a program to its end, showing how long it takes; its output goes to the file log.
-- Returns {code=} or {signal=}, or nil, message, code.
function M.run(label, argv, opts, err)
  local line <close> = M.line(label, err)
  local start = process.clock()
  opts.stdin = "null"
  local child <close>, message, code = process.spawn(argv, opts)
  if not child then return nil, message, code end
  repeat
    local status = child:wait(STEP)
    line.show(("%.0f s"):format(process.clock() - start))
    if status then return status end
  until false
end

return M
