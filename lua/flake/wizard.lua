-- SPDX-License-Identifier: MIT
-- Asks for options on the terminal: default shown, input checked on the spot, a summary to confirm.
-- Nothing is written before it is confirmed, so that leaving it in any way leaves nothing.
local fs = require "flake.fs"
local option = require "flake.option"
local output = require "flake.output"

local M = {}

--- Is there somebody to ask?
function M.is_possible()
  return fs.isatty(0) and fs.isatty(2)
end

local function printable(text)
  return output.printable((text:gsub("\n.*", " …")))
end

local function say(ask, ...)
  ask.err:write(...)
  ask.err:flush()
end

-- One line; nil, message, code at the end of input.
local function read_line(ask)
  local line = ask.input:read("L")
  if line and line:sub(-1) == "\n" then return (line:gsub("^%s+", ""):gsub("%s+$", "")) end
  say(ask, "\n")
  return nil, "cancelled, nothing was made", "ECANCELED"
end

-- Asks until the answer is good. Returns the value, or nil, message, code.
local function ask_one(ask, one, default)
  repeat
    local about = one.about:gsub("%.$", "")
    say(ask, about, default and default ~= "" and (" [%s]"):format(printable(default)) or "",
      not one.required and default == "" and " (may be empty)" or "", ": ")
    local line, message, code = read_line(ask)
    if not line then return nil, message, code end
    local answer = line == "" and default or line
    local value, why
    if answer == "" and one.required then
      why = "must not be empty"
    else
      value, why = option.accept(one, answer)
    end
    if value then return value end
    say(ask, "  ", why, "\n")
  until false
end

local function update(ask, one)
  local key = option.key(one)
  local known = ask.values[key]
  local value, message, code = ask_one(ask, one, known and not known.problem and known.value
    or one.suggest or "")
  if not value then return nil, message, code end
  ask.values[key] = { value = value, source = "answer" }
  return true
end

local function summary(ask)
  say(ask, "\n")
  for i, row in ipairs(option.rows(ask.list, ask.values)) do
    say(ask, ("%3d  %-17s %s\n"):format(i, row.option, printable(row.value or "")))
  end
end

-- Until the summary is confirmed. Returns true, or nil, message, code.
local function confirm(ask)
  repeat
    summary(ask)
    say(ask, "\nIs this right? y: yes, n: no, leave it; or the number to change: ")
    local line, message, code = read_line(ask)
    if not line then return nil, message, code end
    local one = ask.list[math.tointeger(tonumber(line)) or 0]
    if line:lower() == "y" or line:lower() == "yes" then return true end
    if line:lower() == "n" or line:lower() == "no" then
      return nil, "cancelled, nothing was made", "ECANCELED"
    end
    if one then
      local ok
      ok, message, code = update(ask, one)
      if not ok then return nil, message, code end
    else
      say(ask, ("  '%s' is neither y nor n nor one of the numbers\n"):format(printable(line)))
    end
  until false
end

--- Asks a question that has the answers y and n. io: {input=, err=}, for tests.
-- Returns true, or nil, message, "ECANCELED".
function M.confirm(question, io_)
  local ask = { input = io_ and io_.input or io.stdin, err = io_ and io_.err or io.stderr }
  repeat
    say(ask, question, ": ")
    local line, message, code = read_line(ask)
    if not line then return nil, message, code end
    if line:lower() == "y" or line:lower() == "yes" then return true end
    if line:lower() == "n" or line:lower() == "no" then
      return nil, "cancelled, nothing was made", "ECANCELED"
    end
  until false
end

--- Asks for what values (as of option.resolve) do not hold yet, or hold by default only; then all
-- of it is shown to be confirmed. io: {input=, err=}, for tests.
-- Returns values, or nil, message, "ECANCELED".
function M.ask(list, values, io_)
  local ask = { list = list, values = values, input = io_ and io_.input or io.stdin,
    err = io_ and io_.err or io.stderr }
  local asked = false
  for _, one in ipairs(list) do
    local known = values[option.key(one)]
    if known and known.problem then say(ask, "  ", printable(known.problem), "\n") end
    if not known or known.problem or known.source == "default" then
      asked = true
      local ok, message, code = update(ask, one)
      if not ok then return nil, message, code end
    end
  end
  if not asked then return values end
  local ok, message, code = confirm(ask)
  return ok and values, message, code
end

return M
