-- SPDX-License-Identifier: MIT
-- Saves a booted VM of a flake, for its calls to restore.
local pilot = require "flake.pilot"
local registry = require "flake.registry"

--- name: of the flake; opts: as for registry.dir. Returns true, or nil, message, code.
return function(name, opts)
  local where, message, code = registry.where(opts)
  local plan
  if where then plan, message, code = pilot.plan(name, {}, where) end
  if not plan then return nil, message, code end
  return pilot.vm_snapshot(plan)
end
