-- SPDX-License-Identifier: MIT
-- flake-ctl podman stop: ends instances.
local fs = require "flake.fs"
local instances = require "shipped.runtimes.podman.instances"
local references = require "flake.references"
local registry = require "flake.registry"

local function chosen(rows, instance)
  local some = {}
  for _, row in ipairs(rows) do
    if not instance or row.instance == instance then table.insert(some, row) end
  end
  return some
end

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
    :format(flake.name, users[1], users[1], opts.name), "EPERM"
end

--- flake-ctl podman stop
return function(opts, ctx)
  if (opts.name == nil) == not opts.all then
    return nil, "stop needs either NAME or --all", "EUSAGE"
  end
  local flake, message, code
  if opts.name then
    flake, message, code = flake_of(opts)
    if not flake then return nil, message, code end
  end
  local rows, ok
  rows, message, code = instances.list(flake)
  if not rows then return nil, message, code end
  rows = chosen(rows, opts.instance and opts.instance:sub(2))
  ok, message, code = instances.stop(rows)
  if not ok then return nil, message, code end
  for _, row in ipairs(rows) do
    ctx.out:write("stopped ", row.name, row.instance and " @" .. row.instance or "", "\n")
  end
  if #rows == 0 then ctx.err:write("flake-ctl: there is no such instance\n") end
  return 0
end
