-- SPDX-License-Identifier: MIT
-- flake-ctl podman stop: ends instances.
local fs = require "flake.fs"
local quote = require("flake.text").quote
local instances = require "shipped.runtimes.podman.instances"
local references = require "flake.references"
local registry = require "flake.registry"
local stopping = require "flake.stopping"

-- The flake whose instances end, by its name or that of one of its commands. Its containers may
-- outlive it, so a name without a definition is fine.
local function flake_of(opts)
  local flake = registry.find(opts.name, opts)
  if not flake then return opts.name end
  local users = references.users(flake, function(app)
    return opts.name == flake.name or app.path:match("([^/]*)$") == opts.name
  end)
  for _, name in ipairs(users) do
    local user = name and fs.user(name)
    if not user or user.uid == fs.geteuid() then return flake.name end
  end
  return nil, ("flake '%s' runs as '%s': use sudo --user=%s flake-ctl podman stop %s")
    :format(flake.name, users[1], quote(users[1]), quote(opts.name)), "EPERM"
end

--- flake-ctl podman stop
return function(opts, ctx)
  return stopping(opts, ctx, { flake = flake_of, instances = instances,
    name = function(row) return row.name end })
end
