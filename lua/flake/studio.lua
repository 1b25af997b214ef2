-- SPDX-License-Identifier: MIT
-- flake-studio: projects that hold what a package is made of, and build it when it has changed.
local build = require "flake.build"
local builders = require "flake.build.builders"
local bundles = require "flake.build.bundle"
local files = require "flake.studio.files"
local fs = require "flake.fs"
local image = require "flake.studio.image"
local option = require "flake.option"
local options = require "flake.studio.options"
local projects = require "flake.studio.project"
local scratch = require "flake.scratch"
local state = require "flake.studio.state"
local steps = require "flake.studio.steps"
local workshop = require "flake.build.workshop"

local M = {}

local STEPS = { "check", "image", "bundle", "package" }

-- The hints of these codes are about flakes of the system.
local function fail(message, code)
  return nil, message, (code == "EACCES" or code == "EPERM") and "EIO" or code
end

-- Is there nothing at path, or an empty directory? Returns true, or nil, message, code.
local function check_free(path)
  local st, message, code = fs.lstat(path)
  if not st and code == "ENOENT" then return true end
  local names
  if st and st.type == "directory" then names, message, code = fs.list(path) end
  if names and #names == 0 then return true end
  if st and (names or st.type ~= "directory") then
    message, code = ("%s is there already: init makes a project of a directory that is in use")
      :format(path), "EEXIST"
  end
  return nil, message, code
end

local function given_by(opts)
  local given = {}
  for _, one in ipairs(option.package) do given[option.key(one)] = opts[option.key(one)] end
  return given
end

-- Makes the project beside its place, so that it gets there whole or not at all.
local function make(name, list)
  local temp <close>, why, code = scratch.open("new", ".", true)
  if not temp then return nil, why, code end
  local dir = temp.dir .. "/project"
  local ok, message
  ok, message, code = fs.mkdir_p(dir)
  if ok then ok, message, code = files.write(dir, list, {}) end
  if ok then ok, message, code = check_free(name) end
  if ok then ok, message, code = fs.rename(dir, name) end
  return ok, message, code
end

--- flake-studio new NAME
function M.new(opts, ctx)
  local list = options.list(nil, ctx)
  local name, message = option.accept(options.get(list, "name"), opts.name)
  if not name then
    return nil, ("'%s': %s"):format((opts.name:gsub("%c", "?")), message), "EUSAGE"
  end
  local values, entries, code, ok
  ok, message, code = check_free(name)
  if ok then values, message, code = options.ask(list, given_by(opts), nil, ctx) end
  if values then entries, message, code = files.list(list, values) end
  if entries then ok, message, code = make(values.name, entries) end
  if not entries or not ok then return fail(message, code) end
  ctx.out:write(("made the project %s\nnext: write %s/src/Dockerfile, or change %s/src/build.sh; "
    .. "then: cd %s && flake-studio build\n"):format(values.name, values.name, values.name,
    values.name))
  return 0
end

-- The directory's name, if it can be one.
local function name_of(list, root)
  return option.accept(options.get(list, "name"), root:match("([^/]*)$"))
end

-- What existing files lack: {[path]=text}, or nil, message, code.
local function longer(root, list, values, given)
  local result = { [".gitignore"] = files.ignore(root .. "/.gitignore") }
  local path = ("%s/%s"):format(root, options.file)
  local message, code
  if fs.stat(path) then
    result[options.file], message, code = options.extend(path, list, values, given)
  end
  if message then return nil, message, code end
  return result
end

--- flake-studio init
function M.init(opts, ctx)
  local root, message, code = fs.realpath(".")
  local around = root and not projects.is_at(root) and projects.find()
  if around then return nil, ("this is in the project %s"):format(around.root), "EUSAGE" end
  if not root then return fail(message, code) end
  local list, given = options.list(nil, ctx), given_by(opts)
  options.get(list, "name").default = name_of(list, root)
  local values, entries, more, paths
  values, message, code = options.ask(list, given, root, ctx)
  if values then entries, message, code = files.list(list, values) end
  if entries then more, message, code = longer(root, list, values, given) end
  if more then paths, message, code = files.write(root, entries, more) end
  if not paths then return fail(message, code) end
  for _, path in ipairs(paths) do ctx.out:write(path, "\n") end
  if #paths == 0 then ctx.out:write("nothing to do\n") end
  return 0
end

-- Everything that can be wrong before something is built. Returns a job, or nil, message, code.
local function check(project, opts, dir, ctx)
  local builder, message, code, values, flake
  if project.root:find(":", 1, true) then
    return nil, ("podman cannot work in %s: there is a colon in its name"):format(project.root),
      "EUSAGE"
  end
  if opts.format then builder, message, code = builders.get(opts.format)
  else builder, message, code = builders.choose(ctx.info.prefix_root) end
  local ok = builder
  if ok then ok, message, code = builders.check_tool(builder) end
  if ok then ok, message, code = project:check_script() end
  if ok then values, message, code = options.read(project, builder, ctx) end
  if values then flake, message, code = project:flake(dir) end
  if not flake then return nil, message, code end
  return { project = project, builder = builder, values = values, flake = flake, dir = dir,
    state = state.read(project) }
end

-- The bundle in .staging/, made anew if what it is made of has changed. Returns it, or nil,
-- message, code.
local function stage(job, image_id, progress, ctx)
  local place = job.project:path ".staging"
  local digest, message, code = state.of_bundle(job.project, job.flake, job.values, image_id, ctx)
  if not digest then return nil, message, code end
  job.digest = digest
  local bundle = job.state.bundle == digest and bundles.open(place, ctx)
  if bundle then
    progress:done "nothing to do"
    return bundle
  end
  progress:say("putting flake and image into .staging")
  job.state.bundle = nil
  local ok
  ok, message, code = state.write(job.project, job.state)
  if not ok then return nil, message, code end
  bundle, message, code = build.assemble({ existing = job.flake, flake = job.flake.name,
    image = job.flake.image, values = job.values, apps = {}, register_args = {} }, job.builder,
    place, {}, ctx)
  if not bundle then return nil, job.project:relabel(message, job.dir), code end
  job.state.bundle = digest
  ok, message, code = state.write(job.project, job.state)
  progress:done "done"
  return ok and bundle, message, code
end

local function compile(job, bundle, digest)
  local ok, message, code = job.builder.setup(bundle)
  if not ok then return nil, message, code end
  local shop, why, name = workshop.open(job.project:path "out")
  if not shop then return nil, why, name end
  local held <close> = shop
  local paths
  paths, message, code = build.compile(bundle, job.builder, held)
  if not paths then return nil, message, code end
  state.note(job.state, job.builder, digest, paths)
  ok, message, code = state.write(job.project, job.state)
  return ok and paths, message, code
end

-- The packages in out/, made anew if bundle or builder have changed. Returns their paths, or nil,
-- message, code.
local function pack(job, bundle, progress, ctx)
  local digest, message, code = state.of_package(job.digest, job.builder, ctx)
  if not digest then return nil, message, code end
  local paths = state.packages(job.project, job.state, job.builder, digest)
  if paths then
    progress:done "nothing to do"
    return paths
  end
  progress:say("running " .. job.builder.tool)
  paths, message, code = compile(job, bundle, digest)
  if paths then progress:done(("%d files in out"):format(#paths)) end
  return paths, message, code
end

local function run(job, opts, progress, ctx)
  progress:start(("src/build.sh %s"):format(job.flake.image))
  local held <close>, why, name = image.hold(job.flake.image, opts.keep, ctx.err)
  if not held then return nil, why, name end
  local id, message, code = image.build(job.project, held, ctx)
  if not id then return nil, message, code end
  progress:done(id:sub(1, 12))
  progress:start()
  local bundle, paths
  bundle, message, code = stage(job, id, progress, ctx)
  if not bundle then return nil, message, code end
  progress:start()
  paths, message, code = pack(job, bundle, progress, ctx)
  return paths, message, code
end

--- flake-studio build
function M.build(opts, ctx)
  local project, message, code = projects.find()
  if not project then return nil, message, code end
  local held <close>, why, name = project:lock()
  if not held then return fail(why, name) end
  local temp <close> = assert(scratch.open("studio"))
  local progress = steps.new(STEPS, ctx.err)
  progress:start()
  local job, paths
  job, message, code = check(project, opts, temp.dir, ctx)
  if job then
    progress:done(("%s %s"):format(job.values.name, job.values.version))
    paths, message, code = run(job, opts, progress, ctx)
  end
  if not paths then return fail(message, code) end
  for _, path in ipairs(paths) do ctx.out:write(path, "\n") end
  return 0
end

--- flake-studio clean
function M.clean(_, _)
  local project, message, code = projects.find()
  if not project then return nil, message, code end
  local held <close>, why, name = project:lock()
  if not held then return fail(why, name) end
  local ok = true
  for _, dir in ipairs { "out", ".staging" } do
    if ok then ok, message, code = fs.remove_tree(project:path(dir)) end
  end
  if not ok then return fail(message, code) end
  state.forget(project)
  return 0
end

return M
