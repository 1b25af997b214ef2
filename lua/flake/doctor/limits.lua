-- SPDX-License-Identifier: MIT
-- Limits of resources: what podman asks for must not be more than it may give.
local config = require "flake.doctor.config"
local fs = require "flake.fs"
local version_less = require("flake.image").version_less

local M = {}

local CAP_SYS_RESOURCE = 24
-- Without any limit in its configuration podman asks for none. With one it asks for all: for those
-- that are not named with what may be had, as root with this value up to podman 4.8 (4.3 does, 4.9
-- and 5.4 do not).
local PODMAN_DEFAULT, ASKS_LESS = 1048576, "4.9"
local KINDS = { { name = "nofile", title = "Max open files" },
  { name = "nproc", title = "Max processes" } }

-- The value of a line of a file in /proc/self; nil: there is none.
local function proc_value(file, pattern)
  return (fs.read("/proc/self/" .. file) or ""):match("\n" .. pattern)
end

-- May this process raise hard limits?
local function may_raise()
  local mask = proc_value("status", "CapEff:%s*(%x+)")
  return mask ~= nil and tonumber(mask, 16) >> CAP_SYS_RESOURCE & 1 == 1
end

local function hard_limit(kind)
  local text = proc_value("limits", kind.title .. "%s+%w+%s+(%w+)")
  return tonumber(text) or math.huge
end

-- The hard limits that containers.conf asks for: {nofile=, nproc=}. -1 is without limit.
local function configured()
  local found = {}
  for _, file in ipairs(config.files()) do
    local list = config.text(file):match("\n%s*default_ulimits%s*=%s*(%b[])")
    if list then found = {} end
    for name, value in (list or ""):gmatch('"(%w+)=([%d:-]+)"') do
      local hard = tonumber(value:match("(-?%d+)$"))
      found[name] = hard and hard >= 0 and hard or math.huge
    end
  end
  return found
end

--- The limits of containers, which the OCI runtime cannot set above ours without
-- CAP_SYS_RESOURCE: then no container starts. info: of the engine.
function M.containers(add, info)
  if may_raise() then return end
  local asked = configured()
  local old = not info.version or version_less(info.version, ASKS_LESS)
  local asks_for_all = next(asked) ~= nil and fs.getuid() == 0 and old
  local wrong, remedy = {}, {}
  for _, kind in ipairs(KINDS) do
    local hard = hard_limit(kind)
    local wanted = asked[kind.name] or asks_for_all and PODMAN_DEFAULT or 0
    if wanted > hard then
      table.insert(wrong, ("%s %.0f, %.0f are allowed"):format(kind.name, wanted, hard))
    end
    local value = math.min(hard, PODMAN_DEFAULT)
    table.insert(remedy, ('"%s=%.0f:%.0f"'):format(kind.name, value, value))
  end
  if #wrong > 0 then
    add("serious", ("podman cannot set the limits of containers: it wants %s")
      :format(table.concat(wrong, "; ")),
      ("in [containers] of /etc/containers/containers.conf: default_ulimits = [%s]")
        :format(table.concat(remedy, ", ")))
  end
end

--- Limits that are low for anything.
function M.low(add)
  local hard = hard_limit(KINDS[1])
  if hard < 1024 then
    add("warning", ("only %.0f files may be open"):format(hard), "raise nofile in limits.conf(5)")
  end
end

return M
