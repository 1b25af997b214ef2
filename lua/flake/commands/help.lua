-- SPDX-License-Identifier: MIT
-- flake-ctl help [COMMAND]: everything there is, grouped by type.
local cli = require "flake.cli"
local loader = require "flake.loader"
local process = require "flake.process"

local HEADINGS = { { "ENGINE", "Engines" }, { "PACKAGER", "Packagers" }, { "TOOL", "Tools" } }
local PATIENCE = 1 -- seconds an executable has to answer `about`

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
    table.insert(groups[kind], { name = name, about = (about:gsub("%c", "?")) })
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

local function run(opts, ctx)
  if not opts.command then
    print_all(ctx.out)
    return 0
  end
  local command, message = loader.load("commands", opts.command)
  if command and not command.commands then
    ctx.out:write(cli.parser("flake-ctl " .. opts.command, command):get_help(), "\n")
    return 0
  end
  if message and not command then return nil, message end
  local driver, why = command, nil
  if not driver then driver, why = loader.load("runtimes", opts.command) end
  if not driver then
    return nil, why or ("there is no command '%s'"):format(opts.command), "EUSAGE"
  end
  for _, verb in ipairs(cli.verbs(driver)) do
    local program = ("flake-ctl %s %s"):format(opts.command, verb)
    ctx.out:write(cli.parser(program, driver.commands[verb]):get_help(), "\n\n")
  end
  return 0
end

return {
  api = 1,
  about = "List all commands, or explain one.",
  type = "TOOL",
  options = {
    { name = "command", positional = true, optional = true, about = "Command to explain." },
  },
  run = run,
}
