-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker export: all of a flake in one file, for flake-ctl import.
local bundle = require "flake.bundle"
local image = require "flake.image"
local registry = require "flake.registry"

--- flake-ctl firecracker export
return function(opts, ctx)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if flake.engine ~= "firecracker" then
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local target = image.target_path(opts.target, flake.name .. ".flake")
  ctx.err:write(("saving flake %s to %s\n"):format(flake.name, target))
  local ok
  ok, message, code = bundle.export(flake, target, opts.sign)
  if not ok then return nil, message, code end
  return 0
end
