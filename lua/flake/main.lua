-- SPDX-License-Identifier: MIT
-- Entry of flake-ctl: finds the command, runs it under the one xpcall, reports errors.
local fs = require "flake.fs"
local loader = require "flake.loader"
local output = require "flake.output"
local base = require("flake.text").base

local USAGE = [[
Usage: flake-ctl [-V|--version] [--debug] [-h|--help] COMMAND [ARGUMENTS]

`flake-ctl help` lists the commands, `flake-ctl help COMMAND` explains one.
]]

-- A short hint for errors whose remedy is always the same.
local hints = {
  EACCES = "are you allowed to? system flakes are managed by root, your own with --user",
  ETRUST = "only what root or you alone can change is loaded; see flake-ctl doctor",
  EPERM = "are you allowed to? system flakes are managed by root, your own with --user",
}

local function complain(ctx, message, hint)
  local program = (ctx.program or "flake-ctl") .. ":"
  ctx.err:coloured(program, "red"):write(" ", output.line(message), "\n")
  if hint then ctx.err:write("  ", hint, "\n") end
end

-- Takes the global options in front of the command. linked: the command is in the program's name,
-- so that other options are its own.
local function split_globals(args, ctx, linked)
  local i = 1
  while args[i] and args[i]:sub(1, 1) == "-" do
    local arg = args[i]
    if arg == "--debug" then
      ctx.debug = true
    elseif arg == "-V" or arg == "--version" then
      ctx.show = "version"
    elseif arg == "-h" or arg == "--help" then
      ctx.show = "help"
    elseif linked then
      break
    else
      return nil, ("unknown option '%s'"):format(arg)
    end
    i = i + 1
  end
  return table.move(args, i, #args, 1, {})
end

local function finish(ctx, code, message, name, hint)
  if code ~= nil or message == nil then return code or 0 end
  complain(ctx, message, hint or hints[name])
  return name == "EUSAGE" and 2 or 1
end

local function run_verb(ctx, program, verb, args)
  local cli = require "flake.cli"
  if verb.rewrite then args = verb.rewrite(args) end
  local opts = cli.parse(program, verb, args, ctx.out)
  if not opts then return 0 end
  return finish(ctx, verb.run(opts, ctx))
end

-- What stands in front of a verb: a program of an own name is its command.
local function spelled(ctx, name)
  return ctx.program or "flake-ctl " .. name
end

local function print_verbs(ctx, name, driver)
  ctx.out:write(("Usage: %s VERB [ARGUMENTS]\n\n"):format(spelled(ctx, name)))
  ctx.out:write(driver.about, "\n\nVerbs:\n")
  for _, verb in ipairs(require("flake.cli").verbs(driver)) do
    ctx.out:write(("  %-12s %s\n"):format(verb, driver.commands[verb].about))
  end
  ctx.out:write(("\n`%s VERB --help` explains one.\n"):format(spelled(ctx, name)))
end

-- `NAME --user VERB …` is `NAME VERB --user …`.
local function move_user_flag(args)
  if args[1] ~= "--user" then return end
  table.remove(args, 1)
  if not args[1] or args[1]:sub(1, 1) == "-" then return end
  for i = 2, #args do
    if args[i] == "--user" then return end
    if args[i] == "--" then break end
  end
  table.insert(args, 2, "--user")
end

-- A runtime, or a command with verbs.
local function run_driver(ctx, name, driver, args)
  move_user_flag(args)
  local verb = table.remove(args, 1)
  if verb == nil then
    print_verbs(ctx, name, driver)
    return 2
  end
  if verb == "-h" or verb == "--help" then
    print_verbs(ctx, name, driver)
    return 0
  end
  if verb == "about" then
    ctx.out:write(("%s;%s\n"):format(driver.about, driver.type))
    return 0
  end
  local command = driver.commands[verb]
  if not command then
    local hint = ("see %s --help"):format(spelled(ctx, name))
    complain(ctx, ("%s has no verb '%s'"):format(name, verb), hint)
    return 2
  end
  ctx.driver = driver
  return run_verb(ctx, ("%s %s"):format(spelled(ctx, name), verb), command, args)
end

local function run_executable(ctx, name, args)
  local process = require "flake.process"
  local path = loader.executable(name)
  if not path then return nil end
  ctx.out:flush()
  local _, message = process.exec({ path, table.unpack(args) })
  complain(ctx, message)
  return 126
end

local function dispatch(ctx, args)
  local name = table.remove(args, 1)
  local command, message = loader.load("commands", name)
  if command and command.commands then return run_driver(ctx, name, command, args) end
  if command then return run_verb(ctx, "flake-ctl " .. name, command, args) end
  if message then return finish(ctx, nil, message) end
  local driver
  driver, message = loader.load("runtimes", name)
  if driver then return run_driver(ctx, name, driver, args) end
  if message then return finish(ctx, nil, message) end
  local code = run_executable(ctx, name, args)
  if code then return code end
  complain(ctx, ("there is no command '%s'"):format(name), "see flake-ctl help")
  return 2
end

local function run(ctx, argv0, args)
  local linked = base(argv0):match("^flake%-ctl%-([%w_-]+)$")
  if base(argv0) == "flake-studio" then ctx.program, linked = "flake-studio", "studio" end
  local rest, problem = split_globals(args, ctx, linked)
  if not rest then
    complain(ctx, problem, "see flake-ctl --help")
    return 2
  end
  if ctx.show == "version" then
    ctx.out:write("flake-ctl ", ctx.info.version, "\n")
    return 0
  end
  if linked then table.insert(rest, 1, linked) end
  if ctx.show == "help" and linked then table.insert(rest, "--help") end
  if ctx.show == "help" and not linked then
    ctx.out:write(USAGE)
    return 0
  end
  if #rest == 0 then
    ctx.err:write(USAGE)
    return 2
  end
  return dispatch(ctx, rest)
end

-- Turns whatever was raised into one line (and a traceback if asked for).
local function handler(ctx)
  return function(e)
    local cli = package.loaded["flake.cli"]
    if cli and getmetatable(e) == cli.Usage then
      return { code = 2, message = e.message, hint = e.usage:gsub("\n", "\n  ") }
    end
    local trace = ctx.debug and debug.traceback(tostring(e), 2) or nil
    return { code = 1, message = tostring(e), trace = trace }
  end
end

--- Runs flake-ctl; returns the exit code. info: {share, lib, version, bindir, prefix_root}, and
-- out and err where they are not the standard streams.
return function(argv0, args, info)
  local ctx = { info = info,
    out = output.stream(info.out or io.stdout, not info.out and fs.isatty(1)),
    err = output.stream(info.err or io.stderr, not info.err and fs.isatty(2)) }
  loader.setup(info)
  local ok, result = xpcall(run, handler(ctx), ctx, argv0, args)
  if ok then return result end
  complain(ctx, result.message, result.hint)
  if result.trace then ctx.err:write(result.trace, "\n") end
  return result.code
end
