-- SPDX-License-Identifier: MIT
-- Driver of podman: OCI containers as commands.
local cli = require "flake.cli"
local fs = require "flake.fs"
local image = require "flake.image"
local output = require "flake.output"
local process = require "flake.process"
local registry = require "flake.registry"
local yaml = require "flake.yaml"

local ROOT = { name = "root", metavar = "DIR", check = cli.absolute_path,
  about = "Fake root for definitions and command links." }
local USER = { name = "user", flag = true, about = "The caller's own flakes, not the system's." }
local FORMAT = { name = "format", default = "table", choices = output.formats,
  about = "Output format." }

local function where(opts)
  return { root = opts.root, user = opts.user }
end

local function base(path)
  return path:match("([^/]*)$")
end

-- Exit status of a tool as a shell would report it.
local function status_of(result)
  return result.signal and 128 + result.signal or result.code
end

-- podman with the caller's terminal; its exit status is ours.
local function podman(...)
  local result, message, code = process.run({ "podman", ... })
  if not result then return nil, message, code end
  return status_of(result)
end

local function pull(opts)
  return podman("pull", opts.uri)
end

local function load_image(opts)
  local file, message, code = image.newest_file(opts.oci)
  if not file then return nil, message, code end
  return podman("load", "--input", file)
end

-- Definition keys of schema version 1, as `register` of older tools writes them.
local function definition(opts, apps)
  local container = {
    name = opts.container,
    host_app_path = apps[1].path,
    target_app_path = apps[1].target,
    runtime = {
      runas = opts.run_as or yaml.null,
      resume = false,
      attach = false,
      podman = yaml.list(opts.opt),
    },
  }
  if #apps > 1 then
    container.path_map = {}
    for _, app in ipairs(apps) do container.path_map[app.path] = { exports = app.target } end
  end
  return { include = { tar = yaml.null }, container = container }
end

-- What cannot be known to be wrong, but should be said.
local function warn(opts, ctx)
  local quiet = { stdout = "null", stderr = "null", stdin = "null" }
  local found = process.run({ "podman", "image", "exists", opts.container }, quiet)
  if not opts.root and found and found.code == 1 then
    ctx.err:write(("flake-ctl: warning: image '%s' is not here yet; get it with: "
      .. "flake-ctl podman pull --uri %s\n"):format(opts.container, opts.container))
  end
  for _, option in ipairs(opts.opt) do
    for name in option:gmatch("%%([A-Z_][A-Z0-9_]*)") do
      if not process.getenv(name) then
        ctx.err:write(("flake-ctl: warning: %%%s in --opt '%s' is not set here: it will be empty\n")
          :format(name, option))
      end
    end
  end
end

local function register(opts, ctx)
  if opts.info then return image.print_info(opts.container, ctx.out) end
  if #opts.app == 0 then return nil, "register needs --app PATH (or --info)", "EUSAGE" end
  if opts.target and #opts.app > 1 and opts.target ~= "/" then
    return nil, "--target goes with one --app only", "EUSAGE"
  end
  if opts.run_as and not opts.root and not fs.user(opts.run_as) then
    return nil, ("--run-as: there is no user '%s'"):format(opts.run_as), "EUSAGE"
  end
  for i, option in ipairs(opts.opt) do opts.opt[i] = option:gsub("^\\", "") end
  local apps = {}
  for i, path in ipairs(opts.app) do apps[i] = { path = path, target = opts.target or path } end
  local def = { name = opts.name or base(opts.app[1]), engine = "podman", image = opts.container,
    apps = apps, doc = definition(opts, apps) }
  local ok, message, code = registry.register(def, { root = opts.root, user = opts.user,
    force = opts.force, pilot = ctx.info.bindir .. "/podman-pilot" })
  if not ok then
    local hint = code == "EEXIST" and "--force replaces a flake, never a foreign file" or nil
    return nil, message, code, hint
  end
  warn(opts, ctx)
  return 0
end

local function export(opts, ctx)
  local flake, message, code = registry.find(opts.name, where(opts))
  if not flake then return nil, message, code end
  if flake.engine ~= "podman" then
    return nil, ("flake '%s' is for engine '%s'"):format(flake.name, flake.engine), "EUSAGE"
  end
  local file_name = opts.bundle and flake.name .. ".flake" or image.file_name(flake.image)
  local target = image.target_path(opts.target, file_name)
  ctx.err:write(("saving image %s to %s\n"):format(flake.image, target))
  local ok
  if opts.bundle then
    ok, message, code = require("flake.bundle").export(flake, target)
  else
    ok, message, code = image.save(flake.image, target)
  end
  if not ok then return nil, message, code end
  return 0
end

local function remove_app(opts)
  local ok, message, code = registry.remove(base(opts.app),
    { root = opts.root, user = opts.user, force = opts.force, app = opts.app })
  if not ok then return nil, message, code end
  return 0
end

local function remove_container(opts)
  local rows, message, code = registry.list(where(opts))
  if not rows then return nil, message, code end
  for _, row in ipairs(rows) do
    if row.image == opts.container then
      local ok
      ok, message, code = registry.remove(row.name,
        { root = opts.root, user = opts.user, force = opts.force })
      if not ok then return nil, message, code end
    end
  end
  if opts.root then return 0 end
  return podman("image", "rm", opts.force and "--force" or "--", opts.container)
end

local function remove(opts)
  if (opts.app == nil) == (opts.container == nil) then
    return nil, "remove needs either --app PATH or --container IMAGE", "EUSAGE"
  end
  if opts.app then return remove_app(opts) end
  return remove_container(opts)
end

local COLUMNS = {
  { key = "name", title = "NAME" }, { key = "instance", title = "INSTANCE" },
  { key = "id", title = "ID" }, { key = "status", title = "STATUS" },
  { key = "pid", title = "PID" }, { key = "image", title = "IMAGE" },
}

local function show(opts, ctx)
  local result, message, code = process.run({ "podman", "ps", "--all", "--no-trunc", "--filter",
    "label=flake-pilot.flake", "--format", "json" }, { stdout = "pipe" })
  if not result then return nil, message, code end
  if status_of(result) ~= 0 then return status_of(result) end
  local rows = {}
  for _, container in ipairs(require("dkjson").decode(result.stdout) or {}) do
    table.insert(rows, {
      name = container.Labels["flake-pilot.flake"],
      instance = container.Labels["flake-pilot.instance"],
      id = opts.format == "table" and container.Id:sub(1, 12) or container.Id,
      status = container.State,
      pid = container.Pid ~= 0 and container.Pid or nil,
      image = container.Image,
    })
  end
  table.sort(rows, function(a, b) return a.name .. a.id < b.name .. b.id end)
  output.print(ctx.out, rows, COLUMNS, opts.format)
  return 0
end

return {
  api = 1,
  name = "podman",
  about = "Manage podman/oci based flakes",
  type = "ENGINE",
  pilot = "podman-pilot",
  commands = {
    pull = {
      about = "Pull a container image from a registry.",
      options = {
        { name = "uri", required = true, about = "Image to pull, as podman pull takes it." },
      },
      run = pull,
    },
    load = {
      about = "Load a container image from an archive.",
      options = { { name = "oci", required = true, metavar = "FILE",
        about = "Archive file; if there is none of that name, the highest version of FILE*." } },
      run = load_image,
    },
    register = {
      about = "Make a command of an application in a container.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake (default: base name of the first --app)." },
        { name = "container", required = true, metavar = "IMAGE",
          about = "Image of the application." },
        { name = "app", multiple = true, metavar = "PATH", check = cli.absolute_path,
          about = "Absolute path of the command on the host; may be repeated." },
        { name = "target", metavar = "PATH", check = function(value)
          return value == "/" or cli.absolute_path(value)
        end, about = "Program in the image (default: as --app); /: the image's entry point." },
        { name = "opt", multiple = true, dash_values = true, metavar = "OPTION",
          about = "Option for podman run, 'OPTION VALUE'; may be repeated." },
        { name = "run-as", metavar = "USER",
          about = "User to run podman as (default: the caller)." },
        { name = "info", flag = true,
          about = "Print the image's own notes, /IMAGE.yaml, and exit." },
        { name = "force", flag = true,
          about = "Replace a flake that exists; never a foreign file." },
        ROOT, USER,
      },
      run = register,
    },
    export = {
      about = "Write a flake's image to a file, for another machine.",
      options = {
        { name = "name", positional = true, about = "Name of the flake." },
        { name = "target", positional = true, about = "File or directory, as for mv." },
        { name = "bundle", flag = true,
          about = "One file with image, definition, its .d and includes, for flake-ctl import." },
        ROOT, USER,
      },
      run = export,
    },
    remove = {
      about = "Remove a flake, or an image with all its flakes.",
      options = {
        { name = "app", metavar = "PATH", check = cli.absolute_path,
          about = "Command whose flake is removed." },
        { name = "container", metavar = "IMAGE", about = "Image to remove with all its flakes." },
        { name = "force", flag = true, about = "Remove broken definitions too." },
        ROOT, USER,
      },
      run = remove,
    },
    show = {
      about = "List containers that flakes have started.",
      options = { FORMAT },
      run = show,
    },
  },
}
