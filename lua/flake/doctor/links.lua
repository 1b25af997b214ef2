-- SPDX-License-Identifier: MIT
-- What interrupted or foreign hands left half there: commands without definition and the reverse.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local places = require "flake.places"
local registry = require "flake.registry"

local M = {}

-- A command in a user's directory may be of his own flake or of the system's.
local function is_defined(name, opts)
  if fs.stat(("%s/%s.yaml"):format(registry.dir(opts), name)) then
    return true
  end
  return opts.user and fs.stat(("%s/%s.yaml"):format(pilot.flakes_dir(), name)) ~= nil
end

-- What is wrong with a link to a pilot; nil: nothing, or it is none.
local function link_problem(prefix, path, name, opts)
  local target = fs.readlink(path)
  if not target or not places.is_pilot(target) or places.is_pilot(name) then return nil end
  if places.is_leftover(name) then return "leftover" end
  if not is_defined(name, opts) then return "no-definition" end
  if not fs.stat(prefix .. target) and not fs.stat(path) then return "dangling" end
end

local function missing_commands(found, opts, prefix)
  for _, row in ipairs(registry.list(opts) or {}) do
    for _, app in ipairs(row.apps) do
      if places.what_is_at(prefix .. app) ~= "ours" then
        table.insert(found, { kind = "no-command", path = prefix .. app, flake = row.name })
      end
    end
  end
end

local function remains(found, definitions)
  local seen = {}
  for _, entry in ipairs(fs.list(definitions) or {}) do
    local name = entry:match("^([^.].*)%.d$") or entry:match("^([^.].*)%.include$")
    for _, path in ipairs(name and not seen[name] and places.remains(name, definitions) or {}) do
      table.insert(found, { kind = "remains", path = path, flake = name })
    end
    seen[name or ""] = true
  end
end

local function leftovers(found, opts)
  local definitions = registry.dir(opts)
  remains(found, definitions)
  for _, entry in ipairs(fs.list(definitions) or {}) do
    if places.is_leftover(entry) then
      table.insert(found, { kind = "leftover", path = definitions .. "/" .. entry,
        flake = entry:match("^[^.]*") })
    end
  end
end

--- What is half there: {kind="dangling"|"no-command"|"no-definition"|"leftover"|
-- "remains", path=, flake=}.
-- opts: as for registry.dir.
function M.orphans(opts)
  local found = {}
  local prefix = registry.prefix(opts)
  missing_commands(found, opts, prefix)
  leftovers(found, opts)
  for _, dir in ipairs(places.link_dirs(opts, prefix)) do
    for _, entry in ipairs(fs.list(prefix .. dir) or {}) do
      local kind = link_problem(prefix, prefix .. dir .. "/" .. entry, entry, opts)
      if kind then
        table.insert(found, { kind = kind, path = ("%s%s/%s"):format(prefix, dir, entry),
          flake = kind == "leftover" and entry:gsub("%.tmp%.%w+$", "") or entry })
      end
    end
  end
  return found
end

return M
