-- SPDX-License-Identifier: MIT
-- From option tables to a parser (lua-argparse), help and usage errors.
-- An option: {name, about, default, required, check, show, flag, multiple, dash_values, positional,
-- optional, short, choices, words, metavar}. check(value) returns true or nil, reason; show(value)
-- is the value for messages; words are the choices of a list WORD,WORD.
local argparse = require "argparse"

local M = {}

--- Raised for wrong usage; main prints it and exits 2.
M.Usage = {}

local function usage_error(parser, message)
  error(setmetatable({ message = message, usage = parser:get_usage() }, M.Usage), 0)
end

local function target(option)
  return (option.name:gsub("-", "_"))
end

local function add_positional(parser, option)
  local argument = parser:argument(target(option), option.about)
  argument:args(option.multiple and (option.optional and "*" or "+")
    or option.optional and "?" or 1)
  argument._name = option.metavar or option.name:upper()
  argument:target(target(option))
  if option.choices then argument:choices(option.choices) end
end

local function add_option(parser, option)
  local spec = "--" .. option.name
  if option.short then spec = "-" .. option.short .. " " .. spec end
  if option.alias then spec = spec .. " --" .. option.alias end
  if option.flag then
    parser:flag(spec, option.about):target(target(option))
    return
  end
  local made = parser:option(spec, option.about):target(target(option))
  made:argname(option.metavar or "<" .. option.name .. ">")
  if option.multiple then made:count("*") elseif option.required then made:count(1) end
  if option.default ~= nil then made:default(option.default) end
  if option.choices then made:choices(option.choices) end
end

--- A parser for a command table {about, options}; program stands in usage lines.
function M.parser(program, command)
  local parser = argparse(program, command.about, command.epilog)
  parser:help_max_width(100)
  for _, option in ipairs(command.options or {}) do
    if option.positional then add_positional(parser, option) else add_option(parser, option) end
  end
  parser.error = usage_error
  return parser
end

-- Values of dash_values options may begin with '-', and more of them with '\-' may follow.
local function join_dash_values(command, args)
  local takes = {}
  for _, option in ipairs(command.options or {}) do
    if option.dash_values then takes["--" .. option.name] = true end
  end
  local out, i = {}, 1
  while i <= #args do
    local arg = args[i]
    if arg == "--" then
      table.move(args, i, #args, #out + 1, out)
      break
    end
    if takes[arg] and args[i + 1] then
      repeat
        i = i + 1
        table.insert(out, arg .. "=" .. args[i])
      until not (args[i + 1] and args[i + 1]:sub(1, 2) == "\\-")
    else
      table.insert(out, arg)
    end
    i = i + 1
  end
  return out
end

local function check_words(words, value)
  for word in (value .. ","):gmatch("([^,]*),") do
    local known = false
    for _, candidate in ipairs(words) do known = known or candidate == word end
    if not known then
      return nil, ("'%s' is none of %s"):format(word, table.concat(words, ", "))
    end
  end
  return true
end

local function check_of(option)
  return option.check or option.words and function(value)
    return check_words(option.words, value)
  end
end

local function check_values(parser, command, opts)
  for _, option in ipairs(command.options or {}) do
    local value = opts[target(option)]
    local check = check_of(option)
    if check and value ~= nil then
      for _, v in ipairs(type(value) == "table" and value or { value }) do
        local ok, why = check(v)
        if not ok then
          local name = option.positional and option.name:upper() or "--" .. option.name
          local shown = option.show and option.show(v) or v
          usage_error(parser, ("%s '%s': %s"):format(name, shown, why))
        end
      end
    end
  end
end

--- Parses args for a command; wrong usage raises a M.Usage object. --help prints and returns nil.
function M.parse(program, command, args, out)
  local parser = M.parser(program, command)
  for _, arg in ipairs(args) do
    if arg == "--" then break end
    if arg == "-h" or arg == "--help" then
      out:write(parser:get_help(), "\n")
      return nil
    end
  end
  local opts = parser:parse(join_dash_values(command, args))
  check_values(parser, command, opts)
  return opts
end

--- Sorted names of a driver's verbs.
function M.verbs(driver)
  local verbs = {}
  for verb in pairs(driver.commands) do table.insert(verbs, verb) end
  table.sort(verbs)
  return verbs
end

--- check functions for option tables.
function M.not_empty(value)
  if value == "" then return nil, "must not be empty" end
  return true
end

-- As podman takes it: a name, a digest or an id, never an option.
function M.image(value)
  if value:match("^%-") then return nil, "must not begin with -" end
  if value:find("[%c ]") then return nil, "must not hold blanks or control characters" end
  return M.not_empty(value)
end

function M.instance(value)
  return value:match("^@[%w_=-]+$") and true or nil, "must be of the form @NAME"
end

function M.absolute_path(value)
  if value:sub(1, 1) ~= "/" then return nil, "must be an absolute path" end
  if value:find("%c") then return nil, "must not hold control characters" end
  if ("/" .. value .. "/"):find("/%.%.?/") then return nil, "must not hold . or .. parts" end
  return true
end

return M
