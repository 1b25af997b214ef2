-- SPDX-License-Identifier: MIT
-- flake-ctl explain: the plan of a call, from the same C code that the pilots use.
local hooks = require "flake.hooks"
local output = require "flake.output"
local pilot = require "flake.pilot"
local registry = require "flake.registry"

-- Quotes for a POSIX shell; text that is not printable ASCII in $'…' (bash, zsh).
local function shell_quote(text)
  if text:match("^[%w@%%+=:,./_-]+$") then return text end
  if not text:find("[%c\127-\255]") then return "'" .. text:gsub("'", "'\\''") .. "'" end
  return "$'" .. text:gsub("[%c\127-\255'\\]", function(c)
    return ("\\x%02x"):format(c:byte())
  end) .. "'"
end

local function shell_line(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = shell_quote(word) end
  return table.concat(words, " ")
end

local function run(opts, ctx)
  local where, message, code, plan
  if opts.user then
    where, message, code = registry.where(opts)
    if not where then return nil, message, code end
  end
  plan, message, code = pilot.plan(opts.name, opts.args, where)
  if not plan then return nil, message, code end
  local dir = plan.files[1]:gsub("%.yaml$", ".d")
  local scripts = {}
  for _, kind in ipairs { "launch", "exit" } do
    for _, file in ipairs(hooks.files(kind, { own = plan.own, flake_dir = dir })) do
      table.insert(scripts, file)
    end
  end
  if opts.format == "json" then
    plan.hooks = setmetatable(scripts, { __jsontype = "array" })
    ctx.out:write(output.json(plan), "\n")
    return 0
  end
  ctx.out:write("# flake ", plan.flake, ", engine ", plan.engine, "\n")
  for _, file in ipairs(plan.files) do ctx.out:write("# from ", file, "\n") end
  for _, file in ipairs(scripts) do ctx.out:write("# hook ", file, " (may change this)\n") end
  -- What has to be run first: the composing of the image, the start of the instance.
  for _, argv in ipairs { plan.prepare, plan.start, plan.argv } do
    if #argv > 0 then ctx.out:write(shell_line(argv)) end
    if argv == plan.argv and plan.process then
      ctx.out:write(" 3<<'EOF'\n", plan.process, "\nEOF")
    end
    if #argv > 0 then ctx.out:write("\n") end
  end
  if #plan.argv == 0 then ctx.out:write("# launched by its Lua driver\n") end
  return 0
end

return {
  api = 1,
  about = "Show exactly what a call of a flake would run, and which files decided it.",
  type = "TOOL",
  options = {
    { name = "name", positional = true, about = "Name of the flake or of one of its commands." },
    { name = "args", positional = true, multiple = true, optional = true,
      about = "Arguments of the call, behind --." },
    { name = "format", default = "shell", choices = { "shell", "json" }, about = "Output format." },
    { name = "user", flag = true, about = "Only the caller's own flakes." },
  },
  run = run,
}
