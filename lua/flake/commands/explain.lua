-- SPDX-License-Identifier: MIT
-- flake-ctl explain: the plan of a call, from the same C code that the pilots use.
local hooks = require "flake.hooks"
local loader = require "flake.loader"
local output = require "flake.output"
local pilot = require "flake.pilot"
local quote = require("flake.text").quote
local registry = require "flake.registry"
local risk = require "flake.risk"

local function shell_line(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = quote(word) end
  return table.concat(words, " ")
end

-- The hooks of a launch, in the order in which they run.
local function scripts_of(plan)
  local opts = { own = plan.own, flake_dir = plan.files[1]:gsub("%.yaml$", ".d") }
  local launch, message, code = hooks.files("launch", opts)
  if not launch then return nil, message, code end
  local leave
  leave, message, code = hooks.files("exit", opts)
  if not leave then return nil, message, code end
  return table.move(leave, 1, #leave, #launch + 1, launch)
end

-- What a driver in Lua would run, as far as it tells.
local function argv_of_driver(plan)
  local driver, message, code = loader.load("runtimes", plan.engine)
  if not driver and message then return nil, message, code end
  if not driver or not driver.explain then return {} end
  return driver.explain(plan)
end

local function print_shell(plan, scripts, out)
  out:write("# flake ", plan.flake, ", engine ", plan.engine, "\n")
  for _, file in ipairs(plan.files) do out:write("# from ", file, "\n") end
  for _, file in ipairs(scripts) do out:write("# hook ", file, " (may change this)\n") end
  -- What has to be run first: the composing of the image, the start of the instance.
  for _, argv in ipairs { plan.prepare, plan.start, plan.argv } do
    if #argv > 0 then out:write(shell_line(argv)) end
    if argv == plan.argv and plan.process then out:write(" 3<<'EOF'\n", plan.process, "\nEOF") end
    if #argv > 0 then out:write("\n") end
  end
  if plan.socket then
    out:write("# the call goes through ", plan.socket, "\n")
  elseif #plan.argv == 0 then
    out:write("# launched by its Lua driver\n")
  end
end

local function array(list)
  return setmetatable(list, { __jsontype = "array" })
end

local function commands_of(flake)
  local commands = array {}
  for i, app in ipairs(flake.apps) do
    commands[i] = { path = app.path, target = app.target or app.path, user = app.user }
  end
  return commands
end

-- How far a flake is confined.
local function print_risk(opts, where, ctx)
  local flake, message, code = pilot.load(opts.name, where)
  if not flake then return nil, message, code end
  local report = risk.of(flake, { user = flake.own })
  if opts.format == "json" then
    ctx.out:write(output.json { flake = flake.name, engine = flake.engine, image = flake.image,
      file = flake.file, confinement = report.confinement, commands = commands_of(flake),
      findings = array(report.findings) }, "\n")
    return 0
  end
  ctx.out:write(output.line(flake.name), ": ", risk.words(report.confinement), "\n")
  for _, line in ipairs(risk.lines(report)) do ctx.out:write("  ", line, "\n") end
  return 0
end

local function print_plan(opts, where, ctx)
  local plan, message, code = pilot.plan(opts.name, opts.args, where)
  if not plan then return nil, message, code end
  local scripts
  scripts, message, code = scripts_of(plan)
  if not scripts then return nil, message, code end
  if #plan.argv == 0 and not plan.socket then plan.argv, message, code = argv_of_driver(plan) end
  if not plan.argv then return nil, message, code end
  if opts.format == "json" then
    plan.hooks = array(scripts)
    ctx.out:write(output.json(plan), "\n")
  else
    print_shell(plan, scripts, ctx.out)
  end
  return 0
end

local function run(opts, ctx)
  local where, message, code
  if opts.user then
    where, message, code = registry.where(opts)
    if not where then return nil, message, code end
  end
  if opts.risk and #opts.args > 0 then return nil, "--risk goes without arguments", "EUSAGE" end
  return (opts.risk and print_risk or print_plan)(opts, where, ctx)
end

return {
  api = 1,
  about = "Show exactly what a call of a flake would run, and which files decided it.",
  type = "TOOL",
  options = {
    { name = "name", positional = true, about = "Name of the flake or of one of its commands." },
    { name = "args", positional = true, multiple = true, optional = true,
      about = "Arguments of the call, behind --." },
    { name = "risk", flag = true,
      about = "How far the flake is confined, in plain words, instead." },
    { name = "format", default = "shell", choices = { "shell", "json" }, about = "Output format." },
    { name = "user", flag = true, about = "Only the caller's own flakes." },
  },
  run = run,
}
