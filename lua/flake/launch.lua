-- SPDX-License-Identifier: MIT
-- Entry of flake-launch: launches with hooks, and of engines that have no pilot.
-- It is called as the pilot was: argv0 is the command's link, args the app's.
local hooks = require "flake.hooks"
local loader = require "flake.loader"
local output = require "flake.output"
local pilot = require "flake.pilot"
local process = require "flake.process"

local REFUSED, NOT_FOUND, ENGINE = 126, 127, 125

local function complain(name, message, code)
  io.stderr:write(name, ": ", output.line(message), "\n")
  return code
end

-- For %debug: what runs, in this order.
local function show(...)
  for _, argv in ipairs { ... } do
    local words = {}
    for i, word in ipairs(argv) do words[i] = output.printable(word) end
    if #argv > 0 then io.stderr:write("+ ", table.concat(words, " "), "\n") end
  end
end

-- What a launch hook sees and may change; `plan` keeps what it may not.
local function event_of(plan)
  return { flake = plan.flake, args = plan.args, env = plan.env, options = plan.options,
    instance = plan.instance, user = plan.user, image = plan.image, command = plan.command,
    mounts = plan.mounts, workdir = plan.workdir, run_user = plan.run_user }
end

local function apply(plan, event)
  plan.args, plan.env, plan.options = event.args, event.env, event.options
  plan.user, plan.mounts = event.user, event.mounts
  plan.workdir, plan.run_user = event.workdir, event.run_user
  return plan
end

local function status_code(status)
  return status.signal and 128 + status.signal or status.code
end

-- Runs a plan whose program is the app's own, or its engine's. Returns the status, or nil, message.
local function run_program(plan)
  local message, status
  plan, message = pilot.ready(plan)
  if not plan then return nil, message end
  local env = pilot.environment(plan)
  status, message = process.supervise(plan.argv, { env = env, clear_env = env ~= nil })
  if status and plan.remove and (plan.resume or plan.attach) then
    local ended, why = pilot.finish(plan)
    if not ended then complain(plan.command, why, ENGINE) end
  end
  return status, message
end

-- Stays as parent, for the exit hooks.
local function run_and_report(plan, name, opts)
  local began = process.clock()
  local status, message
  if plan.stays and not plan.user then
    status, message = pilot.supervise(plan)
  else
    status, message = run_program(plan)
  end
  if not status then return complain(name, message, ENGINE) end
  local event = { flake = plan.flake, command = plan.command, instance = plan.instance,
    status = status_code(status), seconds = process.clock() - began, usage = status.usage }
  local ok, why = hooks.run("exit", event, opts)
  if not ok then complain(name, why, 0) end
  return status_code(status)
end

-- An engine whose driver launches by itself.
local function run_driver(plan, name)
  local driver, message = loader.load("runtimes", plan.engine)
  if not driver then
    return complain(name, message or ("there is no engine '%s'"):format(plan.engine), REFUSED)
  end
  if not driver.launch then
    return complain(name, ("engine '%s' has no launch function"):format(plan.engine), REFUSED)
  end
  if plan.debug and driver.explain then show(driver.explain(plan)) end
  local code
  code, message = driver.launch(plan)
  if code then return code end
  return complain(name, message or "the engine did not start", ENGINE)
end

local function launch(argv0, name, args)
  local plan, message, code = pilot.plan(argv0, args)
  if not plan then
    return complain(name, message, code == "ENOENT" and NOT_FOUND or REFUSED)
  end
  local opts = { own = plan.own, flake_dir = plan.files[1]:gsub("%.yaml$", ".d") }
  local event = event_of(plan)
  local ok
  ok, message = hooks.run("launch", event, opts)
  if not ok then return complain(name, message, REFUSED) end
  apply(plan, event)
  if #plan.argv == 0 and not plan.socket then return run_driver(plan, name) end
  plan, message = pilot.compose(plan)
  if not plan then return complain(name, message, REFUSED) end
  if plan.debug then show(plan.prepare, plan.start, plan.argv) end
  local leave
  leave, message = hooks.files("exit", opts)
  if not leave then return complain(name, message, REFUSED) end
  if #leave > 0 then return run_and_report(plan, name, opts) end
  code, message = pilot.run(plan)
  return code or complain(name, message, ENGINE)
end

--- Runs flake-launch; returns the exit code.
return function(argv0, args, info)
  loader.setup(info)
  local name = argv0:match("([^/]*)$")
  if name == "" or name == "flake-launch" then
    return complain("flake-launch", "launches flakes with hooks; it is started by the pilots", 1)
  end
  local ok, result = xpcall(launch, function(e) return tostring(e) end, argv0, name, args)
  if ok then return result end
  return complain(name, result, REFUSED)
end
