-- SPDX-License-Identifier: MIT
-- What is to be built, from a command line: its verbs, its source, its package options.
local fs = require "flake.fs"
local option = require "flake.option"
local places = require "flake.places"
local source = require "flake.build.source"
local wizard = require "flake.wizard"

local M = {}

local APP_PATH = "^/[%w._+@=,/-]+$"

-- A command of a package: what a path in it may be is narrower than on a host.
local function check_app(value)
  local ok, why = require("flake.cli").absolute_path(value)
  if not ok then return nil, why end
  if not value:match(APP_PATH) or value:find("//", 1, true) then
    return nil, "a packaged command's path has letters, digits and . _ + @ = , - / only"
  end
  return places.check_name(value:match("([^/]*)$"))
end

--- Options that are asked for, but are no package options.
M.app = { name = "app", about = "Path of the command on the host.", required = true,
  check = check_app, private = true }

--- Turns the verbs of older tools into options. Returns true, or nil, message, "EUSAGE".
function M.verbs(opts)
  local verb, n = opts.words[1], #opts.words
  if verb == nil or verb == "which" and n == 1 or verb == "about" and n == 1 then return true end
  if verb == "flake" and n == 2 then
    opts.from_flake = opts.words[2]
  elseif verb == "image" and n == 4 then
    opts.engine, opts.from_oci = opts.words[2], opts.words[3]
    table.insert(opts.app, opts.words[4])
  elseif verb == "compile" and n == 2 then
    opts.compile, opts.location = true, opts.words[2]
  else
    return nil, ("'%s' is no verb: which, flake NAME, image ENGINE IMAGE APP, compile LOCATION")
      :format((table.concat(opts.words, " "):gsub("%c", "?"))), "EUSAGE"
  end
  return true
end

local function check_image(value)
  if #value > 400 or not value:match("^[%w][%w._/:@+-]*$") then
    return nil, ("'%s' is no reference of an image"):format((value:gsub("%c", "?"))), "EUSAGE"
  end
  return true
end

-- The source. Returns a job (see source.fill), or nil, message, code.
local function job_of(opts)
  local count = (opts.from_oci and 1 or 0) + (opts.from_tar and 1 or 0)
    + (opts.from_flake and 1 or 0)
  if count ~= 1 then
    return nil, count > 1 and "--from-oci, --from-tar and --from-flake exclude each other"
      or "--from-oci, --from-tar or --from-flake is missing", "EUSAGE"
  end
  local job = { engine = opts.engine or "podman", image = opts.image or opts.from_oci,
    from_tar = opts.from_tar, apps = opts.app, register_args = opts.register_arg,
    no_image = opts.no_image }
  if opts.from_oci and opts.image and opts.image ~= opts.from_oci then
    return nil, "--image names the image of --from-tar", "EUSAGE"
  end
  local ok, message, code = true, nil, nil
  if job.image then ok, message, code = check_image(job.image) end
  if ok and job.from_tar then ok, message, code = fs.access(job.from_tar, "r") end
  if ok and job.from_tar and job.no_image and not job.image then
    return nil, "--from-tar with --no-image needs --image", "EUSAGE"
  end
  if ok and opts.from_flake then
    if #opts.app + #opts.register_arg > 0 then
      return nil, "--from-flake takes the flake as it is: without --app and options of register",
        "EUSAGE"
    end
    job.existing, message, code = source.find(opts.from_flake)
    ok = job.existing
  end
  if not ok then return nil, message, code end
  return job
end

local function plain_name(text)
  local name = text:lower():gsub("[^a-z0-9+.-]+", "-"):gsub("^[^a-z0-9]+", "")
  return name
end

-- What the wizard proposes.
local function suggestions(opts, job)
  local image = job and job.image and job.image:match("([^/]*)$"):gsub("[:@].*$", "")
  local flake = job and job.existing and job.existing.name
    or opts.app[1] and opts.app[1]:match("([^/]*)$") or image
  return { name = flake and plain_name(flake), version = "1.0.0",
    app = image and "/usr/bin/" .. image }
end

--- The options of a builder, with what can be proposed.
function M.list(builder, opts, job)
  local list = option.merge(option.package, builder.options)
  local proposed = suggestions(opts, job)
  if job and not job.existing and #opts.app == 0 then
    table.insert(list, setmetatable({}, { __index = M.app }))
  end
  for _, one in ipairs(list) do
    -- Shared declarations stay as they are: merge has made these.
    if one.suggest == nil then one.suggest = proposed[one.name] end
  end
  return list
end

--- Values of all options from everywhere but the wizard; warnings go to ctx.err.
function M.values(list, opts, ctx)
  local given = {}
  for _, one in ipairs(list) do given[option.key(one)] = opts[option.key(one)] end
  given.app = opts.app[1]
  return option.resolve(list, given, option.files(), function(message)
    ctx.err:write("flake-ctl: warning: ", message, "\n")
  end)
end

local function complain(problems)
  return nil, table.concat(problems, "; "), "EUSAGE"
end

local function check_apps(opts)
  local problems = {}
  for _, app in ipairs(opts.app) do
    local ok, why = check_app(app)
    if not ok then table.insert(problems, ("--app '%s': %s"):format((app:gsub("%c", "?")), why)) end
  end
  return problems
end

-- All that is wrong at once, or the wizard's answers.
local function complete(list, values, opts, problem)
  local problems = check_apps(opts)
  if problem then table.insert(problems, 1, problem) end
  for _, one in ipairs(option.problems(list, values)) do table.insert(problems, one) end
  if #problems == 0 then return values end
  if problem or #check_apps(opts) > 0 or opts.ci or opts.no_edit or not wizard.is_possible() then
    return complain(problems)
  end
  return wizard.ask(list, values)
end

--- Everything that a build needs to know. Returns a job with `values`, or nil, message, code.
function M.read(opts, builder, ctx)
  local job, problem, code = job_of(opts)
  if not job and code ~= "EUSAGE" then return nil, problem, code end
  local list = M.list(builder, opts, job or {})
  local values, message
  values, message, code = M.values(list, opts, ctx)
  if values then
    values, message, code = complete(list, values, opts, not job and problem or nil)
  end
  if not values then return nil, message, code end
  if values.app then job.apps = { values.app.value } end
  job.flake = job.existing and job.existing.name or job.apps[1]:match("([^/]*)$")
  job.values = {}
  for _, one in ipairs(list) do
    local key = option.key(one)
    if not one.private then job.values[key] = values[key] and values[key].value or "" end
  end
  return job
end

return M
