-- SPDX-License-Identifier: MIT
-- Trees of files that become packages: listing them, evening them out.
local fs = require "flake.fs"
local process = require "flake.process"

local M = {}

-- So many paths a call of touch.
local CHUNK = 500

--- All below dir, sorted, directories before what is in them: array of {path=relative, type=}.
function M.list(dir)
  local found = {}
  local function walk(prefix)
    for _, name in ipairs(assert(fs.list(dir .. prefix))) do
      local path = prefix .. "/" .. name
      local st = assert(fs.lstat(dir .. path))
      table.insert(found, { path = path, type = st.type })
      if st.type == "directory" then walk(path) end
    end
  end
  walk("")
  return found
end

local function touch(paths, mtime)
  for first = 1, #paths, CHUNK do
    local argv = { "touch", "--no-dereference", ("--date=@%d"):format(mtime), "--" }
    table.move(paths, first, math.min(first + CHUNK - 1, #paths), #argv + 1, argv)
    local result, message, code = process.run(argv, { stdin = "null" })
    if not result then return nil, message, code end
    if result.code ~= 0 then return nil, "touch failed", "EIO" end
  end
  return true
end

--- Gives everything below dir, and dir, the same time, and modes that depend on its kind only.
-- executable: {[relative path]=true}. Returns true, or nil, message, code.
function M.even_out(dir, mtime, executable)
  local paths = {}
  assert(fs.chmod(dir, 493))
  for _, entry in ipairs(M.list(dir)) do
    local path = dir .. entry.path
    if entry.type == "directory" then
      assert(fs.chmod(path, 493))
    elseif entry.type == "file" then
      assert(fs.chmod(path, executable and executable[entry.path] and 493 or 420))
    elseif entry.type ~= "symlink" then
      return nil, ("%s is neither file nor directory"):format(path), "EUSAGE"
    end
    table.insert(paths, 1, path)
  end
  table.insert(paths, dir)
  return touch(paths, mtime)
end

--- Makes `to` the same tree as `from` without copying content where the file system can do so.
function M.clone(from, to)
  for _, way in ipairs { "-al", "-a" } do
    local result, message, code = process.run({ "cp", way, "--", from, to },
      { stdin = "null", stderr = way == "-al" and "null" or "inherit" })
    if not result then return nil, message, code end
    if result.code == 0 then return true end
    fs.remove_tree(to)
  end
  return nil, ("cannot copy %s to %s"):format(from, to), "EIO"
end

--- The target of a link at `path` to `target`, both absolute: relative within one top directory.
function M.link_target(path, target)
  local from, to = {}, {}
  for part in path:match("^(.*)/"):gmatch("[^/]+") do table.insert(from, part) end
  for part in target:gmatch("[^/]+") do table.insert(to, part) end
  if from[1] ~= to[1] then return target end
  local same = 0
  while from[same + 1] and from[same + 1] == to[same + 1] do same = same + 1 end
  return ("../"):rep(#from - same) .. table.concat(to, "/", same + 1)
end

return M
