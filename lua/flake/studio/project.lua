-- SPDX-License-Identifier: MIT
-- A project of flake-studio: where it is, and what its sources say.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local places = require "flake.places"

local M = {}
M.__index = M

local MARK = ".flakes/studio"

-- Whose project is in a parent directory decides whose build.sh runs.
local function check_owner(dir, here)
  local st, mine = fs.stat(("%s/%s"):format(dir, MARK)), fs.stat(here)
  if dir == here or st.uid == 0 or st.uid == fs.geteuid() or st.uid == mine.uid then return true end
  return nil, ("refusing the project %s: it belongs to user %d"):format(dir, st.uid), "EOWNER"
end

--- Is there a project in that directory?
function M.is_at(dir)
  local st = fs.stat(("%s/%s"):format(dir, MARK))
  return st ~= nil and st.type == "directory"
end

--- The project of the current directory or of the nearest above it. Returns {root=}, or nil,
-- message, code.
function M.find()
  local here, message, code = fs.realpath(".")
  if not here then return nil, message, code end
  local dir = here
  while dir ~= "" and not M.is_at(dir) do dir = dir:match("^(.*)/") end
  if dir == "" then
    return nil, ("%s is in no project: flake-studio new NAME or init makes one"):format(here),
      "ENOENT"
  end
  local ok
  ok, message, code = check_owner(dir, here)
  return ok and setmetatable({ root = dir }, M), message, code
end

--- Path of something in the project.
function M:path(name)
  return ("%s/%s"):format(self.root, name)
end

--- One at a time in a project. Returns the lock, or nil, message, code.
function M:lock()
  local held, message, code = fs.lock(self:path(MARK .. "/lock"), { timeout = 0 })
  if held then return held end
  if code == "ETIMEDOUT" then message = ("flake-studio is at work in %s"):format(self.root) end
  return nil, message, code
end

--- Can src/build.sh be called? Returns true, or nil, message, code.
function M:check_script()
  local path = self:path "src/build.sh"
  local text, message, code = fs.read(path)
  if not text then return nil, message, code end
  if text:sub(1, 2) ~= "#!" then
    return nil, ("%s:1: must begin with #! and its interpreter, such as #!/bin/sh"):format(path),
      "ENOEXEC"
  end
  if fs.access(path, "x") then return true end
  return nil, ("%s is not executable: chmod 755 does it"):format(path), "ENOEXEC"
end

-- Copies the definition to where nobody else can change it; a checkout may be another user's or
-- writable for a group. What it includes is found beside it.
local function copy_sources(src, dir)
  local ok, message, code = fs.copy(src .. "/flake.yaml", dir .. "/flake.yaml")
  if ok then ok, message, code = fs.mkdir(dir .. "/flake.d", 493) end
  for _, name in ipairs(ok and fs.list(src .. "/flake.d") or {}) do
    local st = fs.stat(("%s/flake.d/%s"):format(src, name))
    if ok and st and st.type == "file" and name:sub(1, 1) ~= "." then
      ok, message, code = fs.copy(("%s/flake.d/%s"):format(src, name),
        ("%s/flake.d/%s"):format(dir, name))
    end
  end
  for _, name in ipairs(ok and fs.list(src) or {}) do
    if ok and not name:match("^flake%.%a+$") then
      ok, message, code = fs.symlink(("%s/%s"):format(src, name), ("%s/%s"):format(dir, name))
    end
  end
  return ok, message, code
end

-- The command that a definition has for want of one is of the file's name.
local function says_command(flake)
  local app = flake.apps[1]
  if not app or app.path:match("[^/]*$") ~= "flake" then return app ~= nil end
  for _, path in ipairs(flake.files) do
    if (fs.read(path) or ""):find("/flake", 1, true) then return true end
  end
  return false
end

local function check(flake)
  local app_check = require("flake.build.request").app.check
  if flake.engine ~= "podman" then
    return nil, ("flake-studio is for podman, not for engine '%s'"):format(flake.engine)
  end
  if not flake.image or not flake.image:match("^%w[%w._/:+-]*$") then
    return nil, "the image's name must be one that podman can give"
  end
  if not says_command(flake) then return nil, "there is no command (host_app_path)" end
  for _, app in ipairs(flake.apps) do
    local ok, why = app_check(app.path)
    if not ok then return nil, ("the command '%s': %s"):format(app.path, why) end
  end
  return places.check_name(flake.apps[1].path:match("([^/]*)$"))
end

--- The flake that src/flake.yaml and src/flake.d define, named as its first command; its files are
-- copies in the directory dir. Returns it (as pilot.load does), or nil, message, code.
function M:flake(dir)
  local ok, message, code = copy_sources(self:path "src", dir)
  local flake, why
  if ok then flake, message, code = pilot.load("flake", { dir = dir }) end
  if not flake then return nil, self:relabel(message, dir), code end
  ok, why = check(flake)
  if not ok then return nil, ("%s: %s"):format(self:path "src/flake.yaml", why), "EFLAKE" end
  flake.name = flake.apps[1].path:match("([^/]*)$")
  return flake
end

--- A message that is about a copy in dir, said of the source.
function M:relabel(message, dir)
  local plain = dir:gsub("%p", "%%%0")
  local text = message:gsub(plain, (self:path("src"):gsub("%%", "%%%%")))
  return text
end

return M
