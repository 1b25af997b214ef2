-- SPDX-License-Identifier: MIT
-- The package options of a project: src/options.yaml, and where else they come from.
local builders = require "flake.build.builders"
local fs = require "flake.fs"
local option = require "flake.option"
local places = require "flake.places"
local wizard = require "flake.wizard"
local yaml = require "flake.yaml"

local M = { file = "src/options.yaml" }

--- The options with the checks of a builder; nil: of this host's, if there is one.
function M.list(builder, ctx)
  local known = builder or builders.choose(ctx.info.prefix_root)
  local list = option.merge(option.package, known and known.options)
  -- The name is the command's as well.
  list = option.merge(list, { { name = "name", check = places.check_name } })
  for _, one in ipairs(list) do
    if one.name == "version" then one.suggest = "1.0.0" end
  end
  return list
end

--- The option of that name.
function M.get(list, name)
  for _, one in ipairs(list) do
    if one.name == name then return one end
  end
end

local function files(root)
  local user, list = fs.user(fs.getuid()), {}
  if root then table.insert(list, ("%s/%s"):format(root, M.file)) end
  if user then table.insert(list, user.home .. "/.flakes/package/options.yaml") end
  return list
end

local function warner(ctx)
  return function(message) ctx.err:write("flake-studio: warning: ", message, "\n") end
end

local function plain(list, values)
  local result = {}
  for _, one in ipairs(list) do
    local found = values[option.key(one)]
    result[option.key(one)] = found and found.value or ""
  end
  return result
end

--- For new and init: values from everywhere, then the wizard on a terminal. given: of the command
-- line; root: of a project with options, or nil. Returns {key=value}, or nil, message, code.
function M.ask(list, given, root, ctx)
  local values, message, code = option.resolve(list, given, files(root), warner(ctx))
  if not values then return nil, message, code end
  local problems = option.problems(list, values)
  if #problems > 0 then
    if not wizard.is_possible() then return nil, table.concat(problems, "; "), "EUSAGE" end
    values, message, code = wizard.ask(list, values)
  end
  return values and plain(list, values), message, code
end

--- For build: values from everywhere but the wizard. Returns {key=value}, or nil, message, code.
function M.read(project, builder, ctx)
  local list = M.list(builder, ctx)
  local path = project:path(M.file)
  local values, message, code = option.resolve(list, {}, files(project.root), warner(ctx))
  if not values then return nil, message, code end
  local problems = {}
  for _, one in ipairs(list) do
    local key = option.key(one)
    local found = values[key]
    if found and found.problem then
      table.insert(problems, found.problem)
    elseif one.required and (not found or found.value == "") then
      table.insert(problems, ("%s: '%s' is missing (or %s)"):format(path, key,
        option.variable(one)))
    end
  end
  if #problems > 0 then return nil, table.concat(problems, "; "), "EUSAGE" end
  return plain(list, values)
end

local function line_of(one, value)
  local key = option.key(one)
  if value == "" then return ("#%s:\n"):format(key) end
  return yaml.dump { [key] = value }
end

--- The text of a new options.yaml, or nil, message, code.
function M.text(list, values)
  local parts = { "# Options of the package; PKG_FLAKE_NAME and so on in the environment win.\n" }
  for _, one in ipairs(list) do
    local line, message, code = line_of(one, values[option.key(one)])
    if not line then return nil, message, code end
    table.insert(parts, ("\n# %s\n%s"):format(one.about, line))
  end
  return table.concat(parts)
end

-- Is it the same with something behind it? A flow map cannot grow that way.
local function grew(text, old, added)
  local doc = yaml.load(text, { text = true })
  if type(doc) ~= "table" then return false end
  local seen = {}
  for key, value in pairs(doc) do seen[tostring(key):gsub("-", "_")] = value end
  for key, value in pairs(added) do
    if type(seen[key]) ~= "string" or seen[key]:gsub("\n+$", "") ~= value:gsub("\n+$", "") then
      return false
    end
  end
  for key, found in pairs(old) do
    if seen[key] ~= found.value then return false end
  end
  return true
end

--- The text of an options.yaml with what it does not say yet; nil if nothing is missing.
-- given: of the command line, which must not say otherwise. Returns nil, message, code if that
-- cannot be.
function M.extend(path, list, values, given)
  local old, message, code = option.read_file(path, list, function() end)
  local text
  if old then text, message, code = fs.read(path) end
  if not text then return nil, message, code end
  local added, more = {}, ""
  for _, one in ipairs(list) do
    local key = option.key(one)
    local known = old[key]
    if known and given[key] and given[key] ~= known.value then
      return nil, ("%s: '%s' is '%s': change it there"):format(known.place, key,
        (known.value:gsub("%c", "?"))), "EUSAGE"
    end
    if not known and values[key] ~= "" then
      added[key] = values[key]
      more = more .. line_of(one, values[key])
    end
  end
  if more == "" then return nil end
  local whole = ("%s%s%s"):format(text, text:match("[^\n]$") and "\n" or "", more)
  if grew(whole, old, added) then return whole end
  return nil, ("%s: write these into it:\n  %s"):format(path, (more:gsub("\n(.)", "\n  %1"))),
    "EYAML"
end

return M
