-- SPDX-License-Identifier: MIT
-- flake-ctl import: the counterpart of `podman export --bundle` and `firecracker export`.
local cli = require "flake.cli"
local registry = require "flake.registry"

local function look(opts, ctx)
  local report, message, code = require("flake.bundle").look(opts.file, { root = opts.root,
    user = opts.user, anywhere = opts.commands_anywhere,
    require_signature = opts.require_signature })
  if not report then return nil, message, code end
  require("flake.bundle_show").print(report, ctx.out)
  return 0
end

local function import(opts, ctx)
  local show = require "flake.bundle_show"
  local function confirm(report)
    if not opts.yes then return show.confirm(report, ctx.err) end
    show.print(report, ctx.err)
    return true
  end
  return require("flake.bundle").import(opts.file, { root = opts.root, user = opts.user,
    force = opts.force, anywhere = opts.commands_anywhere, bindir = ctx.info.bindir,
    require_signature = opts.require_signature, confirm = confirm })
end

local function run(opts, ctx)
  local dir, message, code = registry.dir(opts)
  if not dir then return nil, message, code end
  if opts.show then return look(opts, ctx) end
  local name, engine, reason = import(opts, ctx)
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
    { name = "show", flag = true, about = "Only look: what the flake could do here." },
    { name = "yes", flag = true, about = "Import it without a question, whatever it can do." },
    { name = "commands-anywhere", flag = true,
      about = "Its commands may be outside of directories of commands." },
    { name = "require-signature", multiple = true, metavar = "FILE",
      about = "Public key (GPG, minisign) that must have signed it, and later ones; repeatable." },
    { name = "force", flag = true, about = "Replace a flake that exists; never a foreign file." },
    { name = "root", metavar = "DIR", check = cli.absolute_path,
      about = "Fake root for definitions and command links." },
    { name = "user", flag = true, about = "Into the caller's own flakes, not the system's." },
  },
  run = run,
}
