-- SPDX-License-Identifier: MIT
-- Everything that a packager needs, in one directory, the same for all of them:
--   root/         what is installed, as it is installed
--   package.yaml  the package options, and what is in root/
--   BUILDER/      what a builder's setup wrote
local builders = require "flake.build.builders"
local fs = require "flake.fs"
local progress = require "flake.progress"
local places = require "flake.places"
local registry = require "flake.registry"
local template = require "flake.build.template"
local is_text = require("flake.text").is_text
local tree = require "flake.build.tree"
local yaml = require "flake.yaml"

local M = { format = 1 }
M.__index = M

local FILE = "package.yaml"
local MARK = ".flake-bundle"
local ORDER = { "format", "name", "version", "description", "url", "maintainer_name",
  "maintainer_email", "license", "flake", "engine", "image", "image_id", "archives", "apps",
  "depends", "epoch" }
-- Variables that would make a package depend on who builds it.
local ENVIRONMENT = { LC_ALL = "C.UTF-8", TZ = "UTC", MAKEFLAGS = false, MFLAGS = false,
  MAKELEVEL = false, DEB_BUILD_OPTIONS = false, DEB_BUILD_PROFILES = false, DEB_VENDOR = false }
local LOG_LINES = 20

--- A bundle in the directory dir, made if it is missing; what an earlier one left there goes, but
-- nothing else. ctx: as commands get it. Returns it (facts: as in package.yaml), or nil, message,
-- code.
function M.create(dir, ctx)
  local ok, message, code = fs.mkdir_p(dir)
  if not ok then return nil, message, code end
  local mark = ("%s/%s"):format(dir, MARK)
  if #fs.list(dir) > 0 and not fs.stat(mark) then
    return nil, ("%s is neither empty nor a bundle"):format(dir), "EEXIST"
  end
  for _, name in ipairs(fs.list(dir)) do
    ok, message, code = fs.remove_tree(("%s/%s"):format(dir, name))
    if not ok then return nil, message, code end
  end
  ok, message, code = fs.write(mark, "")
  if ok then ok, message, code = fs.mkdir(dir .. "/root", 493) end
  if not ok then return nil, message, code end
  return setmetatable({ dir = fs.realpath(dir), root = fs.realpath(dir) .. "/root", facts = {},
    ctx = ctx }, M)
end

--- Writes package.yaml; only then is it a bundle that can be compiled.
function M:save()
  self.facts.format = M.format
  local text, message, code = yaml.dump(self.facts, { order = ORDER })
  if not text then return nil, message, code end
  return fs.write(("%s/%s"):format(self.dir, FILE), text)
end

local function are_packages(list)
  for _, name in ipairs(type(list) == "table" and list or { false }) do
    if not is_text(name) or not name:match("^[a-z0-9][a-z0-9+.-]+$") then return false end
  end
  return true
end

-- What is there may have been changed by hand.
local function check(facts, path)
  local good = type(facts) == "table" and facts.format == M.format and is_text(facts.name)
    and is_text(facts.version) and is_text(facts.flake) and places.check_name(facts.flake)
    and is_text(facts.engine) and facts.engine:match("^[%w_-]+$")
    and are_packages(facts.depends) and math.type(facts.epoch) == "integer"
  if good then return true end
  return nil, ("%s describes no bundle in format %d"):format(path, M.format), "EYAML"
end

--- The bundle in a directory, or nil, message, code.
function M.open(dir, ctx)
  local real, message, code = fs.realpath(dir)
  local path = ("%s/%s"):format(real, FILE)
  local text, facts, ok
  if real then text, message, code = fs.read(path) end
  if not text then return nil, message, code end
  facts, message, code = yaml.load(text, { name = path })
  if facts then ok, message, code = check(facts, path) end
  if not ok then return nil, message, code end
  return setmetatable({ dir = real, root = real .. "/root", facts = facts, ctx = ctx }, M)
end

--- Is all of it still as it must be? Returns true, or nil, message, code.
function M:verify()
  local flake, message, code = registry.find(self.facts.flake, { root = self.root })
  if not flake then return nil, message, code end
  for _, entry in ipairs(tree.list(self.root)) do
    if not entry.path:match("^[%w._+@=,:/-]+$") then
      return nil, ("%s: a name in a package has letters, digits and . _ + @ = , : - only")
        :format((entry.path:gsub("%c", "?"))), "EUSAGE"
    end
  end
  return tree.even_out(self.root, self.facts.epoch)
end

--- The text of a builder's template with values in it, or nil, message, code.
function M:template(builder, file, values)
  local text, path, code = builders.template(builder, file, self.templates, self.ctx.info.share)
  if not text then return nil, path, code end
  return template.render(text, values, path)
end

--- Writes a template to BUILDER/target (default: as the template). Returns true, or nil, message,
-- code.
function M:write(builder, file, values, target)
  local path = ("%s/%s/%s"):format(self.dir, builder.name, target or file)
  local text, message, code = self:template(builder, file, values)
  local ok
  if text then ok, message, code = fs.mkdir_p((path:match("^(.*)/"))) end
  if ok then ok, message, code = fs.write(path, text) end
  return ok, message, code
end

local function tail(path)
  local lines = {}
  for line in (fs.read(path, { limit = 1 << 28 }) or ""):gmatch("[^\n]+") do
    table.insert(lines, "  " .. line:gsub("[%c\127]", "?"))
  end
  return table.concat(lines, "\n", math.max(1, #lines - LOG_LINES + 1))
end

--- Runs a packager's tool in the directory cwd; of its output only the end of a failure is shown.
-- more: environment variables beyond those of every packager. Returns true, or nil, message, code.
function M:run(argv, cwd, more)
  local log = ("%s/%s.log"):format(self.work, argv[1])
  local env = { SOURCE_DATE_EPOCH = ("%d"):format(self.facts.epoch) }
  for name, value in pairs(ENVIRONMENT) do env[name] = value end
  for name, value in pairs(more or {}) do env[name] = value end
  local status, message, code = progress.run("running " .. argv[1], argv, { cwd = cwd, env = env,
    stdout = { path = log }, stderr = "stdout" }, self.ctx.err)
  if not status then return nil, message, code end
  if status.code == 0 then return true end
  self.ctx.err:write(tail(log), "\n")
  return nil, ("%s failed (%s): nothing was built"):format(argv[1],
    status.signal and "signal " .. status.signal or "exit status " .. status.code), "EBUILD"
end

return M
