-- SPDX-License-Identifier: MIT
-- What a new project consists of. What is there already is never overwritten; what cannot be
-- finished is taken back.
local fs = require "flake.fs"
local options = require "flake.studio.options"

local M = {}

local FLAKE = [[
# The flake of this project: see flake.yaml(5). Files flake.d/*.yaml are merged over it.
container:
  # The image. src/build.sh is called with this name, and makes it.
  name: %s
  # The command on the host, and the program in the image; / is the image's entry point.
  host_app_path: /usr/bin/%s
  target_app_path: /usr/bin/%s
  runtime:
    # Who runs it; absent: whoever calls it.
    #runas: root
    # Calls run in one container that stays; calls attach to an application that runs.
    resume: false
    attach: false
    # Options of podman run, such as "--net none" or "--volume %%HOME:%%HOME".
    podman: []
]]

local BUILD = [[
#!/bin/sh
# Makes the image of this project. flake-studio build calls it in the project's directory, with the
# image's name. Equal sources make an equal image: its time is fixed.
set -eu
for file in src/Dockerfile src/Containerfile Dockerfile Containerfile; do
	if [ -f "$file" ]; then
		exec podman build --timestamp "${SOURCE_DATE_EPOCH:-946684800}" --tag "$1" \
			--file "$file" "$(dirname "$file")"
	fi
done
echo "$0: there is no src/Dockerfile: write one, or change this script" >&2
exit 1
]]

local PROJECT = "# Marks a project of flake-studio.\nformat: 1\n"

local IGNORED = { "/out/", "/.staging/", "/.flakes/studio/*", "!/.flakes/studio/project.yaml" }
-- Results are no input of an image whose sources are the whole project.
local IMAGE_IGNORED = "out\n.staging\n.flakes\n.git\n"

--- The name of the image of a project.
function M.image(name)
  local plain = name:lower():gsub("[^a-z0-9]+", "-"):gsub("^%-", ""):gsub("%-$", "")
  return ("localhost/%s.flake"):format(plain)
end

-- The user's own script for new projects, or the one above. Returns text, or nil, message, code.
local function script()
  local user = fs.user(fs.getuid())
  local text, message, code = nil, nil, "ENOENT"
  if user then text, message, code = fs.read(user.home .. "/.flakes/package/build.sh") end
  if text or code ~= "ENOENT" then return text, message, code end
  return BUILD
end

--- All of a project, in order: {path=, text=, mode=}, {path=, dir=true} or {path=, link=}. values:
-- package options. Returns the list, or nil, message, code.
function M.list(option_list, values)
  local text, message, code = options.text(option_list, values)
  local build
  if text then build, message, code = script() end
  if not build then return nil, message, code end
  local name = values.name
  return {
    { path = ".flakes", dir = true },
    { path = ".flakes/studio", dir = true },
    { path = ".flakes/studio/project.yaml", text = PROJECT },
    { path = ".flakes/package", dir = true },
    { path = "src", dir = true },
    { path = options.file, text = text },
    { path = ".flakes/package/options.yaml", link = "../../" .. options.file },
    { path = "src/flake.yaml", text = FLAKE:format(M.image(name), name, name) },
    { path = "src/build.sh", text = build, mode = 493 },
    { path = ".gitignore", text = table.concat(IGNORED, "\n") .. "\n" },
    { path = ".dockerignore", text = IMAGE_IGNORED },
    { path = "out", dir = true },
    { path = ".staging", dir = true },
  }
end

--- The text of a .gitignore with what it lacks; nil if nothing is missing.
function M.ignore(path)
  local text = fs.read(path) or ""
  local lines, more = {}, {}
  for line in text:gmatch("[^\n]+") do lines[line:gsub("%s+$", "")] = true end
  for _, line in ipairs(IGNORED) do
    if not lines[line] then table.insert(more, line .. "\n") end
  end
  if #more == 0 then return nil end
  return ("%s%s%s"):format(text, text:match("[^\n]$") and "\n" or "", table.concat(more))
end

local function take_back(made)
  if made.done then return end
  for i = #made, 1, -1 do
    local one = made[i]
    if one.old then
      fs.write(one.path, one.old, { mode = one.mode })
    elseif one.dir then
      fs.rmdir(one.path)
    else
      fs.unlink(one.path)
    end
  end
end

local function make(path, one)
  if one.dir then return fs.mkdir(path, 493) end
  if one.link then return fs.symlink(one.link, path) end
  return fs.write(path, one.text, { mode = one.mode or 420, exclusive = true })
end

-- An existing file gets a longer text.
local function extend(path, text, made)
  local old, message, code = fs.read(path)
  if not old then return nil, message, code end
  local mode = fs.stat(path).mode & 511
  table.insert(made, { path = path, old = old, mode = mode })
  return fs.write(path, text, { mode = mode })
end

--- Makes what is missing below root. longer: {[path]=text} for files that exist. Returns the paths
-- that were made or changed, or nil, message, code; then everything is as before.
function M.write(root, list, longer)
  local made <close> = setmetatable({}, { __close = take_back })
  local paths = {}
  for _, one in ipairs(list) do
    local path = ("%s/%s"):format(root, one.path)
    local ok, message, code = true, nil, nil
    local there = fs.lstat(path)
    if not there then
      table.insert(made, { path = path, dir = one.dir })
      ok, message, code = make(path, one)
      -- Somebody else was faster: it is not ours to take back.
      if code == "EEXIST" then table.remove(made) end
    elseif longer[one.path] then
      ok, message, code = extend(path, longer[one.path], made)
    end
    if not ok then return nil, message, code end
    if not there or longer[one.path] then table.insert(paths, one.path) end
  end
  made.done = true
  return paths
end

return M
