-- SPDX-License-Identifier: MIT
-- What the numbers and words of a VM may be. Each function returns a value, or nil, message,
-- "EUSAGE".
local pilot = require "flake.pilot"

local M = {}

local MIB = 1 << 20
local MIN_MEMORY, MAX_MEMORY = 32, 4 << 20 -- MiB
local MIN_OVERLAY, MAX_OVERLAY = MIB, 16 << 40
-- x86's command line has 2048 bytes; the pilot says more than what the flake says.
local MAX_WORDS = 1500

local function refuse(option, value, why)
  return nil, ("--%s '%s' %s"):format(option, value, why), "EUSAGE"
end

local function bytes(option, value)
  local size = pilot.size(value)
  if size then return size end
  return refuse(option, value, "is no size, such as 20GiB or 512M")
end

--- Number of virtual CPUs.
function M.vcpu(value)
  local n = value:match("^%d%d?$") and math.tointeger(tonumber(value))
  if n and n >= 1 and n <= 32 then return n end
  return refuse("vcpu", value, "is no number from 1 to 32")
end

--- Memory in MiB.
function M.mem(value)
  local size, message, code = bytes("mem", value:match("^%d+$") and value .. "MiB" or value)
  if not size then return nil, message, code end
  local mib = (size + MIB - 1) // MIB
  if mib < MIN_MEMORY then return refuse("mem", value, "is less than 32 MiB") end
  if mib > MAX_MEMORY then return refuse("mem", value, "is more than 4 TiB") end
  return mib
end

--- Size of an overlay in bytes.
function M.overlay(value)
  local size, message, code = bytes("overlay-size", value)
  if not size then return nil, message, code end
  if size < MIN_OVERLAY then return refuse("overlay-size", value, "is less than 1 MiB") end
  if size > MAX_OVERLAY then return refuse("overlay-size", value, "is more than 16 TiB") end
  return size
end

--- Words for the kernel's command line. Returns true.
function M.boot_args(words)
  local length = 0
  for _, word in ipairs(words) do
    if word == "" or word:find("[^\x21-\x7e]") then
      return refuse("boot-arg", word, "is no word of printable ASCII characters without blanks")
    end
    if select(2, word:gsub('"', "")) % 2 == 1 then
      return refuse("boot-arg", word, "has a quotation mark without its pair")
    end
    length = length + #word + 1
  end
  if length > MAX_WORDS then
    return nil, ("--boot-arg: the words have more than %d characters"):format(MAX_WORDS), "EUSAGE"
  end
  return true
end

return M
