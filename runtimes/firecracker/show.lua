-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker show: the VMs that run.
local instances = require "shipped.runtimes.firecracker.instances"
local output = require "flake.output"
local registry = require "flake.registry"

local COLUMNS = {
  { key = "flake", title = "NAME" }, { key = "instance", title = "INSTANCE" },
  { key = "engine", title = "ENGINE" }, { key = "pid", title = "PID" },
  { key = "key", title = "KEY" },
}

--- flake-ctl firecracker show
return function(opts, ctx)
  local ok, why, name = registry.dir({ user = opts.user })
  if not ok then return nil, why, name end
  local rows, message, code = instances.list()
  if not rows then return nil, message, code end
  local some = {}
  for _, row in ipairs(rows) do
    local own = row.flake:sub(1, 1) == "~"
    if own or not opts.user then
      row.flake = row.flake:gsub("^~", "")
      table.insert(some, row)
    end
  end
  output.print(ctx.out, some, COLUMNS, opts.format)
  return 0
end
