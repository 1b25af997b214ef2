-- SPDX-License-Identifier: MIT
-- flake-ctl doctor
local doctor = require "flake.doctor"
local output = require "flake.output"

local function run(opts, ctx)
  local findings, message, code = doctor.examine(opts.name, { user = opts.user })
  if not findings then return nil, message, code end
  if opts.format == "json" then
    ctx.out:write(output.json(setmetatable(findings, { __jsontype = "array" })), "\n")
  else
    doctor.print(findings, ctx.out)
    if #findings == 0 then ctx.out:write("all is well\n") end
  end
  return doctor.is_serious(findings) and 1 or 0
end

return {
  api = 1,
  about = "Check the host and the flakes; each finding comes with a remedy.",
  type = "TOOL",
  options = {
    { name = "name", positional = true, optional = true, about = "Check only this flake." },
    { name = "format", default = "text", choices = { "text", "json" }, about = "Output format." },
    { name = "user", flag = true, about = "Of the flakes only the caller's own." },
  },
  run = run,
}
