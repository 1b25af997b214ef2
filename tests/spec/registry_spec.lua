-- SPDX-License-Identifier: MIT
-- What must not be registered, and what removal must leave.
local fs = require "flake.fs"
local Place = require "support.place"

describe("flake.registry", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
  end)

  after_each(function() place:close() end)

  local function register(...)
    return place:ctl("podman", "register", ...)
  end

  local function remove(...)
    return place:ctl("podman", "remove", ...)
  end

  it("takes only links to the pilots of engines for its own", function()
    assert(fs.mkdir_p(place.root .. "/usr/bin"))
    for _, target in ipairs { "auto-pilot", "/opt/podman-pilot.old", "my_podman-pilot" } do
      assert(fs.symlink(target, place.root .. "/usr/bin/fly"))
      local code, _, err = register("--force", "--container", "img", "--app", "/usr/bin/fly")
      assert.are.equal(1, code)
      assert.matches("exists and is no flake", err)
      assert.are.equal(target, fs.readlink(place.root .. "/usr/bin/fly"))
      fs.unlink(place.root .. "/usr/bin/fly")
    end
    register("--container", "img", "--app", "/usr/bin/foo")
    fs.unlink(place.root .. "/usr/bin/foo")
    fs.symlink("auto-pilot", place.root .. "/usr/bin/foo")
    assert.are.equal(1, (remove("--app", "/usr/bin/foo")))
    assert.are.equal(0, (remove("--force", "--app", "/usr/bin/foo")))
    assert.are.equal("auto-pilot", fs.readlink(place.root .. "/usr/bin/foo"))
  end)

  it("lets nothing of a removed flake count for the next one of its name", function()
    place:put("/usr/share/flakes/foo.d/10.yaml", "container: {runtime: {podman: [--env OLD=yes]}}")
    place:put("/usr/share/flakes/foo.include/1", "x")
    place:put("/usr/share/flakes/bar.d.tmp.4711/x.yaml", "")
    local args = { "--container", "img", "--app", "/usr/bin/foo" }
    local _, out = place:ctl("doctor")
    assert.matches("flake 'foo' is gone, but not [^\n]*/foo.d\n  remedy: flake%-ctl podman remove "
      .. "%-%-app /usr/bin/foo\n", out)
    local code, _, err = register(table.unpack(args))
    assert.are.equal(1, code)
    assert.matches("foo.d is there, of a flake 'foo' that is gone: %-%-force removes it", err)
    assert.are.equal(0, (remove("--app", "/usr/bin/foo")))
    assert.are.same({ ".lock" }, fs.list(place.flakes))
    assert.are.equal(1, (remove("--app", "/usr/bin/foo")))
    place:put("/usr/share/flakes/foo.d/launch.lua", "")
    assert.are.equal(0, (register("--force", table.unpack(args))))
    assert.are.same({}, fs.list(place.flakes .. "/foo.d"))
    -- Of a flake that is there they are its own.
    place:put("/usr/share/flakes/foo.d/10.yaml", "container: {}")
    assert.are.equal(0, (register("--force", table.unpack(args))))
    assert.are.same({ "10.yaml" }, fs.list(place.flakes .. "/foo.d"))
  end)

  it("refuses what can never work as wrong usage", function()
    for _, args in ipairs {
      { "--container", "img", "--app", "/usr/bin/my-pilot" },
      { "--container", "img", "--app", "/usr/bin/flake-launch" },
      { "--container=-x", "--app", "/usr/bin/foo" },
      { "--container", "", "--app", "/usr/bin/foo" },
      { "--container", "a\nb", "--app", "/usr/bin/foo" },
      { "--container", "img", "--app", "/usr/bin/foo", "--opt", "" },
      { "--container", "img\255", "--app", "/usr/bin/foo" },
      { "--container", "img", "--app", "/usr/bin/foo", "--target", "/bin/\255" },
      { "--container", "img", "--app", "/usr/bin/foo", "--opt", "--env A=\255" },
    } do
      local code, _, err = register(table.unpack(args))
      assert.are.equal(2, code, table.concat(args, " "))
      assert.is_nil(err:find("%.lua:%d"))
      assert.is_nil(fs.lstat(place.flakes .. "/foo.yaml"))
    end
    assert.are.equal(2, (remove("--container=-x")))
  end)

  it("removes the flake of a command, which must be its", function()
    register("--container", "img", "--app", "/usr/bin/foo")
    local code, _, err = remove("--app", "/no/where/foo")
    assert.are.equal(1, code)
    assert.matches("flake 'foo' has no command /no/where/foo", err)
    assert.is_truthy(fs.stat(place.flakes .. "/foo.yaml"))
    assert.is_truthy(fs.lstat(place.root .. "/usr/bin/foo"))
  end)

  it("needs the right command of a broken definition, or none", function()
    register("--container", "img", "--app", "/usr/bin/foo")
    place:put("/usr/share/flakes/foo.yaml", "[")
    local code, _, err = remove("--force", "--app", "/no/where/foo")
    assert.are.equal(2, code)
    assert.matches("the command of flake 'foo' is " .. place.root .. "/usr/bin/foo", err, 1, true)
    assert.is_truthy(fs.stat(place.flakes .. "/foo.yaml"))
    fs.unlink(place.root .. "/usr/bin/foo")
    assert.are.equal(0, (remove("--force", "--app", "/no/where/foo")))
    assert.is_nil(fs.stat(place.flakes .. "/foo.yaml"))
  end)

  describe("remove --container", function()
    -- An image of id 123abc, named localhost/one:1 and, with more, localhost/two:1.
    local function podman(more, rm)
      place:stand_in("podman", ([[
        [ "$2" = rm ] && exit %d
        [ "$2" = exists ] && case $3 in gone*) exit 1 ;; esac
        [ "$2" = inspect ] && echo '[{"Id":"123abc","Digest":"sha256:d","RepoDigests":[
          "localhost/one@sha256:d"],"RepoTags":["localhost/one:1"%s]}]'
        exit 0]]):format(rm or 0, more and ',"localhost/two:1"' or ""))
    end

    local function left()
      local names = {}
      for _, entry in ipairs(fs.list(place.flakes)) do
        table.insert(names, entry:match("^(.*)%.yaml$"))
      end
      return table.concat(names, " ")
    end

    before_each(function()
      for name, image in pairs { full = "localhost/one:1", short = "one:1", id = "123a",
        digest = "localhost/one@sha256:d", second = "localhost/two:1", other = "localhost/x" } do
        register("--container", image, "--app", "/usr/bin/" .. name)
      end
    end)

    it("takes all flakes that lose their image", function()
      podman()
      assert.are.equal(0, (remove("--container", "localhost/one:1")))
      assert.are.equal("other second", left())
    end)

    it("leaves those to whom the image stays by another name", function()
      podman(true)
      assert.are.equal(0, (remove("--container", "one:1")))
      assert.are.equal("digest id other second", left())
      assert.are.equal(0, (remove("--container", "123abc")))
      assert.are.equal("other", left())
    end)

    it("adds the tag that podman adds", function()
      podman()
      assert.are.equal(0, (remove("--container", "localhost/x:latest")))
      assert.is_nil(left():find("other"))
    end)

    it("removes no flake when the image stays, or a hook or an instance refuses", function()
      local all = left()
      podman(false, 2)
      local code, _, err = remove("--container", "localhost/one:1")
      assert.are.equal(1, code)
      assert.matches("podman could not remove image 'localhost/one:1'", err)
      assert.are.equal(all, left())
      podman()
      place:put("/etc/flakes/hooks/remove.d/1.lua", [[
        return function(event) if event.flake == "short" then flake.deny("no") end end]])
      fs.unlink(place.log)
      assert.are.equal(1, (remove("--container", "localhost/one:1")))
      assert.are.equal(all, left())
      for _, call in ipairs(place:calls()) do assert.are_not.equal("rm", call[3]) end
    end)

    it("removes the flakes of an image that is gone already", function()
      register("--container", "gone:1", "--app", "/usr/bin/lost")
      podman()
      assert.are.equal(0, (remove("--container", "gone:1")))
      assert.is_nil(fs.stat(place.flakes .. "/lost.yaml"))
      podman(false, 1)
      assert.are.equal(1, (remove("--container", "gone:1")))
    end)
  end)

  it("keeps the lock to the changes: a hook may register itself", function()
    place:put("/etc/flakes/hooks/register.d/1.lua", ([[
      return function(event)
        local fs = require "flake.fs"
        local held <close> = assert(fs.lock("%s/.lock", { timeout = 0.1 }))
      end]]):format(place.flakes))
    assert.are.equal(0, (register("--container", "img", "--app", "/usr/bin/foo")))
  end)
end)
