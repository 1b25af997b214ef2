-- SPDX-License-Identifier: MIT
-- flake-ctl build: from a flake or an image to a package of the system's package manager. A bundle
-- is assembled (flake.build.source), a builder makes the package of it (builders/NAME.lua).
local builders = require "flake.build.builders"
local bundles = require "flake.build.bundle"
local fs = require "flake.fs"
local option = require "flake.option"
local output = require "flake.output"
local request = require "flake.build.request"
local source = require "flake.build.source"
local tree = require "flake.build.tree"
local workshop = require "flake.build.workshop"

local M = {}

local function choose(opts, fixed, ctx)
  local name = opts.builder or fixed
  if name then return builders.get(name) end
  return builders.choose(ctx.info.prefix_root)
end

local function which(opts, fixed, ctx)
  local builder, message, code = choose(opts, fixed, ctx)
  if not builder then return nil, message, code end
  ctx.out:write(("%s;flake-ctl-build-%s\n"):format(builder.tool, builder.name))
  return 0
end

local COLUMNS = { { key = "option", title = "OPTION" }, { key = "value", title = "VALUE" },
  { key = "source", title = "FROM" }, { key = "problem", title = "PROBLEM" } }

local function show_options(opts, builder, ctx)
  local list = option.merge(option.package, builder.options)
  local values, message, code = request.values(list, opts, ctx)
  if not values then return nil, message, code end
  output.print(ctx.out, option.rows(list, values), COLUMNS, opts.format)
  return 0
end

--- Assembles a bundle in the directory dir. job: as request.read gives it. Returns it, or nil,
-- message, code.
function M.assemble(job, builder, dir, opts, ctx)
  local bundle, message, code = bundles.create(dir, ctx)
  if not bundle then return nil, message, code end
  for key, value in pairs(job.values) do bundle.facts[key] = value end
  bundle.templates = opts.template
  local ok
  ok, message, code = source.fill(bundle, job)
  if ok then ok, message, code = builder.setup(bundle) end
  if ok then ok, message, code = bundle:save() end
  return ok and bundle, message, code
end

--- Makes the packages of a bundle and puts them to the output. shop: an open workshop. Returns
-- their paths, or nil, message, code.
function M.compile(bundle, builder, shop)
  local ok, message, code = bundle:verify()
  local files
  bundle.work = shop.dir
  if ok then files, message, code = builder.compile(bundle) end
  if not files then return nil, message, code end
  return workshop.publish(shop, files)
end

local function compile(bundle, builder, shop, ctx)
  local paths, message, code = M.compile(bundle, builder, shop)
  if not paths then return nil, message, code end
  for _, path in ipairs(paths) do ctx.out:write(path, "\n") end
  return 0
end

-- What command line options change in a bundle that exists. Returns true if something changed,
-- false, or nil, message, code.
local function override(bundle, builder, opts)
  local list = option.merge(option.package, builder.options)
  local changed, problems = false, {}
  for _, one in ipairs(list) do
    local key = option.key(one)
    local given = opts[key] ~= "" and opts[key] or nil
    local value, why = option.accept(one, given or bundle.facts[key] or "")
    if not value then table.insert(problems, ("%s: %s"):format(one.name, why)) end
    if given and bundle.facts[key] ~= value then bundle.facts[key], changed = value, true end
  end
  if #problems > 0 then return nil, table.concat(problems, "; "), "EUSAGE" end
  return changed
end

-- The path itself, or of those above it the one that is there.
local function what_is_there(path)
  if path:sub(1, 1) ~= "/" then path = fs.realpath(".") .. "/" .. path end
  while path ~= "" and not fs.lstat(path) do path = path:match("^(.*)/") end
  return path == "" and "/" or path
end

local function find_foreign(dir)
  local there = what_is_there(dir)
  local ok, message = fs.trusted(there)
  local st = fs.stat(dir)
  for _, entry in ipairs(ok and st and st.type == "directory" and tree.list(dir) or {}) do
    if ok and entry.type ~= "symlink" then ok, message = fs.trusted(dir .. entry.path) end
  end
  return not ok and message or nil
end

-- A bundle says what packagers run (debian/rules): who can change it, or what leads to it, would
-- run that as the caller. Returns true, or nil, message, code.
local function check_location(dir, opts)
  local foreign = dir and not opts.trust_location and find_foreign(dir)
  if not foreign then return true end
  return nil, ("refusing the location %s, what it says runs as you: %s (--trust-location takes it)")
    :format(dir, foreign), "EOWNER"
end

local function compile_only(opts, builder, ctx)
  if not opts.location then return nil, "--compile needs --location", "EUSAGE" end
  local bundle, message, code = check_location(opts.location, opts)
  if bundle then bundle, message, code = bundles.open(opts.location, ctx) end
  local changed
  if bundle then changed, message, code = override(bundle, builder, opts) end
  if changed == nil then return nil, message, code end
  bundle.templates = opts.template
  -- What a hand has changed there stays, unless it is to be made anew.
  local there = fs.stat(("%s/%s"):format(bundle.dir, builder.name))
  local ok = true
  if changed or opts.template or not there then
    ok, message, code = builder.setup(bundle)
    if ok then ok, message, code = bundle:save() end
  end
  local shop
  if ok then shop, message, code = workshop.open(opts.output) end
  if not shop then return nil, message, code end
  local held <close> = shop
  return compile(bundle, builder, held, ctx)
end

local function print_tree(bundle, ctx)
  for _, entry in ipairs(tree.list(bundle.root)) do
    if entry.type ~= "directory" then ctx.out:write(entry.path, "\n") end
  end
  return 0
end

local function build(opts, builder, ctx)
  local job, message, code = request.read(opts, builder, ctx)
  local ok = job
  if ok and not opts.dry_run then ok, message, code = builders.check_tool(builder) end
  local shop
  if ok then shop, message, code = workshop.open(opts.output) end
  if not shop then return nil, message, code end
  local held <close> = shop
  local kept = opts.keep and ("%s/%s_%s.bundle"):format(held.output, job.values.name,
    job.values.version)
  ok, message, code = check_location(opts.location or kept, opts)
  if not ok then return nil, message, code end
  local bundle
  bundle, message, code = M.assemble(job, builder, opts.location or kept or held.dir .. "/bundle",
    opts, ctx)
  if not bundle then return nil, message, code end
  if kept and not opts.location then ctx.err:write("the bundle stays in ", bundle.dir, "\n") end
  if opts.dry_run then return print_tree(bundle, ctx) end
  return compile(bundle, builder, held, ctx)
end

--- flake-ctl build, build-dpkg, build-rpmbuild. self: the command; fixed: its builder or nil.
function M.run(self, opts, ctx, fixed)
  local ok, message, code = request.verbs(opts)
  if not ok then return nil, message, code end
  if opts.words[1] == "about" then
    ctx.out:write(("%s;%s\n"):format(self.about, self.type))
    return 0
  end
  if opts.words[1] == "which" then return which(opts, fixed, ctx) end
  local builder
  builder, message, code = choose(opts, fixed, ctx)
  if not builder then return nil, message, code end
  if opts.show_options then return show_options(opts, builder, ctx) end
  if not opts.compile then return build(opts, builder, ctx) end
  ok, message, code = builders.check_tool(builder)
  if not ok then return nil, message, code end
  return compile_only(opts, builder, ctx)
end

return M
