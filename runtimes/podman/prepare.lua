-- SPDX-License-Identifier: MIT
-- flake-ctl podman prepare and unload: what the scripts of packages call. Both may be repeated.
local registry = require "flake.registry"
local store = require "flake.store"
local archive = require "shipped.runtimes.podman.archive"

local M = {}

local function find(opts)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  local place
  place, message, code = store.of(flake.user)
  return place and flake, message or place, code
end

--- flake-ctl podman prepare
function M.prepare(opts)
  local flake, place, code = find(opts)
  if not flake then return nil, place, code end
  local ok, message
  if #flake.archives == 0 then
    ok, message, code = archive.pull(flake, place)
  else
    local held <close>, why, name = archive.lock(flake)
    if not held then return nil, why, name end
    ok, message, code = archive.ensure(flake, place)
  end
  if not ok then return nil, message, code end
  return 0
end

--- flake-ctl podman unload
function M.unload(opts)
  local flake, place, code = find(opts)
  if not flake then return nil, place, code end
  local ok, message
  ok, message, code = archive.release(flake, place)
  if not ok then return nil, message, code end
  return 0
end

return M
