-- SPDX-License-Identifier: MIT
-- flake-ctl podman compose: gets the image of a flake that brings it along as archive. The pilot
-- runs it when its record (src/composed.h) is missing or no longer true.
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local registry = require "flake.registry"
local store = require "flake.store"
local archive = require "shipped.runtimes.podman.archive"

local function is_made_of_parts(flake)
  return flake.base or #flake.layers + #flake.include.tar + #flake.include.path > 0
    or flake.check_host_dependencies
end

local function find(opts)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if is_made_of_parts(flake) then
    return nil, ("flake '%s' has layers or includes, which this release cannot compose")
      :format(flake.name), "EFLAKE"
  end
  if #flake.archives > 0 then return flake end
  return nil, ("flake '%s' is one image: there is nothing to compose"):format(flake.name), "EUSAGE"
end

--- flake-ctl podman compose
return function(opts, ctx)
  local flake, message, code = find(opts)
  if not flake then return nil, message, code end
  local held <close>, why, name = archive.lock(flake)
  if not held then return nil, why, name end
  local id = pilot.composed_image(flake.name)
  if not id then
    if fs.isatty(2) then
      ctx.err:write(("loading the image of flake '%s' …\n"):format(flake.name))
    end
    local ids, ok
    ids, message, code = archive.ensure(flake, store.of(nil))
    if ids then ok, message, code = archive.record(flake, ids[1]) end
    if not ok then return nil, message, code end
    id = ids[1]
  end
  ctx.out:write(id, "\n")
  return 0
end
