-- SPDX-License-Identifier: MIT
-- Audit log: one line for each launch of a flake, in syslog's format, to /var/log/flakes.log.
-- Install as /etc/flakes/hooks/launch.d/audit.lua. Launches by users who may not write there go to
-- their own ~/.flakes.log instead of being refused.
local fs = require "flake.fs"

local function open_log()
  return io.open("/var/log/flakes.log", "a")
    or assert(io.open(fs.user(fs.getuid()).home .. "/.flakes.log", "a"))
end

return function(event)
  local words = {}
  for i, arg in ipairs(event.args) do words[i] = ("%q"):format(arg):gsub("\n", "n") end
  local line = ("%s uid=%d flake=%s image=%s args=%s\n"):format(os.date("!%Y-%m-%dT%H:%M:%SZ"),
    fs.getuid(), event.flake, event.image, table.concat(words, " "))
  local log <close> = open_log()
  assert(log:write(line))
end
