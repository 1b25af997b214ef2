-- SPDX-License-Identifier: MIT
-- flake-ctl podman register: what a flake has besides its image (base, layers, includes).
local fs = require "flake.fs"
local includes = require "flake.includes"
local registry = require "flake.registry"
local yaml = require "flake.yaml"
local parts = require "shipped.runtimes.podman.compose_parts"
local store = require "shipped.runtimes.podman.compose_store"

local M = {}

--- Checks the options and makes paths absolute. Returns true, or nil, message, code.
function M.check(opts)
  if #opts.layer > 0 and not opts.base then return nil, "--layer needs --base", "EUSAGE" end
  return includes.check_options(opts)
end

--- Adds the keys of a definition of schema version 1.
function M.add_keys(opts, doc)
  local container = doc.container
  container.base_container = opts.base
  if #opts.layer > 0 then container.layers = yaml.list(opts.layer) end
  if opts.check_host_dependencies then container.check_host_dependencies = true end
  includes.add_keys(opts, doc.include)
end

--- All images of the flake, as --container, --base and --layer name them.
function M.references(opts)
  return parts.references { base = opts.base, layers = opts.layer, image = opts.container }
end

local function all_here(flake)
  for _, reference in ipairs(parts.references(flake)) do
    if not parts.is_here(reference) then return false end
  end
  return true
end

--- After the definition is written: composes the image where it will be used from this store, and
-- removes what a replaced flake has left. old: the replaced flake or nil.
function M.finish(opts, name, old, ctx)
  if opts.root then return end
  local flake = registry.find(name, opts)
  if not flake then return end
  if not store.is_composed(flake) then
    if old and store.is_composed(old) then store.drop(old.state_name) end
    return
  end
  local me = fs.user(fs.geteuid())
  local own = opts.user or (flake.user and me and flake.user == me.name)
  if not own or not all_here(flake) then return end
  local compose = require "shipped.runtimes.podman.compose"
  local silent = { write = function(self) return self end }
  local ok, message = compose({ name = name, user = opts.user }, { err = ctx.err, out = silent })
  if not ok then
    ctx.err:write(("flake-ctl: warning: %s\n"):format(message))
  end
end

return M
