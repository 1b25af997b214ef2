-- SPDX-License-Identifier: MIT
-- Package options. One declaration {name, about, default, required, check, clean, suggest, private}
-- yields --name, PKG_FLAKE_NAME, the key of options.yaml and the wizard's question. check(value)
-- returns true or nil, reason; clean(value) the value as it is used; suggest: the wizard's
-- proposal; private: command line and wizard only.
local fs = require "flake.fs"
local process = require "flake.process"
local yaml = require "flake.yaml"

local M = {}

local LINE_MAX, TEXT_MAX, SYNOPSIS_MAX = 250, 64 << 10, 80

local function check_text(value, limit)
  if value == "" then return nil, "must not be empty" end
  if not utf8.len(value) then return nil, "is not UTF-8" end
  if #value > limit then return nil, ("is longer than %d bytes"):format(limit) end
  return true
end

--- One line of UTF-8 without control characters.
function M.check_line(value)
  local ok, why = check_text(value, LINE_MAX)
  if not ok then return nil, why end
  if value:find("%c") or value:find("\xc2[\x80-\x9f]") then
    return nil, "must be one line without control characters"
  end
  if value:match("^%s") or value:match("%s$") then return nil, "begins or ends with a blank" end
  return true
end

local function check_description(value)
  local ok, why = check_text(value, TEXT_MAX)
  if not ok then return nil, why end
  if value:gsub("[\n\t]", ""):find("%c") then return nil, "must not hold control characters" end
  local synopsis = value:match("^[^\n]*")
  if synopsis:match("^%s*$") then return nil, "its first line must say what it is" end
  if utf8.len(synopsis) > SYNOPSIS_MAX then
    return nil, ("its first line is longer than %d characters"):format(SYNOPSIS_MAX)
  end
  return true
end

local function check_person(value)
  local ok, why = M.check_line(value)
  if not ok then return nil, why end
  if value:find("[<>,]") then return nil, "must not hold < > or a comma" end
  return true
end

local function check_email(value)
  local ok, why = M.check_line(value)
  if not ok then return nil, why end
  if value:match("^[%w._%%+'-]+@[%w][%w-]*%.?[%w.-]*%w$") and not value:find("..", 1, true) then
    return true
  end
  return nil, "must be of the form name@example.org"
end

local function clean_url(value)
  return value:match("^%a[%w+.-]*://") and value or "https://" .. value
end

local function check_url(value)
  local ok, why = M.check_line(value)
  if not ok then return nil, why end
  local host, rest = clean_url(value):match("^https?://([^/?#]+)(.*)$")
  if host and host:match("^[%w][%w.:-]*$") and not rest:find("[%s\"'<>\\^`{|}$]") then
    return true
  end
  return nil, "must be an address of http or https"
end

--- The package options, in the order of the questions.
M.package = {
  { name = "name", about = "Name of the package.", required = true, check = M.check_line },
  { name = "version", about = "Version of the package.", required = true, check = M.check_line },
  { name = "description", about = "What it is: one line, further lines may follow.",
    required = true, check = check_description },
  { name = "url", about = "Home page.", default = "", check = check_url, clean = clean_url },
  { name = "maintainer-name", about = "Name of the maintainer.", required = true,
    check = check_person },
  { name = "maintainer-email", about = "Mail address of the maintainer.", required = true,
    check = check_email },
  { name = "license", about = "Licence of the application, such as MIT.", required = true,
    check = M.check_line },
}

--- The key of an option in tables and files.
function M.key(option)
  return (option.name:gsub("-", "_"))
end

--- The environment variable of an option.
function M.variable(option)
  return "PKG_FLAKE_" .. M.key(option):upper()
end

--- The list with what `more` (the same kind of list) adds: checks hold together.
function M.merge(list, more)
  local merged, at = {}, {}
  for i, option in ipairs(list) do
    merged[i] = setmetatable({}, { __index = option })
    at[option.name] = merged[i]
  end
  for _, extra in ipairs(more or {}) do
    local known = at[extra.name]
    if not known then
      table.insert(merged, setmetatable({}, { __index = extra }))
    else
      local first, second = known.check, extra.check
      for key, value in pairs(extra) do known[key] = value end
      known.check = first and second and function(value)
        local ok, why = first(value)
        if ok then return second(value) end
        return nil, why
      end or first or second
    end
  end
  return merged
end

-- Where key stands in a file, for messages.
local function place(path, text, key)
  local number = 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local found = line:match("^[\"']?([%w_-]+)[\"']?%s*:")
    if found and found:gsub("-", "_") == key then return ("%s:%d"):format(path, number) end
  end
  return path
end

local function read_values(path, text, known, warn)
  local doc, message, code = yaml.load(text, { name = path, text = true })
  if message then return nil, message, code end
  if doc == nil or doc == yaml.null then return {} end
  if type(doc) ~= "table" or yaml.is_list(doc) then
    return nil, ("%s:1: must be a map of options"):format(path), "EYAML"
  end
  local values = {}
  for key, value in pairs(doc) do
    local name = tostring(key):gsub("-", "_")
    local at = place(path, text, name)
    if not known[name] then
      warn(("%s: unknown option '%s'"):format(at, (tostring(key):gsub("%c", "?"))))
    elseif type(value) == "string" then
      values[name] = { value = value, source = path, place = at }
    elseif value ~= yaml.null then
      return nil, ("%s: '%s' must be text"):format(at, key), "EYAML"
    end
  end
  return values
end

--- Reads a file of options. Returns {[key]={value=, source=, place=file:line}}, an empty table if
-- there is none, or nil, message, code.
function M.read_file(path, list, warn)
  local text, message, code = fs.read(path, { limit = 1 << 20 })
  if not text then
    if code == "ENOENT" or code == "ENOTDIR" then return {} end
    return nil, message, code
  end
  local known = {}
  for _, option in ipairs(list) do known[M.key(option)] = not option.private end
  return read_values(path, text, known, warn)
end

--- The files of options, highest first.
function M.files()
  local user = fs.user(fs.getuid())
  local files = { "./.flakes/package/options.yaml" }
  if user then table.insert(files, user.home .. "/.flakes/package/options.yaml") end
  return files
end

local function from_environment(option)
  local value = process.getenv(M.variable(option))
  if not value or value == "" then return nil end
  return { value = value, source = M.variable(option), place = M.variable(option) }
end

-- An empty value is none.
local function first(option, given, files)
  local key = M.key(option)
  if given[key] and given[key] ~= "" then
    return { value = given[key], source = "command line", place = "--" .. option.name }
  end
  local found = not option.private and from_environment(option)
  for _, values in ipairs(files) do
    if not found and values[key] and values[key].value ~= "" then found = values[key] end
  end
  if found then return found end
  if option.default ~= nil then return { value = option.default, source = "default" } end
end

--- Checks a value. Returns it as it is used, or nil, reason.
function M.accept(option, value)
  if value == "" and not option.required then return "" end
  local ok, why = true, nil
  if option.check then ok, why = option.check(value) end
  if not ok then return nil, why end
  return option.clean and option.clean(value) or value
end

--- Finds the values of all options. given: {[key]=value} of the command line; files: paths.
-- Returns {[key]={value=, source=, problem=}} (no entry: missing), or nil, message, code.
function M.resolve(list, given, files, warn)
  local read, values = {}, {}
  for i, path in ipairs(files) do
    local message, code
    read[i], message, code = M.read_file(path, list, warn)
    if not read[i] then return nil, message, code end
  end
  for _, option in ipairs(list) do
    local found = first(option, given, read)
    if found then
      -- What a block of YAML has at its end is no part of it.
      local value, why = M.accept(option, (found.value:gsub("\n+$", "")))
      values[M.key(option)] = { value = value or found.value, source = found.source,
        problem = not value and ("%s: %s"):format(found.place or option.name, why) or nil }
    end
  end
  return values
end

--- What is missing or refused, as messages; empty if all is there.
function M.problems(list, values)
  local problems = {}
  for _, option in ipairs(list) do
    local found = values[M.key(option)]
    if found and found.problem then
      table.insert(problems, found.problem)
    elseif option.required and (not found or found.value == "") then
      table.insert(problems, option.private and ("--%s is missing"):format(option.name)
        or ("--%s is missing (or %s, or the key %s in options.yaml)"):format(option.name,
          M.variable(option), M.key(option)))
    end
  end
  return problems
end

--- Rows {option=, value=, source=, problem=} for people and scripts.
function M.rows(list, values)
  local rows = {}
  for i, option in ipairs(list) do
    local found = values[M.key(option)] or { source = "missing" }
    rows[i] = { option = option.name, value = found.value, source = found.source,
      problem = found.problem }
  end
  return rows
end

return M
