-- SPDX-License-Identifier: MIT
-- Names that strangers chose and that become part of a path: each kind has its check here, and what
-- does not pass it never reaches a path. Each returns the name, or nil and why not in words.
local M = {}

local PATH_MAX, NAME_MAX = 4095, 255

--- One name in a directory.
function M.file(name)
  if type(name) ~= "string" or name == "" or name == "." or name == ".." then
    return nil, "is no name of a file"
  end
  if name:find("[/%c]") then return nil, "holds a slash or a control character" end
  if #name > NAME_MAX then return nil, "is too long" end
  return name
end

--- A path below some directory: relative, without "." and "..". Links on it are another matter: see
-- fs.tree.
function M.relative(path)
  if type(path) ~= "string" or path == "" or #path > PATH_MAX then return nil, "is no path" end
  if path:sub(1, 1) == "/" then return nil, "begins at the root" end
  for part in (path .. "/"):gmatch("([^/]*)/") do
    local name, why = M.file(part)
    if not name then return nil, ("has a part that %s"):format(why) end
  end
  return path
end

--- The key of an instance's files, as state_key (src/state.c) makes them.
function M.key(key)
  if type(key) ~= "string" or not key:match("^[%w_-][%w._-]*$") or #key > NAME_MAX then
    return nil, "is no key of an instance"
  end
  return key
end

return M
