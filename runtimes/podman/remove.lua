-- SPDX-License-Identifier: MIT
-- flake-ctl podman remove: one flake, or an image with all its flakes.
local fs = require "flake.fs"
local podman = require "flake.podman"
local registry = require "flake.registry"
local store = require "shipped.runtimes.podman.compose_store"

local function base(path)
  return path:match("([^/]*)$")
end

-- The flake, and the images that were composed for it.
local function remove_flake(name, opts, app)
  local flake = registry.find(name, opts)
  local ok, message, code = registry.remove(name,
    { root = opts.root, user = opts.user, force = opts.force, app = app })
  if ok and flake and not opts.root and store.is_composed(flake) then store.drop(flake.name) end
  -- What an import has put beside the definition.
  if ok and flake then fs.remove_tree((flake.file:gsub("%.yaml$", ".include"))) end
  return ok, message, code
end

local function remove_app(opts)
  local ok, message, code = remove_flake(base(opts.app), opts, opts.app)
  if not ok then return nil, message, code end
  return 0
end

local function remove_container(opts)
  local rows, message, code = registry.list(opts)
  if not rows then return nil, message, code end
  for _, row in ipairs(rows) do
    if row.image == opts.container then
      local ok
      ok, message, code = remove_flake(row.name, opts)
      if not ok then return nil, message, code end
    end
  end
  if opts.root then return 0 end
  return podman.run("image", "rm", opts.force and "--force" or "--", opts.container)
end

--- flake-ctl podman remove
return function(opts)
  if (opts.app == nil) == (opts.container == nil) then
    return nil, "remove needs either --app PATH or --container IMAGE", "EUSAGE"
  end
  if opts.app then return remove_app(opts) end
  return remove_container(opts)
end
