-- SPDX-License-Identifier: MIT
-- Desktop entries of an image for the host (Desktop Entry Specification): the program becomes the
-- host's command, and only keys of the specification that mean the same outside stay.
local M = {}

local KEYS, LOCALIZED = {}, { Name = true, GenericName = true, Comment = true, Keywords = true }
for key in ([[Type Version Name GenericName NoDisplay Comment Icon OnlyShowIn NotShowIn TryExec Exec
  Terminal Actions MimeType Categories Keywords StartupNotify StartupWMClass PrefersNonDefaultGPU
  SingleMainWindow]]):gmatch("%S+") do KEYS[key] = true end

local function is_text(value)
  return utf8.len(value) and not value:find("%c")
end

local function takes(group, key, locale, value)
  return KEYS[key] and is_text(value) and not group.value[key .. locale]
    and (locale == "" or LOCALIZED[key] and locale:match("^%[.+%]$"))
end

-- Array of {name=, keys={{key=, locale=, value=}, …}, value={[key]=value}} in the file's order; of
-- keys that are there twice the first.
local function parse(text)
  local groups, group = {}, nil
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    local name = line:match("^%[([^%[%]]+)%]%s*$")
    local key, locale, value = line:match("^([%w-]+)(%[?[%w@._-]*%]?)%s*=%s*(.-)%s*$")
    if name then
      group = { name = name, keys = {}, value = {} }
      table.insert(groups, group)
    elseif group and key and takes(group, key, locale, value) then
      table.insert(group.keys, { key = key, locale = locale, value = value })
      group.value[key .. locale] = value
    end
  end
  return groups
end

-- Program and rest of an Exec line. A quoted program with escapes in it is none we know, nor is one
-- that goes on behind its quotes: desktops cut at blanks.
local function split_exec(exec)
  local program, rest = exec:match('^"([^"\\]+)"(.*)$')
  if not program then program, rest = exec:match('^([^%s"]+)(.*)$') end
  if program and rest:find("^%s") or rest == "" then return program, rest end
end

-- Some desktops give what looks like shell to a shell: only arguments that are text for all.
local function is_harmless(args)
  return not args:gsub('"[^"\\$`]*"', ""):find("[^%w%s@%%+=:,./_-]")
end

local function starts(exec, program)
  local first, args = split_exec(exec or "")
  return first ~= nil and first:match("([^/]*)$") == program and is_harmless(args)
end

--- Path as the first argument of Exec: quoted where needed, and then escaped as all texts are.
function M.quote(path)
  path = path:gsub("%%", "%%%%")
  if not path:find("[%s\"'\\><~|&;$*?#()`]") then return path end
  return (('"' .. path:gsub('[\\"`$]', "\\%0") .. '"'):gsub("\\", "\\\\"))
end

-- Drops actions that start something else than the program: the host may have a command of that
-- name.
local function ours(groups, program)
  local kept, actions = { groups[1] }, {}
  for i = 2, #groups do
    local action = groups[i].name:match("^Desktop Action ([%w-]+)$")
    if action and starts(groups[i].value.Exec, program) then
      table.insert(kept, groups[i])
      actions[action] = true
    end
  end
  return kept, actions
end

local function keep_actions(list, actions)
  return (list:gsub("([^;]*);?", function(name) return actions[name] and name .. ";" or "" end))
end

local function new_value(entry, to, actions)
  if entry.key == "Exec" then
    return M.quote(to.app) .. select(2, split_exec(entry.value))
  elseif entry.key == "TryExec" then
    return (to.app:gsub("\\", "\\\\"))
  elseif entry.key == "Icon" then
    return to.icon(entry.value)
  elseif entry.key == "Actions" then
    return keep_actions(entry.value, actions)
  end
  return entry.value
end

--- The entry for the host, or nil if it does not start the program.
-- to: {program=base name in the image, app=path on the host, icon=function(name) → name or nil}
function M.rewrite(text, to)
  local groups = parse(text)
  local main = groups[1]
  if not main or main.name ~= "Desktop Entry" or main.value.Type ~= "Application"
    or not starts(main.value.Exec, to.program) then return nil end
  local kept, actions = ours(groups, to.program)
  local out = {}
  for _, group in ipairs(kept) do
    table.insert(out, ("[%s]"):format(group.name))
    for _, entry in ipairs(group.keys) do
      local value = new_value(entry, to, actions)
      if value then
        table.insert(out, ("%s%s=%s"):format(entry.key, entry.locale, value))
      end
    end
    table.insert(out, "")
  end
  return table.concat(out, "\n")
end

return M
