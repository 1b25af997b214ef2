-- SPDX-License-Identifier: MIT
-- flake-ctl podman show: the containers that flakes have started.
local output = require "flake.output"
local podman = require "flake.podman"
local process = require "flake.process"
local registry = require "flake.registry"

local COLUMNS = {
  { key = "name", title = "NAME" }, { key = "instance", title = "INSTANCE" },
  { key = "id", title = "ID" }, { key = "status", title = "STATUS" },
  { key = "pid", title = "PID" }, { key = "image", title = "IMAGE" },
}

--- flake-ctl podman show
return function(opts, ctx)
  local ok, why, name = registry.dir({ user = opts.user })
  if not ok then return nil, why, name end
  local result, message, code = process.run({ "podman", "ps", "--all", "--no-trunc", "--filter",
    "label=flake-pilot.flake", "--format", "json" }, { stdout = "pipe" })
  if not result then return nil, message, code end
  if podman.status(result) ~= 0 then return podman.status(result) end
  local rows = {}
  for _, container in ipairs(require("dkjson").decode(result.stdout) or {}) do
    table.insert(rows, {
      name = container.Labels["flake-pilot.flake"],
      instance = container.Labels["flake-pilot.instance"],
      id = opts.format == "table" and container.Id:sub(1, 12) or container.Id,
      status = container.State,
      pid = container.Pid ~= 0 and container.Pid or nil,
      image = container.Image,
    })
  end
  table.sort(rows, function(a, b) return a.name .. a.id < b.name .. b.id end)
  output.print(ctx.out, rows, COLUMNS, opts.format)
  return 0
end
