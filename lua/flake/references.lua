-- SPDX-License-Identifier: MIT
-- References to images: what they are, and which flakes use them.
local M = {}

--- The reference with its tag or digest: "x" is "x:latest".
function M.with_tag(name)
  if name:find("@", 1, true) or name:match(":[^/]*$") then return name end
  return name .. ":latest"
end

--- "pinned" (by digest or id: nothing newer can be there), "local" (no registry has it), or nil.
-- image: what the store knows of it, or nil.
function M.fixed(name, image)
  if name:find("@", 1, true) then return "pinned" end
  if name:match("^localhost/") then return "local" end
  if not image then return nil end
  if M.may_be_pinned(name) and image.id:sub(1, #name) == name then return "pinned" end
  return M.qualified(name, image):match("^localhost/") and "local" or nil
end

-- Does the reference name its registry? As in Docker: the first part has a dot or a port.
local function has_registry(name)
  local first = name:match("^([^/]+)/")
  return first and (first:find("[.:]") or first == "localhost")
end

-- Registries that a short name may stand for, as podman writes them in front of it.
local function is_registry(prefix)
  if prefix == "docker.io/library" then return true end
  return has_registry(prefix .. "/") and not prefix:find("/", 1, true)
end

--- The full name of an image that is called by a reference. noted: what somebody says it is called:
-- it may add the registry, where the reference has none, and nothing else.
function M.full_name(reference, noted)
  local full = M.with_tag(reference)
  if has_registry(full) or type(noted) ~= "string" then return full end
  if noted:sub(-#full - 1) ~= "/" .. full or noted:find("[^%w._:/-]") then return full end
  return is_registry(noted:sub(1, -#full - 2)) and noted or full
end

--- Is the name one of ours, for images that no definition names?
function M.is_internal(name)
  return name:match("^localhost/flake%-pilot/") ~= nil
    or name:match("^localhost/flake%-pilot%-keep/") ~= nil
end

--- Can the reference be pinned? Ids look like names: only the store can tell.
function M.may_be_pinned(name)
  return name:find("@", 1, true) ~= nil or name:match("^%x+$") ~= nil and #name >= 12
end

--- The reference with registry and tag, as the store has it; image may be nil.
function M.qualified(name, image)
  local full = M.with_tag(name)
  if has_registry(full) then return full end
  for _, known in ipairs(image and image.names or {}) do
    if known:sub(-#full - 1) == "/" .. full then return known end
  end
  return full
end

local function contains(list, value)
  for _, known in ipairs(list) do
    if known == value then return true end
  end
  return false
end

-- Does the reference name the image by its id?
local function is_id(reference, image)
  return reference:match("^%x+$") and image.id:sub(1, #reference) == reference
end

--- Does a flake of this reference lose its image when `name` is removed? An image with several
-- names loses only that one. image: what the store knows of `name`, or nil.
function M.loses(reference, name, image)
  if M.with_tag(reference) == M.with_tag(name) then return true end
  if not (image and image.id) then return false end
  local full = M.qualified(reference, image)
  local refers = is_id(reference, image) or contains(image.names, full)
    or image.digests[reference:match("@(.*)$") or false]
  local whole = is_id(name, image) or #image.names <= 1
  return refers and (whole or full == M.qualified(name, image)) or false
end

--- The temporary name under which an image stays while a newer one proves itself.
function M.keep_name(qualified)
  local repository, tag = qualified:match("^(.*):([^/:]*)$")
  local path = repository:lower():gsub("[^%w/]+", "_"):gsub("/_+", "/"):gsub("^_+", "")
  return ("localhost/flake-pilot-keep/%s:%s"):format(path:gsub("_+%f[/\0]", ""), tag)
end

--- The programs that a flake runs, each once.
function M.targets(flake)
  local targets, seen = {}, {}
  for _, app in ipairs(flake.apps) do
    local target = app.target or app.path
    if not seen[target] then table.insert(targets, target) end
    seen[target] = true
  end
  return targets
end

--- Whose podman runs the commands of a flake: array of users, false for the caller.
-- takes(app): only of these commands.
function M.users(flake, takes)
  local users = {}
  for _, app in ipairs(flake.apps or { flake }) do
    local user = not flake.own and app.user or false
    if (not takes or takes(app)) and not contains(users, user) then table.insert(users, user) end
  end
  return users
end

local function add_reference(list, known, name, user, flake)
  local key = (user or "") .. "\0" .. M.with_tag(name)
  if not known[key] then
    known[key] = { name = name, user = user or nil, flakes = {} }
    table.insert(list, known[key])
  end
  local flakes = known[key].flakes
  if flakes[#flakes] ~= flake then table.insert(flakes, flake) end
end

--- Every distinct reference of the flakes (as pilot.load gives them), in order:
-- {name=, user=whose store or nil, flakes={flake, …}}.
function M.collect(flakes)
  local list, known = {}, {}
  for _, flake in ipairs(flakes) do
    local names = { flake.image, flake.base, table.unpack(flake.layers) }
    if not flake.base then names = { flake.image, table.unpack(flake.layers) } end
    for _, user in ipairs(M.users(flake)) do
      for _, name in ipairs(names) do add_reference(list, known, name, user, flake) end
    end
  end
  return list
end

return M
