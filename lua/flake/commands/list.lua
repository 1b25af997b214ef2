-- SPDX-License-Identifier: MIT
-- flake-ctl list
local output = require "flake.output"
local registry = require "flake.registry"

local COLUMNS = { { key = "name", title = "NAME" }, { key = "engine", title = "ENGINE" },
  { key = "app", title = "HOST APP" }, { key = "target", title = "TARGET" },
  { key = "image", title = "IMAGE" }, { key = "file", title = "CONFIG" } }
local WITH_ERROR = { { key = "error", title = "ERROR" } }

local function run(opts, ctx)
  local rows, message, code = registry.list({ user = opts.user, root = opts.root })
  if not rows then return nil, message, code end
  if opts.format == "table" then
    if #rows == 0 then
      ctx.out:write("no flakes registered in ", registry.dir(opts), "\n")
      return 0
    end
    for _, row in ipairs(rows) do
      row.app = #row.apps > 1 and table.concat(row.apps, ",") or row.app
      if row.error then row.engine = "broken" end
    end
    output.print(ctx.out, rows, COLUMNS, "table")
    for _, row in ipairs(rows) do
      if row.error then ctx.err:write("flake-ctl: broken: ", row.error, "\n") end
    end
    return 0
  end
  local columns = table.move(COLUMNS, 1, #COLUMNS, 1, {})
  output.print(ctx.out, rows, table.move(WITH_ERROR, 1, 1, #columns + 1, columns), opts.format)
  return 0
end

return {
  api = 1,
  about = "List the registered flakes.",
  type = "TOOL",
  options = {
    { name = "format", default = "table", choices = output.formats, about = "Output format." },
    { name = "user", flag = true, about = "The caller's own flakes, not the system's." },
    { name = "root", metavar = "DIR", about = "Fake root for definitions." },
  },
  run = run,
}
