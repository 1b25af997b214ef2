-- SPDX-License-Identifier: MIT
-- flake-ctl doctor
local doctor = require "flake.doctor"
local output = require "flake.output"

local COLOURS = { serious = "red", warning = "yellow" }

local function run(opts, ctx)
  local findings, message, code = doctor.examine(opts.name)
  if not findings then return nil, message, code end
  local serious = false
  for _, finding in ipairs(findings) do serious = serious or finding.severity == "serious" end
  if opts.format == "json" then
    ctx.out:write(output.json(setmetatable(findings, { __jsontype = "array" })), "\n")
  else
    for _, finding in ipairs(findings) do
      local word = output.colour(finding.severity, COLOURS[finding.severity], 1)
      ctx.out:write(word, ": ", (finding.what:gsub("%c", "?")), "\n")
      ctx.out:write("  remedy: ", finding.remedy, "\n")
    end
    if #findings == 0 then ctx.out:write("all is well\n") end
  end
  return serious and 1 or 0
end

return {
  api = 1,
  about = "Check the host and the flakes; each finding comes with a remedy.",
  type = "TOOL",
  options = {
    { name = "name", positional = true, optional = true, about = "Check only this flake." },
    { name = "format", default = "text", choices = { "text", "json" }, about = "Output format." },
  },
  run = run,
}
