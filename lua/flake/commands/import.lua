-- SPDX-License-Identifier: MIT
-- flake-ctl import: the counterpart of `podman export --bundle` and `firecracker export`.
local cli = require "flake.cli"
local registry = require "flake.registry"

local function run(opts, ctx)
  local dir, message, code = registry.dir(opts)
  if not dir then return nil, message, code end
  local name, engine, reason = require("flake.bundle").import(opts.file, { root = opts.root,
    user = opts.user, force = opts.force, bindir = ctx.info.bindir })
  if not name then return nil, engine, reason end
  ctx.out:write("imported flake ", name, "\n")
  if engine == "firecracker" and not opts.root then
    return require("shipped.runtimes.firecracker.imported")(name, opts, ctx)
  end
  return 0
end

return {
  api = 1,
  about = "Restore a flake from a bundle that export of its engine wrote.",
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
