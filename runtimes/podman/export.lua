-- SPDX-License-Identifier: MIT
-- flake-ctl podman export: a flake's image, or all of it, as one file.
local image = require "flake.image"
local registry = require "flake.registry"

--- flake-ctl podman export
return function(opts, ctx)
  local flake, message, code = registry.find(opts.name, opts)
  if not flake then return nil, message, code end
  if flake.engine ~= "podman" then
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local file_name = opts.bundle and flake.name .. ".flake" or image.file_name(flake.image)
  if opts.package then
    local done, why, name = require("shipped.runtimes.podman.package")(flake, opts.target, ctx)
    return done and 0, why, name
  end
  local target = image.target_path(opts.target, file_name)
  ctx.err:write(("saving image %s to %s\n"):format(flake.image, target))
  local ok
  if opts.bundle then
    ok, message, code = require("flake.bundle").export(flake, target, opts.sign)
  else
    ok, message, code = image.save(flake.image, target, opts.sign)
  end
  if not ok then return nil, message, code end
  return 0
end
