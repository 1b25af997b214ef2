-- SPDX-License-Identifier: MIT
-- Site code at register, launch, exit and remove. A failing hook stops what it hooks into.
local fs = require "flake.fs"
local loader = require "flake.loader"

local M = {}

local DENIED = {}

--- For hooks: refuses what is going on, with a reason.
function M.deny(reason)
  error(setmetatable({ reason = tostring(reason) }, DENIED), 0)
end

-- What a hook file sees as globals: Lua's own, and flake.deny.
local function hook_env()
  return setmetatable({ flake = { deny = M.deny } }, { __index = _G })
end

-- What cannot be looked at may hold a hook that denies: only what is missing holds none.
local function unless_missing(message, code)
  if code == "ENOENT" or code == "ENOTDIR" then return true end
  return nil, "cannot look for hooks: " .. message, "EHOOK"
end

local function add_dir(files, dir)
  local names, message, code = fs.list(dir)
  if not names then return unless_missing(message, code) end
  for _, name in ipairs(names) do
    if name:match("^[^.].*%.lua$") then table.insert(files, dir .. "/" .. name) end
  end
  return true
end

local function add_file(files, path)
  local st, message, code = fs.stat(path)
  if not st then return unless_missing(message, code) end
  table.insert(files, path)
  return true
end

-- The site's, and for the user's own flakes the user's.
local function dirs_of(kind, with_own)
  local dirs, own = {}, loader.user_root()
  for _, root in ipairs(loader.override_roots()) do
    if root ~= own then table.insert(dirs, ("%s/hooks/%s.d"):format(root, kind)) end
  end
  if own and with_own then table.insert(dirs, ("%s/hooks/%s.d"):format(own, kind)) end
  return dirs
end

--- The hook files of a kind, in the order in which they run: the site's, the user's (for the
-- user's own flakes), the flake's. opts: {own=bool, flake_dir=NAME.d path or nil}
-- Returns nil, message, code where it cannot be known which there are.
function M.files(kind, opts)
  local files = {}
  for _, dir in ipairs(dirs_of(kind, opts.own)) do
    local ok, message, code = add_dir(files, dir)
    if not ok then return nil, message, code end
  end
  if kind == "launch" and opts.flake_dir then
    local ok, message, code = add_file(files, opts.flake_dir .. "/launch.lua")
    if not ok then return nil, message, code end
  end
  return files
end

local function describe(path, e)
  if getmetatable(e) == DENIED then
    return ("denied by %s: %s"):format(path, e.reason)
  end
  return ("hook failed: %s"):format(tostring(e))
end

local function run_file(path, event)
  local chunk, message = loader.load_file(path, hook_env())
  if not chunk then return nil, describe(path, message), "EHOOK" end
  local ok, result = pcall(function()
    local hook = chunk()
    if type(hook) ~= "function" then error(path .. ": must return a function", 0) end
    return hook(event)
  end)
  if ok then return true end
  local denied = getmetatable(result) == DENIED
  return nil, describe(path, result), denied and "EDENIED" or "EHOOK"
end

--- Runs all hooks of a kind with one event table, which they may change.
-- Returns true, or nil, message ("file:line: reason"), "EDENIED" or "EHOOK" at the first failure.
function M.run(kind, event, opts)
  local files, problem, why = M.files(kind, opts or {})
  if not files then return nil, problem, why end
  for _, path in ipairs(files) do
    local ok, message, code = run_file(path, event)
    if not ok then return nil, message, code end
  end
  return true
end

return M
