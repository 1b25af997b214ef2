-- SPDX-License-Identifier: MIT
-- Records of checksums beside files: `HASH`, `HASH BLOCKS BLOCKSIZE` (KIWI's: only that many bytes
-- of the file count) or `HASH  FILENAME`.
local digest = require "flake.digest"

local M = {}

local DIGITS = { md5 = 32, sha256 = 64 }

--- Reads a record of that algorithm. Returns {hash=, size=bytes or nil, file=name or nil}, or nil.
function M.parse(text, algorithm)
  local hash, rest = text:match("^%s*(%x+)%s*([^\n]*)")
  if not hash or #hash ~= DIGITS[algorithm] then return nil end
  local blocks, block = rest:match("^(%d+)%s+(%d+)")
  local record = { hash = hash:lower() }
  if blocks then
    record.size = math.tointeger(tonumber(blocks) * tonumber(block))
    if not record.size or record.size <= 0 then return nil end
  else
    record.file = rest:match("^%*?(.-)%s*$"):match("([^/]*)$")
    if record.file == "" then record.file = nil end
  end
  return record
end

--- Checks a file against a record. Returns true, or nil, message, code ("ECHECKSUM": it differs).
function M.verify(path, record, algorithm)
  local hash, message, code = digest.file(path, algorithm, { size = record.size or 0 })
  if not hash then return nil, message, code end
  if hash == record.hash then return true end
  return nil, ("its %s is %s, not %s"):format(algorithm, hash, record.hash), "ECHECKSUM"
end

return M
