-- SPDX-License-Identifier: MIT
local pilot = require "flake.pilot"
local lfs = require "lfs"

local function write(path, text)
  local f <close> = assert(io.open(path, "w"))
  f:write(text)
end

describe("flake.pilot", function()
  local root

  before_each(function()
    root = os.tmpname()
    os.remove(root)
    for _, dir in ipairs { "", "/usr", "/usr/share", "/usr/share/flakes", "/own" } do
      assert(lfs.mkdir(root .. dir))
    end
    write(root .. "/usr/share/flakes/joe.yaml", [[
container:
  name: registry.example.org/joe
  target_app_path: /bin/joe
  host_app_path: /usr/bin/joe
  runtime: {podman: ["-ti", "--net none"]}
]])
  end)

  after_each(function()
    require("pl.dir").rmtree(root)
  end)

  it("loads a flake as the pilot sees it", function()
    local flake = assert(pilot.load("joe", { root = root }))
    assert.are.equal("joe", flake.name)
    assert.are.equal("podman", flake.engine)
    assert.are.equal("registry.example.org/joe", flake.image)
    assert.are.equal("/usr/bin/joe", flake.app)
    assert.are.equal("/bin/joe", flake.target)
    assert.are.same({ "-ti", "--net none" }, flake.options)
    assert.are.equal("/bin/joe", flake.doc.container.target_app_path)
    assert.is_false(flake.own)
  end)

  it("plans a call", function()
    local plan = assert(pilot.plan("joe", { "@x", "a b", "@y" }, { root = root, tty = false }))
    assert.are.equal("x", plan.instance)
    assert.are.same({ "a b", "@y" }, plan.args)
    assert.are.same({ "-ti", "--net", "none" }, plan.options)
    assert.are.equal("podman", plan.argv[1])
    assert.are.equal("@y", plan.argv[#plan.argv])
  end)

  it("composes a changed plan anew", function()
    local plan = assert(pilot.plan("joe", { "a" }, { root = root, tty = true }))
    plan.args[1] = "b"
    plan.env.GREETING = "hello world"
    table.insert(plan.options, "--read-only")
    local text = table.concat(assert(pilot.compose(plan)).argv, "|")
    assert.matches("|%-t|", text)
    assert.matches("|%-%-env=GREETING=hello world|", text)
    assert.matches("|%-%-read%-only|", text)
    assert.matches("|b$", text)
  end)

  it("raises on a NUL byte in what a hook set", function()
    for _, change in ipairs { { "env", { A = "b\0c" } }, { "env", { ["A\0"] = "b" } },
      { "args", { "a\0b" } }, { "instance", "x\0y" } } do
      local plan = assert(pilot.plan("joe", { "a" }, { root = root, tty = true }))
      plan[change[1]] = change[2]
      assert.has_error(function() pilot.compose(plan) end)
    end
  end)

  it("finds the user's own flake only behind the system's", function()
    local own = root .. "/own"
    write(own .. "/joe.yaml", "container: {name: mine}\n")
    write(own .. "/jim.yaml", "container: {name: jim}\n")
    assert.are.equal("registry.example.org/joe",
      pilot.load("joe", { root = root, user_dir = own }).image)
    assert.is_true(pilot.load("jim", { root = root, user_dir = own }).own)
  end)

  it("leaves argv empty for engines without a pilot", function()
    write(root .. "/usr/share/flakes/box.yaml",
      "version: 2\nruntime: {name: /srv/box}\nengine: {pilot: bwrap}\n")
    assert.are.same({}, pilot.plan("box", { "x" }, { root = root }).argv)
  end)

  it("names the missing definition, its error and its code", function()
    local flake, message, code = pilot.load("nothing", { root = root })
    assert.is_nil(flake)
    assert.matches("nothing%.yaml", message)
    assert.are.equal("ENOENT", code)
  end)

  describe("remembers", function()
    local process = require "flake.process"

    before_each(function() process.setenv("FLAKE_ROOT", root) end)
    after_each(function() process.setenv("FLAKE_ROOT", nil) end)

    it("images that were composed, while their parts are the same", function()
      local part = root .. "/own/part"
      write(part, "one")
      assert.are.equal("localhost/flake-pilot/fjoe_2ex", pilot.composed_name("joe.x"))
      assert.is_nil(pilot.composed_image("joe"))
      local missing = root .. "/own/missing"
      assert(pilot.record_composed("joe", "sha256:1", { pilot.watch(part), pilot.watch(missing) }))
      assert.are.equal("sha256:1", pilot.composed_image("joe"))
      write(part, "other")
      assert.is_nil(pilot.composed_image("joe"))
      assert(pilot.record_composed("joe", "sha256:2", { pilot.watch(missing) }))
      assert.are.equal("sha256:2", pilot.composed_image("joe"))
      write(missing, "here")
      assert.is_nil(pilot.composed_image("joe"))
      assert(pilot.record_composed("joe", "sha256:3", {}))
      assert.are.equal("sha256:3", pilot.composed_image("joe"))
      assert.has_error(function() pilot.record_composed("joe", "x", { 1 }) end)
    end)

    it("instances, while they run", function()
      local dir = assert(pilot.state_dir())
      assert.is_nil(pilot.instance("joe__one"))
      local f = assert(io.open("/proc/self/stat"))
      local start = select(20, f:read("a"):match("%) (.*)"):match(("(%S+) "):rep(20)))
      f:close()
      write(dir .. "/joe__one.run", ("id abc\npid %d\nstart %s\n"):format(process.getpid(), start))
      assert.are.same({ id = "abc", pid = process.getpid() }, pilot.instance("joe__one"))
      assert.is_nil(pilot.instance("joe"))
      assert(pilot.forget_instance("joe__one"))
      assert.is_nil(pilot.instance("joe__one"))
    end)

    it("nothing where others could have changed it", function()
      assert(require("flake.fs").chmod(assert(pilot.state_dir()), 493))
      local dir, message, code = pilot.state_dir()
      assert.is_nil(dir)
      assert.matches("must be yours alone", message)
      assert.are.equal("EPERM", code)
      assert.is_nil(pilot.composed_image("joe"))
      assert.are.equal("EPERM", select(3, pilot.record_composed("joe", "x", {})))
    end)
  end)

  it("says where definitions are", function()
    assert.are.equal("/x/usr/share/flakes", pilot.flakes_dir("/x"))
  end)

  it("raises on wrong types and unknown options", function()
    assert.has_error(function() pilot.load({}) end)
    assert.has_error(function() pilot.load("joe", { rot = "/" }) end)
    assert.has_error(function() pilot.plan("joe", { 1 }, { root = root }) end)
  end)
end)
