-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local option = require "flake.option"
local process = require "flake.process"

local function by_name(name)
  for _, one in ipairs(option.package) do
    if one.name == name then return one end
  end
end

local function accepts(name, value)
  local ok, why = option.accept(by_name(name), value)
  return ok, why
end

describe("a package option", function()
  it("has a variable and a key", function()
    assert.are.equal("PKG_FLAKE_MAINTAINER_NAME", option.variable(by_name("maintainer-name")))
    assert.are.equal("maintainer_name", option.key(by_name("maintainer-name")))
  end)

  it("takes addresses with or without scheme", function()
    assert.are.equal("https://example.com", accepts("url", "example.com"))
    assert.are.equal("http://a.b/c?d=e", accepts("url", "http://a.b/c?d=e"))
    for _, bad in ipairs { "ftp://a.b", "https://", "https://a b", "https://a.b/$(x)", "x\ny" } do
      assert.is_nil((accepts("url", bad)), bad)
    end
  end)

  it("takes mail addresses", function()
    assert.are.equal("Testian@testing.com", accepts("maintainer-email", "Testian@testing.com"))
    assert.is_truthy((accepts("maintainer-email", "root@localhost")))
    for _, bad in ipairs { "a", "a@", "@b", "a@b@c", "a b@c", "a@b..c", "<a@b>" } do
      assert.is_nil((accepts("maintainer-email", bad)), bad)
    end
  end)

  it("takes no control characters, no broken UTF-8, and nothing endless", function()
    for _, bad in ipairs { "a\nb", "a\27[1m", "\xff", " a", "a ", ("x"):rep(10240), "a\xc2\x85" } do
      assert.is_nil((accepts("maintainer-name", bad)), bad)
      assert.is_nil((accepts("license", bad)), bad)
    end
    assert.is_truthy((accepts("maintainer-name", "Zoë O'Neil \"$(x)\"")))
    assert.is_nil((accepts("maintainer-name", "A <a@b>")))
  end)

  it("takes descriptions of many lines, the first one short", function()
    assert.is_truthy((accepts("description", "one\n\ntwo " .. ("x"):rep(10240))))
    assert.is_nil((accepts("description", ("x"):rep(81))))
    assert.is_nil((accepts("description", "\ntwo")))
    assert.is_nil((accepts("description", "a\27")))
  end)
end)

describe("options are resolved", function()
  local temp, dir, warnings

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
    warnings = {}
    process.setenv("PKG_FLAKE_VERSION", nil)
  end)

  after_each(function()
    process.setenv("PKG_FLAKE_VERSION", nil)
    temp:close()
  end)

  local function resolve(given, ...)
    return option.resolve(option.package, given, { ... }, function(message)
      table.insert(warnings, message)
    end)
  end

  local function file(name, text)
    assert(fs.write(dir .. "/" .. name, text))
    return dir .. "/" .. name
  end

  it("command line, environment, files in their order, default", function()
    local one = file("one", "license: ONE\n")
    local two = file("two", "license: TWO\nversion: 1.10\nname: two\n")
    process.setenv("PKG_FLAKE_VERSION", "2")
    local values = assert(resolve({ name = "given" }, one, two))
    assert.are.same({ value = "given", source = "command line" }, values.name)
    assert.are.same({ value = "2", source = "PKG_FLAKE_VERSION" }, values.version)
    assert.are.same({ value = "ONE", source = one }, values.license)
    assert.are.same({ value = "", source = "default" }, values.url)
    assert.is_nil(values.description)
    process.setenv("PKG_FLAKE_VERSION", "")
    assert.are.equal("1.10", assert(resolve({}, one, two)).version.value)
  end)

  it("keys may have - or _, others are warned of with their line", function()
    local path = file("f", "maintainer-name: A\nmaintainer_email: a@b.c\n\nnonsense: 1\n")
    local values = assert(resolve({}, path))
    assert.are.equal("A", values.maintainer_name.value)
    assert.are.equal("a@b.c", values.maintainer_email.value)
    assert.are.same({ path .. ":4: unknown option 'nonsense'" }, warnings)
  end)

  it("what is wrong in a file is said with its line", function()
    local path = file("f", "name: x\nmaintainer_email: nobody\n")
    local values = assert(resolve({}, path))
    local problems = table.concat(option.problems(option.package, values), "\n")
    assert.matches(path .. ":2: must be of the form name@example.org", problems, 1, true)
    assert.matches("--version is missing (or PKG_FLAKE_VERSION", problems, 1, true)
    for _, text in ipairs { "name: [", "- a", "name: [a]", "name: a\nname: b" } do
      local ok, message = resolve({}, file("g", text))
      assert.is_nil(ok)
      assert.matches(dir .. "/g:%d", message)
    end
  end)

  it("a file that is missing or empty is none", function()
    assert.is_table(resolve({}, dir .. "/none", file("e", ""), file("n", "name: ~\n")))
  end)

  it("checks of a builder add to ours", function()
    local list = option.merge(option.package, { { name = "name", check = function(value)
      return value == "good" or nil, "is not good"
    end }, { name = "more", about = "More.", default = "d" } })
    local values = assert(option.resolve(list, { name = "bad" }, {}, error))
    assert.are.equal("--name: is not good", values.name.problem)
    assert.are.equal("d", values.more.value)
    assert.is_nil(rawget(by_name("name"), "suggest"))
  end)
end)
