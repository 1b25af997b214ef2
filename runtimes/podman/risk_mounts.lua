-- SPDX-License-Identifier: MIT
-- What options of podman run that name files of the host take away from the isolation of a
-- container. Rules as in risk_rules.lua.
local paths = require "flake.risk_paths"
local risk_words = require "shipped.runtimes.podman.risk_words"

local each, set, FALSE = risk_words.each, risk_words.set, risk_words.FALSE

local RULES = {}

local HOME = set "HOME PWD OLDPWD"

local function judge(source, writable)
  local name = source:match("^%%([A-Z_][A-Z0-9_]*)")
  if name then return HOME[name] and "share" or "weak", "it is the caller's to say" end
  if source:sub(1, 1) ~= "/" then return "share", "below where it is called" end
  return paths.judge(source, writable)
end

-- source: of the host; how: words such as "read-only"; inside: where the container has it, or nil.
local function host_path(add, source, writable, how, inside)
  local level, why = judge(source, writable)
  local at = inside and inside ~= source and (" at %s"):format(inside) or ""
  add(level, ("%s of the host, %s%s%s"):format(source, how, at, why and ": " .. why or ""))
end

-- Modes of a volume that are more than read or write.
local MODES = { U = "its owner is changed", rshared = "mounts go both ways",
  shared = "mounts go both ways", suid = "set-id programs count", dev = "devices count" }

-- SRC:DST[:MODES]; one part alone, or a name, is a volume of podman's own.
RULES.volume = function(add, value)
  local source, inside, modes = value:match("^([^:]*):?([^:]*):?(.*)$")
  local is_own = inside == "" and not source:find("%", 1, true) or not source:match("^[/.%%]")
  if is_own then return end
  local writable = true
  for mode in each(modes) do
    if mode == "ro" or mode == "O" then writable = false end
    if MODES[mode] then add("weak", ("%s of the host: %s"):format(source, MODES[mode])) end
    local upper = mode:match("^upperdir=(.*)") or mode:match("^workdir=(.*)")
    if upper then host_path(add, upper, true, "writable") end
  end
  host_path(add, source, writable, writable and "writable" or "read-only", inside)
end

local function fields_of(value)
  local fields = {}
  for field in (value .. ","):gmatch("([^,]*),") do
    local key, rest = field:match("^([%w_-]+)=?(.*)$")
    if key then fields[key:lower()] = rest end
  end
  fields.source = fields.source or fields.src
  fields.target = fields.target or fields.destination or fields.dst
  return fields
end

local function is_writable(fields)
  local ro = fields.ro or fields.readonly
  local rw = fields.rw and not FALSE[fields.rw]
  return rw or not ro or FALSE[ro] ~= nil
end

local function is_of_host(fields)
  if fields.type == "bind" or fields.type == "glob" then return true end
  local source = fields.source or ""
  return fields.type ~= "image" and source:match("^[/.%%]") ~= nil
end

RULES.mount = function(add, value)
  -- CSV with quotes: what is a field is not sure.
  if value:find('"', 1, true) then return add("open", "a mount that only podman can read") end
  local fields = fields_of(value)
  if fields["volume-opt"] then add("open", "a volume that may be any directory of the host") end
  if is_of_host(fields) then
    local writable, source = is_writable(fields), fields.source or ""
    -- Of a pattern, the directory in which all of it is.
    if fields.type == "glob" then source = source:match("^[^*?%[]*") end
    host_path(add, source, writable, writable and "writable" or "read-only", fields.target)
  end
  if fields.u or fields.chown then add("weak", MODES.U) end
  if (fields["bind-propagation"] or ""):match("shared") then add("weak", MODES.shared) end
end

RULES["volumes-from"] = function(add, value)
  add("weak", ("the volumes of the container %s"):format(value))
end

-- Files of the host that podman reads for it, or writes.
local function reads(add, value) host_path(add, value, false, "read by podman") end

local function writes(add, value)
  local level = judge(value, true)
  add(level == "open" and level or "weak", ("podman writes %s of the host"):format(value))
end

for name in pairs(set [[env-file label-file authfile cert-dir decryption-key hosts-file
  pod-id-file]]) do
  RULES[name] = reads
end
for name in pairs(set "cidfile pidfile conmon-pidfile") do RULES[name] = writes end

RULES["health-log-destination"] = function(add, value)
  if value ~= "local" and value ~= "events_logger" then writes(add, value) end
end

RULES["log-opt"] = function(add, value)
  for entry in each(value) do
    local path = entry:match("^path=(.*)$")
    if path then writes(add, path) end
  end
end

return RULES
