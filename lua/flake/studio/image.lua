-- SPDX-License-Identifier: MIT
-- The image of a project: src/build.sh makes it, and it leaves podman's store when it has been
-- packaged, unless it was there before, somebody uses it, or it is to be kept.
local process = require "flake.process"
local references = require "flake.references"
local registry = require "flake.registry"
local store = require "flake.store"

local M = {}

local function id_of(place, name)
  local text = place:podman { "image", "inspect", "--format", "{{.Id}}", "--", name }
  return text and text:gsub("^sha256:", ""):match("^%x+")
end

-- Is the reference one of a flake that is registered here?
local function is_registered(reference)
  local flakes = {}
  for _, row in ipairs(registry.list() or {}) do
    local flake = registry.find(row.name)
    if flake then table.insert(flakes, flake) end
  end
  for _, one in ipairs(references.collect(flakes)) do
    if references.with_tag(one.name) == references.with_tag(reference) then return true end
  end
  return false
end

-- The image goes, its layers stay as podman's cache for the next build.
local function drop(held)
  local place = held.place
  local id = not held.keep and not held.before and id_of(place, held.name)
  if not id then return end
  if is_registered(held.name) then
    held.err:write(("image %s stays: a flake uses it\n"):format(held.name))
  elseif held.known[id] then
    place:untag(id, held.name)
  else
    local ok, message = place:podman { "rmi", "--no-prune", "--", held.name }
    if not ok then held.err:write(("image %s stays: %s\n"):format(held.name, message)) end
  end
end

--- Watches over the image `name`: what comes under this name until it is closed goes then.
-- Returns it, or nil, message, code if podman does not answer.
function M.hold(name, keep, err)
  local place = store.of(nil)
  local text, message, code = place:podman { "images", "--all", "--quiet", "--no-trunc" }
  if not text then return nil, message, code end
  local known = {}
  for id in text:gmatch("%x%x%x%x%x%x%x%x%x%x%x%x+") do known[id] = true end
  return setmetatable({ place = place, name = name, keep = keep, known = known, err = err,
    before = id_of(place, name) }, { __close = drop })
end

--- Runs src/build.sh, which makes the image. Returns its id, or nil, message, code.
function M.build(project, held, ctx)
  local script = project:path "src/build.sh"
  ctx.out:flush()
  local result, message, code = process.run({ script, held.name }, { cwd = project.root })
  if not result then return nil, message, code end
  if result.code ~= 0 then
    return nil, ("%s failed (%s): nothing was built"):format(script, result.signal
      and "signal " .. result.signal or "exit status " .. result.code), "EBUILD"
  end
  local id = id_of(held.place, held.name)
  if id then return id end
  return nil, ("%s ended well, but podman's store has no image %s"):format(script, held.name),
    "EBUILD"
end

return M
