-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker stop: ends VMs cleanly.
local fs = require "flake.fs"
local quote = require("flake.text").quote
local instances = require "shipped.runtimes.firecracker.instances"
local references = require "flake.references"
local registry = require "flake.registry"
local stopping = require "flake.stopping"

-- The name under which the VMs of a flake are known, by its name or that of one of its commands.
-- They may outlive it, so a name without a definition is fine.
local function state_name(opts)
  local flake = registry.find(opts.name, opts)
  if not flake then return (opts.user and "~" or "") .. opts.name end
  for _, name in ipairs(references.users(flake)) do
    local user = name and fs.user(name)
    if user and user.uid ~= fs.geteuid() then
      return nil, ("flake '%s' runs as '%s': use sudo --user=%s flake-ctl firecracker stop %s")
        :format(flake.name, name, quote(name), quote(opts.name)), "EPERM"
    end
  end
  return flake.state_name
end

--- flake-ctl firecracker stop
return function(opts, ctx)
  return stopping(opts, ctx, { flake = state_name, instances = instances,
    name = function(row) return (row.flake:gsub("^~", "")) end })
end
