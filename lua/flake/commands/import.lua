-- SPDX-License-Identifier: MIT
-- flake-ctl import: the counterpart of `podman export --bundle`.
local cli = require "flake.cli"
local registry = require "flake.registry"

local function run(opts, ctx)
  local name, message, code = registry.dir(opts)
  if not name then return nil, message, code end
  name, message, code = require("flake.bundle").import(opts.file, { root = opts.root,
    user = opts.user, force = opts.force, pilot = ctx.info.bindir .. "/podman-pilot" })
  if not name then return nil, message, code end
  ctx.out:write("imported flake ", name, "\n")
  return 0
end

return {
  api = 1,
  about = "Restore a flake from a bundle that `podman export --bundle` wrote.",
  type = "TOOL",
  options = {
    { name = "file", positional = true, about = "The bundle." },
    { name = "force", flag = true, about = "Replace a flake that exists; never a foreign file." },
    { name = "root", metavar = "DIR", check = cli.absolute_path,
      about = "Fake root for definitions and command links." },
    { name = "user", flag = true, about = "Into the caller's own flakes, not the system's." },
  },
  run = run,
}
