-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker stop: ends VMs cleanly.
local fs = require "flake.fs"
local instances = require "shipped.runtimes.firecracker.instances"
local references = require "flake.references"
local registry = require "flake.registry"

-- The name under which the VMs of a flake are known, by its name or that of one of its commands.
-- They may outlive it, so a name without a definition is fine.
local function state_name(opts)
  local flake = registry.find(opts.name, opts)
  if not flake then return (opts.user and "~" or "") .. opts.name end
  for _, name in ipairs(references.users(flake)) do
    local user = name and fs.user(name)
    if user and user.uid ~= fs.geteuid() then
      return nil, ("flake '%s' runs as '%s': use sudo --user=%s flake-ctl firecracker stop %s")
        :format(flake.name, name, name, opts.name), "EPERM"
    end
  end
  return flake.state_name
end

local function chosen(rows, instance)
  local some = {}
  for _, row in ipairs(rows) do
    if not instance or row.instance == instance then table.insert(some, row) end
  end
  return some
end

--- flake-ctl firecracker stop
return function(opts, ctx)
  if (opts.name == nil) == not opts.all then
    return nil, "stop needs either NAME or --all", "EUSAGE"
  end
  local flake, message, code
  if opts.name then
    flake, message, code = state_name(opts)
    if not flake then return nil, message, code end
  end
  local rows, ok
  rows, message, code = instances.list(flake)
  if not rows then return nil, message, code end
  rows = chosen(rows, opts.instance and opts.instance:sub(2))
  ok, message, code = instances.stop(rows)
  if not ok then return nil, message, code end
  for _, row in ipairs(rows) do
    ctx.out:write("stopped ", (row.flake:gsub("^~", "")),
      row.instance and " @" .. row.instance or "", "\n")
  end
  if #rows == 0 then ctx.err:write("flake-ctl: there is no such instance\n") end
  return 0
end
