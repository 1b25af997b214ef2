-- SPDX-License-Identifier: MIT
-- Builder of RPM packages. Its template is rpmbuild/spec. Neither package nor source package is
-- compressed: the image is.
local archive = require "flake.archive"
local builders = require "flake.build.builders"
local fs = require "flake.fs"
local tree = require "flake.build.tree"

local FAMILIES = { "fedora", "rhel", "centos", "rocky", "almalinux", "suse", "opensuse", "sles",
  "sle", "opensuse-leap", "opensuse-tumbleweed", "mageia", "openeuler", "amzn", "ol", "azurelinux" }

local function check_name(value)
  if #value <= 100 and value:match("^[A-Za-z0-9][A-Za-z0-9._+-]*$") then return true end
  return nil, "a package name has letters, digits and . _ + - and begins with a letter or digit"
end

local function check_version(value)
  if #value <= 100 and value:match("^[0-9][A-Za-z0-9._+~^]*$") then return true end
  return nil, "a version begins with a digit and has letters, digits and . _ + ~ ^ (no '-')"
end

-- Nothing in a value is a macro.
local function escape(text)
  return (text:gsub("%%", "%%%%"))
end

-- The whole description. rpm looks for sections and conditions when macros are expanded: no line
-- begins with a %, nor with the # of a comment.
local function body(description)
  local lines = {}
  for line in (description:gsub("\t", "        ") .. "\n"):gmatch("([^\n]*)\n") do
    table.insert(lines, (line:match("^%s*[%%#]") and "> " or "") .. escape(line))
  end
  return table.concat(lines, "\n")
end

local function values_of(facts)
  return { name = facts.name, version = facts.version, depends = table.concat(facts.depends, ", "),
    url = escape(facts.url), license = escape(facts.license), flake = facts.flake,
    engine = facts.engine,
    summary = escape(facts.description:match("^[^\n]*"):gsub("[%s.]+$", "")),
    description = body(facts.description),
    maintainer = escape(("%s <%s>"):format(facts.maintainer_name, facts.maintainer_email)),
    date = os.date("!%a %b %d %Y", facts.epoch) }
end

local function setup(bundle)
  return bundle:write({ name = "rpmbuild" }, "spec", values_of(bundle.facts))
end

-- %files: all files, and the directories that are the flake's alone.
local function file_list(bundle)
  local lines = {}
  local own = "^/usr/share/flakes/[^/]+%.[a-z]+$"
  for _, entry in ipairs(tree.list(bundle.root)) do
    if entry.type ~= "directory" then
      table.insert(lines, entry.path)
    elseif entry.path:match(own) then
      table.insert(lines, "%dir " .. entry.path)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function results(top)
  local files = {}
  for _, dir in ipairs { "RPMS/noarch", "SRPMS" } do
    for _, name in ipairs(fs.list(("%s/%s"):format(top, dir)) or {}) do
      table.insert(files, ("%s/%s/%s"):format(top, dir, name))
    end
  end
  return files
end

local function compile(bundle)
  local facts, top = bundle.facts, bundle.work .. "/rpm"
  local spec = ("%s/SPECS/%s.spec"):format(top, facts.name)
  local sources = top .. "/SOURCES"
  local ok, message, code = fs.mkdir_p(top .. "/SPECS")
  if ok then ok, message, code = fs.mkdir_p(sources) end
  if ok then
    ok, message, code = archive.create(("%s/%s-%s.tar"):format(sources, facts.name, facts.version),
      bundle.root, { mtime = facts.epoch })
  end
  if ok then
    ok, message, code = fs.write(("%s/%s.files"):format(sources, facts.name), file_list(bundle))
  end
  if ok then ok, message, code = fs.copy(bundle.dir .. "/rpmbuild/spec", spec) end
  if ok then ok, message, code = tree.even_out(top, facts.epoch) end
  if ok then
    ok, message, code = bundle:run({ "rpmbuild", "-ba", "--nodeps", "--target", "noarch",
      "--define", "_topdir " .. top, spec }, top)
  end
  if not ok then return nil, message, code end
  return results(top)
end

return {
  api = 1,
  name = "rpmbuild",
  tool = "rpmbuild",
  about = "Package flakes with rpmbuild",
  type = "PACKAGER",
  options = { { name = "name", check = check_name }, { name = "version", check = check_version } },
  detect = function(release) return builders.is_one_of(release, FAMILIES) end,
  setup = setup,
  compile = compile,
}
