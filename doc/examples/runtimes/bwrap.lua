-- SPDX-License-Identifier: MIT
-- A complete runtime without a pilot in C: applications in a folder, run by bubblewrap.
-- Install as /etc/flakes/runtimes/bwrap.lua, then:
--   flake-ctl bwrap register --folder /srv/box --app /usr/bin/tool --target /bin/tool
local cli = require "flake.cli"
local fs = require "flake.fs"
local process = require "flake.process"
local registry = require "flake.registry"
local yaml = require "flake.yaml"

local ROOT = { name = "root", metavar = "DIR", check = cli.absolute_path,
  about = "Fake root for definitions and command links." }

local function register(opts, ctx)
  local st = fs.stat(opts.folder)
  if not st or st.type ~= "directory" then
    return nil, ("%s is no directory"):format(opts.folder), "ENOENT"
  end
  local name = opts.app:match("([^/]*)$")
  local doc = {
    version = 2,
    runtime = { name = opts.folder, path_map = { [opts.app] = { exports = opts.target } } },
    engine = { pilot = "bwrap", args = yaml.list {} },
  }
  local ok, message, code = registry.register({ name = name, engine = "bwrap",
    image = opts.folder, apps = { { path = opts.app, target = opts.target } }, doc = doc },
    { root = opts.root, force = opts.force, pilot = ctx.info.lib .. "/flake-launch" })
  if not ok then return nil, message, code end
  return 0
end

local function export(opts)
  local flake, message, code = registry.find(opts.name, { root = opts.root })
  if not flake then return nil, message, code end
  local ok
  ok, message, code = require("flake.archive").create(opts.target, flake.image,
    { format = "tar", compression = "gzip" })
  if not ok then return nil, message, code end
  return 0
end

local function remove(opts)
  local ok, message, code = registry.remove(opts.app:match("([^/]*)$"), { root = opts.root })
  if not ok then return nil, message, code end
  return 0
end

-- What a plan means for bubblewrap: `flake-ctl explain` and %debug show it.
local function argv_of(plan)
  local argv = { "bwrap", "--bind", plan.image, "/", "--dev", "/dev", "--proc", "/proc",
    "--tmpfs", "/tmp", "--unshare-all", "--die-with-parent" }
  for name, value in pairs(plan.env) do
    table.move({ "--setenv", name, value }, 1, 3, #argv + 1, argv)
  end
  table.move(plan.options, 1, #plan.options, #argv + 1, argv)
  table.insert(argv, "--")
  table.insert(argv, plan.target)
  table.move(plan.args, 1, #plan.args, #argv + 1, argv)
  return argv
end

-- Called by flake-launch with the plan; becomes bubblewrap, or returns nil, message.
local function launch(plan)
  return process.exec(argv_of(plan))
end

return {
  api = 1,
  name = "bwrap",
  about = "Applications in a folder, run by bubblewrap",
  type = "ENGINE",
  launch = launch,
  explain = argv_of,
  commands = {
    register = {
      about = "Make a command of an application in a folder.",
      options = {
        { name = "folder", required = true, metavar = "DIR", check = cli.absolute_path,
          about = "Folder that becomes the application's root." },
        { name = "app", required = true, metavar = "PATH", check = cli.absolute_path,
          about = "Absolute path of the command on the host." },
        { name = "target", required = true, metavar = "PATH", check = cli.absolute_path,
          about = "Program inside the folder." },
        { name = "force", flag = true, about = "Replace a flake that exists." },
        ROOT,
      },
      run = register,
    },
    export = {
      about = "Write the folder of a flake to a compressed archive.",
      options = {
        { name = "name", positional = true, about = "Name of the flake." },
        { name = "target", positional = true, about = "Archive to write." },
        ROOT,
      },
      run = export,
    },
    remove = {
      about = "Remove a flake; the folder stays.",
      options = {
        { name = "app", required = true, metavar = "PATH", check = cli.absolute_path,
          about = "Command of the flake." },
        ROOT,
      },
      run = remove,
    },
  },
}
