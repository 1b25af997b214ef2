-- SPDX-License-Identifier: MIT
-- flake-ctl podman export --package: the images of a flake as archives; equal images, equal bytes.
local fs = require "flake.fs"
local image = require "flake.image"
local oci = require "flake.oci"
local progress = require "flake.progress"
local scratch = require "flake.scratch"
local archive = require "shipped.runtimes.podman.archive"

local function save(reference, dir, err)
  err:write(("saving image %s\n"):format(reference))
  return image.save_as("oci-dir", reference, dir)
end

--- Writes target, and target-2 and so on for the images of base and layers.
-- Returns true, or nil, message, code.
return function(flake, target, ctx)
  local temp <close>, why, name = scratch.open("export", target:match("^(.*/)") or "./")
  if not temp then return nil, why, name end
  for n, reference in ipairs(archive.references(flake)) do
    local dir = ("%s/%d"):format(temp.dir, n)
    local ok, message, code = save(reference, dir, ctx.err)
    if not ok then return nil, message, code end
    local line <close> = progress.line("packing " .. reference, ctx.err)
    ok, message, code = oci.pack(dir, n > 1 and ("%s-%d"):format(target, n) or target,
      archive.name(flake.name, n), progress.bytes(line))
    if not ok then return nil, message, code end
    fs.remove_tree(dir)
  end
  return true
end
