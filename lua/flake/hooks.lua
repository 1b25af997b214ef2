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

local function add_dir(files, dir)
  for _, name in ipairs(fs.list(dir) or {}) do
    if name:match("^[^.].*%.lua$") then table.insert(files, dir .. "/" .. name) end
  end
end

--- The hook files of a kind, in the order in which they run: the site's, the user's (for the
-- user's own flakes), the flake's. opts: {own=bool, flake_dir=NAME.d path or nil}
function M.files(kind, opts)
  local files = {}
  local own = loader.user_root()
  for _, root in ipairs(loader.override_roots()) do
    if root ~= own then add_dir(files, root .. "/hooks/" .. kind .. ".d") end
  end
  if own and opts.own then add_dir(files, own .. "/hooks/" .. kind .. ".d") end
  if kind == "launch" and opts.flake_dir and fs.stat(opts.flake_dir .. "/launch.lua") then
    table.insert(files, opts.flake_dir .. "/launch.lua")
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
  for _, path in ipairs(M.files(kind, opts or {})) do
    local ok, message, code = run_file(path, event)
    if not ok then return nil, message, code end
  end
  return true
end

return M
