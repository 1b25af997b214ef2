-- SPDX-License-Identifier: MIT
-- flake-ctl podman show: the containers that flakes have started.
local instances = require "shipped.runtimes.podman.instances"
local output = require "flake.output"
local registry = require "flake.registry"

local COLUMNS = {
  { key = "name", title = "NAME" }, { key = "instance", title = "INSTANCE" },
  { key = "id", title = "ID" }, { key = "status", title = "STATUS" },
  { key = "age", title = "AGE" }, { key = "pid", title = "PID" },
  { key = "image", title = "IMAGE" },
}

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } }

-- Seconds as people read them: the largest unit that fits.
local function readable(seconds)
  for _, unit in ipairs(UNITS) do
    if seconds >= unit[1] then return ("%d%s"):format(seconds // unit[1], unit[2]) end
  end
  return "0s"
end

--- flake-ctl podman show
return function(opts, ctx)
  local ok, why, name = registry.dir({ user = opts.user })
  if not ok then return nil, why, name end
  local rows, message, code = instances.list()
  if not rows then return nil, message, code end
  if opts.format == "table" then
    for _, row in ipairs(rows) do
      row.id = row.id:sub(1, 12)
      row.age = row.age and readable(row.age)
    end
  end
  output.print(ctx.out, rows, COLUMNS, opts.format)
  return 0
end
