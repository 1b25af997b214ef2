-- SPDX-License-Identifier: MIT
-- Fills a bundle from what the flake is made of: an image in podman's store, an image archive, or a
-- flake that exists.
local cli = require "flake.cli"
local fs = require "flake.fs"
local loader = require "flake.loader"
local oci = require "flake.oci"
local progress = require "flake.progress"
local registry = require "flake.registry"
local tree = require "flake.build.tree"
local fragments = require "flake.build.fragments"

local M = {}

local IMAGES = "/usr/share/flakes/images"
-- Packages never hold files of before; and what has no time gets this one: 2000-01-01.
local OLDEST = 946684800

local function driver_of(engine)
  local driver, message, code = loader.load("runtimes", engine)
  if driver then return driver end
  return nil, message or ("there is no engine '%s'"):format(engine), code or "EUSAGE"
end

local function has_option(command, name)
  for _, option in ipairs(command.options) do
    if option.name == name then return true end
  end
  return false
end

-- Calls a verb of a driver as if flake-ctl were installed. fixed: options that no argument may
-- have changed.
local function call(driver, verb, args, fixed, ctx)
  local info = setmetatable({ bindir = "/usr/bin", lib = "/usr/lib/flake-pilot" },
    { __index = ctx.info })
  local silent = { write = function(self) return self end }
  local command = driver.commands[verb]
  local opts = cli.parse(("flake-ctl %s %s"):format(driver.name, verb), command, args, silent)
  if not opts then return nil, "--help makes no flake", "EUSAGE" end
  for key, value in pairs(fixed) do
    if (opts[key] or false) ~= value then
      return nil, ("--%s is not for you to give to %s here"):format(key, verb), "EUSAGE"
    end
  end
  local code, message, name = command.run(opts,
    { info = info, out = silent, err = ctx.err, driver = driver })
  if code == 0 then return true end
  return nil, message or ("%s %s failed"):format(driver.name, verb), name or "EENGINE"
end

-- Registers a new flake below the bundle's root; archives: what the definition says.
local function register(bundle, job, archives)
  local args = { job.flake, "--root", bundle.root, "--container", job.image, "--force" }
  for _, app in ipairs(job.apps) do table.move({ "--app", app }, 1, 2, #args + 1, args) end
  for _, path in ipairs(archives) do
    table.move({ "--archive", path }, 1, 2, #args + 1, args)
  end
  table.move(job.register_args, 1, #job.register_args, #args + 1, args)
  local fixed = { root = bundle.root, container = job.image, user = false, info = false }
  return call(job.driver, "register", args, fixed, bundle.ctx)
end

-- Writes the images to where the package has them. Returns their paths on the host.
local function store_images(bundle, job)
  local dir = bundle.root .. IMAGES
  local target = ("%s/%s"):format(dir, job.flake)
  local ok, message, code = fs.mkdir_p(dir)
  if ok and job.layout then
    local line <close> = progress.line("packing " .. job.image, bundle.ctx.err)
    ok, message, code = oci.pack(job.layout, target,
      require("shipped.runtimes.podman.archive").name(job.flake, 1), progress.bytes(line))
  elseif ok then
    ok, message, code = call(job.driver, "export",
      { job.flake, target, "--root", bundle.root, "--package" }, {}, bundle.ctx)
  end
  if not ok then return nil, message, code end
  local paths = {}
  for i, name in ipairs(fs.list(dir)) do paths[i] = ("%s/%s"):format(IMAGES, name) end
  return paths
end

local function check_driver(job)
  local message, code
  job.driver, message, code = driver_of(job.engine)
  if not job.driver then return nil, message, code end
  if job.no_image or has_option(job.driver.commands.register, "archive")
    and has_option(job.driver.commands.export, "package") then
    return true
  end
  return nil, ("engine '%s' cannot bring its image along: --no-image goes"):format(job.engine),
    "EUSAGE"
end

-- Seconds since the epoch that everything in the package gets.
local function time_of(bundle, job, archives)
  local given = require("flake.process").getenv("SOURCE_DATE_EPOCH")
  if given and given ~= "" then
    local number = given:match("^%d+$") and math.tointeger(tonumber(given))
    if number and number < 1 << 33 then return number end
    return nil, "SOURCE_DATE_EPOCH must be seconds since 1970", "EUSAGE"
  end
  local image = archives[1] and oci.of_archive(bundle.root .. archives[1])
  local created = image and oci.epoch(image.created) or job.mtime or OLDEST
  return math.max(created, OLDEST), image
end

-- The links of commands as a package has them, and nothing that only a host needs.
local function tidy(bundle, flake)
  fs.unlink(bundle.root .. "/usr/share/flakes/.lock")
  for _, app in ipairs(flake.apps) do
    local path = bundle.root .. app.path
    local target = fs.readlink(path)
    local wanted = target and tree.link_target(app.path, target)
    if wanted and wanted ~= target then
      assert(fs.unlink(path))
      assert(fs.symlink(wanted, path))
    end
  end
end

local function finish(bundle, job, archives)
  local flake, message, code = registry.find(job.flake, { root = bundle.root })
  if not flake then return nil, message, code end
  tidy(bundle, flake)
  local facts = bundle.facts
  local time, image
  time, image, code = time_of(bundle, job, archives)
  if not time then return nil, image, code end
  facts.flake, facts.engine, facts.image, facts.epoch = job.flake, job.engine, flake.image, time
  facts.image_id = image and image.id
  -- flake-ctl loads the image that the package brings.
  facts.depends = require("flake.yaml").list { "flake-pilot", job.driver.pilot }
  facts.archives, facts.apps = require("flake.yaml").list(archives), require("flake.yaml").list {}
  for i, app in ipairs(flake.apps) do facts.apps[i] = app.path end
  return bundle:verify()
end

-- put(archives) makes the definition.
local function fill(bundle, job, put)
  local ok, message, code = put {}
  local archives = {}
  if ok and not job.no_image then
    archives, message, code = store_images(bundle, job)
    if archives then ok, message, code = put(archives) end
  end
  if not ok or not archives then return nil, message, code end
  return finish(bundle, job, archives)
end

-- An archive's layout is unpacked beside the bundle's root for as long as it is needed.
local function from_tar(bundle, job)
  local temp <close>, why, name = fs.temp_dir({ dir = bundle.dir, prefix = ".layout" })
  if not temp then return nil, why, name end
  local layout = temp:path() .. "/image"
  local unpack = require("shipped.runtimes.podman.layout").unpack
  local image, message, code = unpack(job.from_tar, layout)
  if not image then return nil, message, code end
  job.layout, job.image = layout, job.image or image.reference
  return fill(bundle, job, function(archives) return register(bundle, job, archives) end)
end

local function from_flake(bundle, job)
  local flake = job.existing
  local st = fs.stat(flake.file)
  job.engine, job.mtime = flake.engine, st and math.floor(st.mtime)
  local ok, message, code = check_driver(job)
  if not ok then return nil, message, code end
  local doc
  doc, message, code = fragments.definition(flake)
  if not doc then return nil, message, code end
  local target = job.driver.pilot and "/usr/bin/" .. job.driver.pilot
    or "/usr/lib/flake-pilot/flake-launch"
  ok, message, code = fill(bundle, job, function(archives)
    fragments.set_archives(doc, archives)
    local done, why, reason = registry.register({ name = flake.name, engine = flake.engine,
      image = flake.image, apps = flake.apps, doc = doc },
      { root = bundle.root, force = true, pilot = target })
    -- Once: the second time only the images are there, too.
    if done and #archives == 0 then done, why, reason = fragments.copy_includes(flake, bundle) end
    return done, why, reason
  end)
  if ok then ok, message, code = fragments.copy(flake, bundle.root) end
  if ok then ok, message, code = bundle:verify() end
  return ok, message, code
end

--- Fills a bundle. job: {flake=, engine=, image=, apps=, from_oci= or from_tar= or existing=,
-- register_args=, no_image=}. Returns true, or nil, message, code.
function M.fill(bundle, job)
  if job.existing then return from_flake(bundle, job) end
  local ok, message, code = check_driver(job)
  if not ok then return nil, message, code end
  if job.from_tar and not job.no_image then return from_tar(bundle, job) end
  return fill(bundle, job, function(archives) return register(bundle, job, archives) end)
end

--- The existing flake of that name: the system's, or the caller's own.
function M.find(name)
  local flake, message, code = registry.find(name)
  if not flake and code == "ENOENT" and loader.user_root() then
    flake, message, code = registry.find(name, { user = true })
  end
  if flake then return flake end
  if code == "ENOENT" then message = ("there is no flake '%s'"):format(name) end
  return nil, message, code
end

return M
