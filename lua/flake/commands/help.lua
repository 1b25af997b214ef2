-- SPDX-License-Identifier: MIT
-- flake-ctl help [COMMAND]: everything there is, grouped by type.
local cli = require "flake.cli"
local loader = require "flake.loader"
local output = require "flake.output"
local process = require "flake.process"

local HEADINGS = { { "ENGINE", "Engines" }, { "PACKAGER", "Packagers" }, { "TOOL", "Tools" } }
local PATIENCE = 3 -- seconds an executable has to answer `about`

-- Asks all executables at the same time: NAME about -> "Description;TYPE".
local function ask_executables(add)
  local asked = {}
  for _, exe in ipairs(loader.executables()) do
    if not loader.find("runtimes", exe.name) and not loader.find("commands", exe.name) then
      local proc = process.spawn({ exe.path, "about" },
        { stdin = "null", stdout = "pipe", stderr = "null" })
      if proc then table.insert(asked, { exe = exe, proc = proc }) end
    end
  end
  local left = PATIENCE
  for _, one in ipairs(asked) do
    local status = one.proc:wait(left)
    if not status then left = 0 end
    local line = status and one.proc:read("stdout", 4096):match("^[^\n]*") or ""
    one.proc:close()
    local about, kind = line:match("^(.*);(%w+)%s*$")
    add(one.exe.name, about or (status and line or "(gives no answer)"), (kind or "TOOL"):upper())
  end
end

local function collect()
  local groups = {}
  local function add(name, about, kind)
    groups[kind] = groups[kind] or {}
    table.insert(groups[kind], { name = name, about = output.line(about) })
  end
  for _, kind in ipairs { "runtimes", "commands" } do
    for _, name in ipairs(loader.names(kind)) do
      local driver, message = loader.load(kind, name)
      add(name, driver and driver.about or "broken: " .. tostring(message),
        driver and driver.type or "TOOL")
    end
  end
  ask_executables(add)
  return groups
end

local function print_group(out, heading, entries)
  table.sort(entries, function(a, b) return a.name < b.name end)
  out:write("\n", heading, ":\n")
  for _, entry in ipairs(entries) do out:write(("  %-14s %s\n"):format(entry.name, entry.about)) end
end

local function print_all(out)
  out:write("Usage: flake-ctl [-V|--version] [--debug] COMMAND [ARGUMENTS]\n")
  local groups = collect()
  for _, heading in ipairs(HEADINGS) do
    if groups[heading[1]] then print_group(out, heading[2], groups[heading[1]]) end
    groups[heading[1]] = nil
  end
  local rest = {}
  for kind in pairs(groups) do table.insert(rest, kind) end
  table.sort(rest)
  for _, kind in ipairs(rest) do
    print_group(out, kind:sub(1, 1) .. kind:sub(2):lower(), groups[kind])
  end
  out:write("\n`flake-ctl help COMMAND` explains one.\n")
end

local function explain(out, program, command)
  out:write(cli.parser(program, command):get_help(), "\n")
  return 0
end

-- An engine, or a command with verbs.
local function explain_driver(ctx, name, driver, verb)
  local program = ("flake-ctl %s %%s"):format(name)
  if verb then
    local command = driver.commands[verb]
    if command then return explain(ctx.out, program:format(verb), command) end
    return nil, ("%s has no verb '%s'"):format(name, verb), "EUSAGE"
  end
  for _, each in ipairs(cli.verbs(driver)) do
    explain(ctx.out, program:format(each), driver.commands[each])
    ctx.out:write("\n")
  end
  return 0
end

-- An executable explains itself.
local function explain_executable(ctx, name)
  local path = loader.executable(name)
  if not path then return nil, ("there is no command '%s'"):format(name), "EUSAGE" end
  ctx.out:flush()
  return process.exec({ path, "--help" })
end

local function run(opts, ctx)
  local name = opts.command
  if not name then
    print_all(ctx.out)
    return 0
  end
  local command, message = loader.load("commands", name)
  if command and command.commands then return explain_driver(ctx, name, command, opts.verb) end
  if command then return explain(ctx.out, "flake-ctl " .. name, command) end
  if message then return nil, message end
  local driver
  driver, message = loader.load("runtimes", name)
  if driver then return explain_driver(ctx, name, driver, opts.verb) end
  if message then return nil, message end
  return explain_executable(ctx, name)
end

return {
  api = 1,
  about = "List all commands, or explain one.",
  type = "TOOL",
  options = {
    { name = "command", positional = true, optional = true, about = "Command to explain." },
    { name = "verb", positional = true, optional = true, about = "Only this verb of the command." },
  },
  run = run,
}
