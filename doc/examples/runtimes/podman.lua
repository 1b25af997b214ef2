-- SPDX-License-Identifier: MIT
-- The podman driver with a site's default: every new flake drops all capabilities.
-- Install as /etc/flakes/runtimes/podman.lua.
local podman = require "shipped.runtimes.podman"

local register = podman.commands.register
local shipped_run = register.run

function register.run(opts, ctx)
  table.insert(opts.opt, 1, "--cap-drop all")
  return shipped_run(opts, ctx)
end

return podman
