-- SPDX-License-Identifier: MIT
-- Builder of Debian packages: a native source package, built by dpkg-buildpackage. Its templates
-- are in dpkg/. The image is compressed already: nothing here compresses it twice.
local builders = require "flake.build.builders"
local fs = require "flake.fs"
local process = require "flake.process"
local reason = require("flake.text").reason
local registry = require "flake.registry"
local tree = require "flake.build.tree"

local FILES = { ["control"] = "control", ["rules"] = "rules", ["changelog"] = "changelog",
  ["copyright"] = "copyright", ["postinst"] = "postinst", ["prerm"] = "prerm",
  ["overrides"] = "overrides",
  ["format"] = "source/format", ["options"] = "source/options" }
local EXECUTABLE = { ["/debian/rules"] = true, ["/debian/postinst"] = true,
  ["/debian/prerm"] = true }
-- What dpkg-buildpackage leaves beside the sources.
local RESULTS = { deb = true, buildinfo = true, changes = true, dsc = true, gz = true }

-- dpkg itself has the last word where it is installed.
local function ask_dpkg(what, value)
  if not process.which("dpkg") then return true end
  local result = process.run({ "dpkg", "--validate-" .. what, value },
    { stdin = "null", stdout = "null", stderr = "pipe" })
  if not result or result.code == 0 then return true end
  return nil, (reason(result):gsub("^dpkg: [%w]+: ", ""):gsub("%c", " "))
end

local function check_name(value)
  if #value > 100 or not value:match("^[a-z0-9][a-z0-9+.-]+$") then
    return nil, "a package name has two or more of a-z, 0-9 and + - . and begins with a-z or 0-9"
  end
  return ask_dpkg("pkgname", value)
end

local function check_version(value)
  if #value > 100 or not value:match("^[0-9][A-Za-z0-9.+~]*$") then
    return nil, "a version begins with a digit and has letters, digits and . + ~ (no revision)"
  end
  return ask_dpkg("version", value)
end

-- dpkg 1.23 and later want what is in double quotes to end and to be something.
local function check_maintainer(value)
  if (value:gsub('"[^"]+"', "")):find('"', 1, true) then
    return nil, "has a double quote without another, or nothing between two"
  end
  return true
end

-- Lines behind the synopsis, as deb-control(5) wants them; a blank line is a dot.
local function extended(description)
  local lines = {}
  local rest = description:match("\n(.*)$")
  for line in ((rest or "") .. "\n"):gmatch("([^\n]*)\n") do
    local text = line:gsub("\t", "        "):gsub("%s+$", "")
    table.insert(lines, text == "" and " ." or " " .. text)
  end
  if rest == nil then
    lines = { " An application in a container that is called like any other command." }
  end
  return table.concat(lines, "\n")
end

local function values_of(facts)
  return { name = facts.name, version = facts.version, depends = table.concat(facts.depends, ", "),
    url = facts.url,
    maintainer = ("%s <%s>"):format(facts.maintainer_name, facts.maintainer_email),
    synopsis = facts.description:match("^[^\n]*"):gsub("%s+$", ""),
    extended = extended(facts.description), license = facts.license, flake = facts.flake,
    engine = facts.engine, image = facts.image, suite = builders.suite(registry.prefix {}),
    date = os.date("!%a, %d %b %Y %H:%M:%S +0000", facts.epoch) }
end

local function setup(bundle)
  local values = values_of(bundle.facts)
  for file, target in pairs(FILES) do
    local ok, message, code = bundle:write({ name = "dpkg" }, file, values, target)
    if not ok then return nil, message, code end
  end
  return true
end

local function results(dir)
  local files = {}
  for _, name in ipairs(fs.list(dir)) do
    if RESULTS[name:match("[^.]*$")] then table.insert(files, ("%s/%s"):format(dir, name)) end
  end
  return files
end

local function compile(bundle)
  local work = bundle.work .. "/dpkg"
  local source = ("%s/%s-%s"):format(work, bundle.facts.name, bundle.facts.version)
  local ok, message, code = fs.mkdir_p(source)
  if ok then ok, message, code = tree.clone(bundle.root, source .. "/root") end
  if ok then ok, message, code = tree.clone(bundle.dir .. "/dpkg", source .. "/debian") end
  if ok then ok, message, code = tree.even_out(source, bundle.facts.epoch, EXECUTABLE) end
  if ok then
    ok, message, code = bundle:run({ "dpkg-buildpackage", "-us", "-uc", "-d" }, source)
  end
  if not ok then return nil, message, code end
  return results(work)
end

return {
  api = 1,
  name = "dpkg",
  tool = "dpkg-buildpackage",
  about = "Package flakes with dpkg-buildpackage",
  type = "PACKAGER",
  options = { { name = "name", check = check_name }, { name = "version", check = check_version },
    { name = "maintainer-name", check = check_maintainer } },
  detect = function(release)
    return builders.is_one_of(release, { "debian", "ubuntu", "devuan", "raspbian", "linuxmint" })
  end,
  setup = setup,
  compile = compile,
}
