-- SPDX-License-Identifier: MIT
-- Which packager there is for this host, and its files.
local fs = require "flake.fs"
local loader = require "flake.loader"
local process = require "flake.process"

local M = {}

-- KEY=value lines; values may be in quotes.
local function parse(text)
  local release = {}
  for line in text:gmatch("[^\n]+") do
    local key, value = line:match("^([%w_]+)=(.*)$")
    if key then release[key] = value:gsub("^([\"'])(.*)%1$", "%2") end
  end
  return release
end

--- os-release of this host: {ID=, ID_LIKE=, …}, empty if there is none.
function M.os_release(prefix)
  local text = fs.read(prefix .. "/etc/os-release") or fs.read(prefix .. "/usr/lib/os-release")
  return parse(text or "")
end

--- What packages of this host call the release that they are for: Ubuntu's tools want a name of
-- theirs, Debian's take "unstable".
function M.suite(prefix)
  local release = M.os_release(prefix)
  local families = (" %s %s "):format(release.ID or "", release.ID_LIKE or "")
  if not families:find(" ubuntu ", 1, true) then return "unstable" end
  return release.UBUNTU_CODENAME or release.VERSION_CODENAME or "unstable"
end

--- The builder of that name, or nil, message, code.
function M.get(name)
  local builder, message, code = loader.load("builders", name)
  if builder then
    builder.name = name
    return builder
  end
  return nil, message or ("there is no builder '%s': %s"):format(name,
    table.concat(loader.names("builders"), ", ")), code or "EUSAGE"
end

-- All builders; a broken one of no use here does not stop the others.
local function all()
  local builders, broken = {}, nil
  for _, name in ipairs(loader.names("builders")) do
    local builder, message = M.get(name)
    if builder then table.insert(builders, builder) else broken = broken or message end
  end
  return builders, broken
end

--- The builder for this host: by os-release, ID before ID_LIKE, then by what is installed.
-- Returns it, or nil, message, code.
function M.choose(prefix)
  local builders, broken = all()
  local release = M.os_release(prefix)
  local ids = { release.ID }
  for id in (release.ID_LIKE or ""):gmatch("%S+") do table.insert(ids, id) end
  for _, id in ipairs(ids) do
    for _, builder in ipairs(builders) do
      if builder.detect { ID = id, ID_LIKE = release.ID_LIKE, VERSION_ID = release.VERSION_ID } then
        return builder
      end
    end
  end
  for _, builder in ipairs(builders) do
    if process.which(builder.tool) then return builder end
  end
  return nil, broken or "no packager for this system: install dpkg-dev or rpm-build, or name one "
    .. "with --builder", "ENOENT"
end

--- Does os-release name one of the families?
function M.is_one_of(release, families)
  for _, family in ipairs(families) do
    if release.ID == family then return true end
  end
  return false
end

--- Is the builder's tool there? Returns true, or nil, message, code.
function M.check_tool(builder)
  if process.which(builder.tool) then return true end
  return nil, ("%s is not installed: it is what builds these packages"):format(builder.tool),
    "ENOENT"
end

--- A builder's template: of dir (or nil), of an overriding root, or the shipped one.
-- Returns its text and path, or nil, message, code.
function M.template(builder, file, dir, share)
  local places = { dir }
  for _, root in ipairs(loader.override_roots()) do
    table.insert(places, ("%s/builders/%s"):format(root, builder.name))
  end
  table.insert(places, ("%s/builders/%s"):format(share, builder.name))
  for _, place in ipairs(places) do
    local path = ("%s/%s"):format(place, file)
    if fs.stat(path) then
      local text, message, code = loader.read(path)
      if text then return text, path end
      return nil, message, code
    end
  end
  return nil, ("builder '%s' has no template %s"):format(builder.name, file), "ENOENT"
end

return M
