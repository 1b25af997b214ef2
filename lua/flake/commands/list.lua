-- SPDX-License-Identifier: MIT
-- flake-ctl list
local output = require "flake.output"
local registry = require "flake.registry"

local COLUMNS = { { key = "name", title = "NAME" }, { key = "engine", title = "ENGINE" },
  { key = "app", title = "HOST APP" }, { key = "target", title = "TARGET" },
  { key = "image", title = "IMAGE" }, { key = "file", title = "CONFIG" } }
-- For scripts; columns of texts only are CSV.
local MORE = { csv = { { key = "error" } }, json = { { key = "apps" }, { key = "error" } } }

local function run(opts, ctx)
  local rows, message, code = registry.list({ user = opts.user, root = opts.root })
  if not rows then return nil, message, code end
  for _, row in ipairs(rows) do
    if opts.format ~= "json" and not row.error then row.app = table.concat(row.apps, ",") end
    setmetatable(row.apps, { __jsontype = "array" })
  end
  if opts.format == "table" then
    if #rows == 0 then
      ctx.out:write("no flakes registered in ", registry.dir(opts), "\n")
      return 0
    end
    for _, row in ipairs(rows) do
      if row.error then row.engine = "broken" end
    end
    output.print(ctx.out, rows, COLUMNS, "table")
    for _, row in ipairs(rows) do
      if row.error then ctx.err:write("flake-ctl: broken: ", output.line(row.error), "\n") end
    end
    return 0
  end
  local columns, more = table.move(COLUMNS, 1, #COLUMNS, 1, {}), MORE[opts.format]
  output.print(ctx.out, rows, table.move(more, 1, #more, #columns + 1, columns), opts.format)
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
