-- SPDX-License-Identifier: MIT
-- Directories for work that is not done yet, and the one list of what they are called. What a
-- killed command left goes with the next one of its kind in the same place.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

--- Names, followed by a dot and six random characters. Hidden ones are made beside a result.
M.PREFIXES = { build = ".flake-build", bundle = ".flake-bundle", export = ".flake-export",
  files = "flake-files", gpg = "flake-gpg", import = "flake-import", info = "flake-info",
  new = ".flake-studio", policy = "flake-policy", sigstore = "flake-sigstore",
  studio = "flake-studio" }

local Scratch = {}
Scratch.__index = Scratch

--- Where large things are put that have no other place: $TMPDIR if nobody else can change it.
-- /tmp may be memory.
function M.base()
  local dir = process.getenv("TMPDIR")
  return dir and dir:sub(1, 1) == "/" and fs.trusted(dir) and dir or "/var/tmp"
end

--- Opens a directory for work. kind: a key of PREFIXES; beside: the directory of the result. Who
-- can change that one could change the work: then it is done elsewhere, but where `always` is set.
-- Returns {dir=, beside=is it there?}, to be closed (<close>), or nil, message, code.
function M.open(kind, beside, always)
  local here = beside and (always or fs.trusted(beside)) and beside or nil
  local base, prefix = here or M.base(), assert(M.PREFIXES[kind])
  fs.temp_left(base, prefix, true)
  local temp, message, code = fs.temp_dir({ dir = base, prefix = prefix })
  if not temp then return nil, message, code end
  return setmetatable({ temp = temp, dir = temp:path(), beside = here ~= nil }, Scratch)
end

function Scratch:close()
  self.temp:close()
end

Scratch.__close = Scratch.close

--- Gives a finished file its place and mode: by a rename, or as a copy that appears whole.
-- Returns true, or nil, message, code.
function Scratch:publish(file, target, mode)
  if not self.beside then return fs.copy(file, target, { mode = mode }) end
  local ok, message, code = fs.chmod(file, mode)
  if ok then ok, message, code = fs.fsync(file) end
  if ok then ok, message, code = fs.rename(file, target) end
  return ok, message, code
end

return M
