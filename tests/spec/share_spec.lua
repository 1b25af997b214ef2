-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local process = require "flake.process"
local yaml = require "flake.yaml"
local Place = require "support.place"

describe("share", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
  end)

  after_each(function() place:close() end)

  local function register(...)
    return place:ctl("podman", "register", "--container", "img", "--app", "/usr/bin/foo", ...)
  end

  local function definition()
    return yaml.load(assert(fs.read(place.flakes .. "/foo.yaml"))).container.runtime
  end

  local function define(text)
    place:put("/usr/share/flakes/foo.yaml", text)
  end

  it("is written only when given", function()
    assert.are.equal(0, (register()))
    assert.is_nil(definition().share)
    assert.are.equal(0, (register("--force", "--share", "cwd,locale", "--share", "user,cwd")))
    assert.are.same({ "cwd", "locale", "user" }, definition().share)
  end)

  it("knows its words", function()
    for _, words in ipairs { "cwd,hone", "", "cwd,", "CWD" } do
      local code, _, err = register("--share", words)
      assert.are.equal(2, code, words)
      assert.matches("is none of cwd, home, locale, user, ssh%-agent, display", err)
    end
    assert.matches("ssh%-agent", select(2, place:ctl("completion", "bash")))
  end)

  it("is refused with file and line where it is wrong", function()
    define("container:\n  name: a\n  runtime:\n    share:\n    - cwd\n    - hone\n")
    local _, message, code = pilot.load("foo", { root = place.root })
    assert.matches("foo%.yaml:6: 'hone' is nothing to share", message)
    assert.are.equal("EFLAKE", code)
    define("container: {name: a, runtime: {share: [cwd], resume: true}}")
    _, message = pilot.load("foo", { root = place.root })
    assert.matches("cannot follow the caller's directory", message)
  end)

  it("is read from both versions of the schema", function()
    define("version: 2\nruntime: {name: a, share: [home]}\nengine: {pilot: podman}\n")
    local flake = assert(pilot.load("foo", { root = place.root }))
    assert.are.same({ "home" }, flake.share)
    assert.are.same({}, flake.unknown)
    define("container: {name: a, runtime: {share: [home]}}")
    assert.are.same({ "home" }, pilot.load("foo", { root = place.root }).share)
  end)

  it("is in the plan, which Lua may change", function()
    define("container: {name: a, runtime: {share: [home, user, locale]}}")
    process.setenv("LANG", "de_DE.UTF-8")
    local plan = assert(pilot.plan("foo", {}, { root = place.root }))
    local home = fs.user(fs.getuid()).home
    assert.are.same("rw:" .. home, plan.mounts[1])
    assert.are.equal(home, plan.env.HOME)
    assert.are.equal("de_DE.UTF-8", plan.env.LANG)
    assert.matches("^%d+:%d+$", plan.run_user)
    plan.mounts, plan.workdir, plan.run_user = { "ro:/srv/a:b" }, "/srv", nil
    local argv = table.concat(assert(pilot.compose(plan)).argv, " ")
    assert.matches('%-%-mount=type=bind,"source=/srv/a:b","destination=/srv/a:b",readonly', argv)
    assert.matches("%-%-workdir=/srv", argv)
    assert.is_nil(argv:find("--user=", 1, true))
  end)

  it("refuses what a hook made of the plan if it makes no sense", function()
    define("container: {name: a}")
    for key, value in pairs { mounts = { "/srv" }, run_user = "joe" } do
      local plan = assert(pilot.plan("foo", {}, { root = place.root }))
      plan[key] = value
      local composed, message = pilot.compose(plan)
      assert.is_nil(composed)
      assert.matches("is n", message)
    end
  end)

  it("gives way to the definition's own options", function()
    local home = fs.user(fs.getuid()).home
    define(("container: {name: a, runtime: {share: [home], podman: ['-v /srv:%s']}}"):format(home))
    local plan = assert(pilot.plan("foo", {}, { root = place.root }))
    assert.is_nil(table.concat(plan.argv, " "):find("--volume=", 1, true))
  end)

  it("does not give a caller's files to another user's rootless podman", function()
    if not fs.user("nobody") or fs.getuid() ~= 0 then pending("needs root") return end
    define("container: {name: a, runtime: {share: [user], runas: nobody}}")
    local plan, message = pilot.plan("foo", {}, { root = place.root })
    assert.is_nil(plan)
    assert.matches("runs as 'nobody', whose podman cannot have files of user 0", message)
  end)
end)
