-- SPDX-License-Identifier: MIT
-- Container images as files: which file, what name, saving, the notes inside.
local fs = require "flake.fs"
local podman = require "flake.podman"
local scratch = require "flake.scratch"
local store = require "flake.store"

local M = {}

-- Splits into runs of digits (as numbers) and of other characters.
local function version_parts(text)
  local parts = {}
  for digits, rest in text:gmatch("(%d*)(%D*)") do
    if digits ~= "" then table.insert(parts, tonumber(digits)) end
    if rest ~= "" then table.insert(parts, rest) end
  end
  return parts
end

--- Is version a lower than b? Numbers in them compare as numbers: 1.9 < 1.10.
function M.version_less(a, b)
  local x, y = version_parts(a), version_parts(b)
  for i = 1, math.min(#x, #y) do
    if x[i] ~= y[i] then
      if type(x[i]) == type(y[i]) then return x[i] < y[i] end
      return type(x[i]) == "number"
    end
  end
  return #x < #y
end

--- The file itself, or of all files that begin with its name the one of the highest version.
-- Returns the path, or nil, message, "ENOENT".
function M.newest_file(path)
  local st = fs.stat(path)
  if st then return path end
  local dir, prefix = path:match("^(.*/)([^/]*)$")
  dir, prefix = dir or "./", prefix or path
  local best
  for _, name in ipairs(fs.list(dir) or {}) do
    local info = name:sub(1, #prefix) == prefix and fs.stat(dir .. name)
    local is_file = info and info.type == "file"
    if is_file and (not best or M.version_less(best, name)) then best = name end
  end
  if best then return dir .. best end
  return nil, ("there is no file %s and none that begins with this"):format(path), "ENOENT"
end

--- A file name for an image reference: / and : become _.
function M.file_name(reference)
  return (reference:gsub("[/:@]", "_"))
end

--- Where mv would put it: into a directory (or behind a trailing slash) under `name`.
function M.target_path(target, name)
  local st = fs.stat(target)
  if target:sub(-1) == "/" then return target .. name end
  if st and st.type == "directory" then return target .. "/" .. name end
  return target
end

-- What comes in is a matter of policies, not what goes out.
local ACCEPT = '{"default":[{"type":"insecureAcceptAnything"}]}'

--- Saves an image in one of podman's formats. Returns true, or nil, message, code.
function M.save_as(format, reference, file)
  local temp <close> = assert(scratch.open("policy"))
  local policy = temp.dir .. "/policy.json"
  assert(fs.write(policy, ACCEPT))
  local args = { "save", "--format", format, "--signature-policy=" .. policy, "--output", file,
    "--", reference }
  -- podman shows its progress on a terminal.
  if not fs.isatty(2) then table.insert(args, 2, "--quiet") end
  local result, message, code = podman.call(args, { stdin = "null", stdout = "null" })
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, ("podman could not save image '%s'"):format(reference), "EENGINE"
end

--- Saves an image as OCI archive, which gets its place whole or not at all. key: to sign it with,
-- or nil. Returns true, or nil, message, code.
function M.save(reference, target, key)
  local work <close>, why, name = scratch.open("export", target:match("^(.*/)") or "./")
  if not work then return nil, why, name end
  local file = work.dir .. "/image"
  local ok, message, code = M.save_as("oci-archive", reference, file)
  if not ok then return nil, message, code end
  return require("flake.signed_file").publish(work, file, target, key)
end

--- Prints /NAME.yaml of an image, NAME being its base name without tag.
function M.print_info(reference, out)
  local name = reference:match("([^/]*)$"):gsub("[:@].*$", "")
  local ok, message, code = require("flake.signature").ensure(store.of(nil), reference)
  local id
  if ok then id, message, code = podman.ask("create", reference, "/flake-info") end
  if not id then return nil, message, code end
  local work <close> = assert(scratch.open("info"))
  local file = work.dir .. "/info"
  local copied = podman.call({ "cp", ("%s:/%s.yaml"):format(id, name), file },
    { stderr = "null" })
  podman.ask("rm", "--force", id)
  local text = copied and copied.code == 0 and fs.read(file)
  if not text then
    return nil, ("image '%s' has no /%s.yaml"):format(reference, name), "ENOENT"
  end
  out:write(text)
  return 0
end

return M
