-- SPDX-License-Identifier: MIT
-- User mode: own flakes beside the system's, init, what doctor says to a user.
local fs = require "flake.fs"
local oci_image = require "support.oci_image"
local pilot = require "flake.pilot"
local process = require "flake.process"
local Place = require "support.place"
local User = require "support.user"

describe("user mode", function()
  local place, home, own, bin

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
    place:stand_in("newuidmap")
    place:stand_in("newgidmap")
  end)

  after_each(function()
    User.leave()
    process.setenv("XDG_RUNTIME_DIR", nil)
    place:close()
  end)

  local function become_user()
    home = User.become(place)
    own, bin = home .. "/.flakes", home .. "/.local/bin"
    process.setenv("PATH", bin .. ":" .. process.getenv("PATH"))
  end

  local function register(...)
    return place:ctl("podman", "--user", "register", "--container", "img", ...)
  end

  describe("register", function()
    it("writes to the user's root, with --user before or behind the verb", function()
      become_user()
      assert.are.same({ 0, "", "" }, { register("--app", bin .. "/a") })
      assert.are.equal(0, (place:ctl("podman", "register", "--user", "--container", "img",
        "--app", bin .. "/b")))
      assert.are.same({ ".lock", "a.d", "a.yaml", "b.d", "b.yaml" }, fs.list(own .. "/flakes"))
      assert.are.equal("/usr/bin/podman-pilot", fs.readlink(bin .. "/a"))
      assert.are.same({}, fs.list(place.flakes))
      assert.matches("a%s+podman", select(2, place:ctl("list", "--user")))
      assert.matches("^no flakes", select(2, place:ctl("list")))
    end)

    it("takes --user twice, and none without verb", function()
      become_user()
      assert.are.equal(0, (register("--user", "--app", bin .. "/a")))
      assert.are.equal(0, (place:ctl("podman", "--user", "--help")))
      assert.are.equal(2, (place:ctl("podman", "--user")))
    end)

    it("warns of a directory that is not on PATH", function()
      become_user()
      local code, _, err = register("--app", home .. "/elsewhere/a")
      assert.are.equal(0, code)
      assert.matches("elsewhere is not on PATH", err)
    end)

    it("refuses what only the system's flakes can have", function()
      become_user()
      assert.are.equal(2, (register("--app", bin .. "/a", "--run-as", "root")))
      assert.are.equal(0, (register("--app", bin .. "/a", "--run-as", "joe")))
      assert.are.equal(2, (register("--app", bin .. "/b", "--user-may-override")))
      assert.are.equal(2, (register("--app", bin .. "/b", "--root", "/x")))
    end)

    it("does not shadow a system flake or one of its commands", function()
      place:ctl("podman", "register", "tools", "--container", "img", "--app", "/usr/bin/x")
      become_user()
      for _, args in ipairs { { "--app", bin .. "/tools" }, { "--app", bin .. "/x" },
        { "x", "--app", bin .. "/y" } } do
        local code, _, err = register(table.unpack(args))
        assert.are.equal(1, code)
        assert.matches("user_may_override", err)
      end
      assert.is_nil(fs.stat(own))
      place:put("/usr/share/flakes/tools.yaml", "[")
      assert.are.equal(1, (register("--app", bin .. "/x")))
    end)

    it("does so when the admin allows it", function()
      place:ctl("podman", "register", "--user-may-override", "--container", "sys", "--app",
        "/usr/bin/x")
      assert.matches("^user_may_override: true\n", fs.read(place.flakes .. "/x.yaml"))
      become_user()
      assert.are.equal(0, (register("--app", bin .. "/x")))
      assert.are.equal("img", pilot.load("x", { user_dir = own .. "/flakes" }).image)
    end)
  end)

  it("works for remove, explain, export, import of own flakes", function()
    oci_image.stand_in(place)
    oci_image.write(place.image, "img", "localhost/img:latest")
    become_user()
    register("--app", bin .. "/a")
    assert.matches("# from " .. own .. "/flakes/a.yaml",
      select(2, place:ctl("explain", "--user", "a")), 1, true)
    local file = home .. "/a.flake"
    assert.are.equal(0, (place:ctl("podman", "--user", "export", "--bundle", "a", file)))
    assert.are.equal(0, (place:ctl("podman", "remove", "--user", "--app", bin .. "/a")))
    assert.is_nil(fs.lstat(bin .. "/a"))
    assert.are.equal(0, (place:ctl("import", "--user", file)))
    assert.are.equal("/usr/bin/podman-pilot", fs.readlink(bin .. "/a"))
    assert.are.equal(0, (place:ctl("podman", "remove", "--user", "--container", "img")))
    assert.are.equal(1, (place:ctl("explain", "--user", "a")))
  end)

  it("is nothing for root", function()
    if fs.getuid() ~= 0 then pending("needs root") return end
    for _, args in ipairs { { "init" }, { "list" }, { "doctor" }, { "explain", "x" },
      { "podman", "show" }, { "podman", "pull", "--uri", "x" }, { "podman", "update", "--all" },
      { "podman", "load", "--oci", "x" }, { "import", "x" } } do
      table.insert(args, "--user")
      local code, _, err = place:ctl(table.unpack(args))
      assert.are.equal(2, code, table.concat(args, " "))
      assert.matches("root has no flakes of its own", err)
    end
  end)

  it("is nothing through sudo, which is said", function()
    become_user()
    process.setenv("SUDO_UID", "0")
    local code, _, err = place:ctl("list", "--user")
    process.setenv("SUDO_UID", nil)
    assert.are.equal(2, code)
    assert.matches("through sudo.*env %-%-unset=SUDO_UID", err)
    assert.is_nil(err:find("root has", 1, true))
  end)

  describe("the pilot's look-up", function()
    before_each(function()
      place:put("/own/x.yaml", "container: {name: mine}")
    end)

    local function image()
      local flake, message, code = pilot.load("x", { user_dir = place.root .. "/own" })
      return flake and flake.image, flake and flake.own or message, code
    end

    it("prefers the system's, unless it says otherwise", function()
      place:put("/usr/share/flakes/x.yaml", "container: {name: sys}")
      assert.are.same({ "sys" }, { (image()) })
      for _, text in ipairs { "container: {name: sys}\nuser_may_override: true",
        "version: 2\nruntime: {name: sys}\nengine: {pilot: podman}\nuser_may_override: true" } do
        local file = place:put("/usr/share/flakes/x.yaml", text)
        assert.are.same({ "mine", true }, { image() })
        local system = pilot.load("x", { dir = file:match("^(.*)/") })
        assert.is_true(system.user_may_override)
        assert.are.same({}, system.unknown)
      end
      fs.unlink(place.root .. "/own/x.yaml")
      assert.are.same({ "sys" }, { image() })
    end)

    it("is loud when the user's override is broken or open to others", function()
      place:put("/usr/share/flakes/x.yaml", "container: {name: sys}\nuser_may_override: true")
      place:put("/own/x.yaml", "container: {name: mine}", 438)
      assert.are.equal("EPERM", (select(3, image())))
      fs.unlink(place.root .. "/own/x.yaml")
      place:put("/own/x.yaml", "[")
      assert.are.equal("EYAML", (select(3, image())))
      place:put("/usr/share/flakes/x.yaml", "container: {name: sys}\nuser_may_override: maybe")
      assert.are.equal("EFLAKE", (select(3, image())))
    end)

    it("says why the user's own is refused, once", function()
      local function refused(what)
        local _, message, code = image()
        assert.are.equal("EPERM", code)
        assert.matches("refusing " .. place.root .. what .. ": others can write", message, 1, true)
        assert.are.equal(1, select(2, message:gsub("not permitted", "")))
      end
      fs.chmod(place.root .. "/own/x.yaml", 438)
      refused("/own/x.yaml")
      fs.chmod(place.root .. "/own/x.yaml", 420)
      fs.chmod(place.root .. "/own", 511)
      refused("/own")
      fs.chmod(place.root .. "/own", 493)
      -- Whoever can write to ~/.flakes can exchange the directory below it.
      fs.chmod(place.root, 511)
      refused("")
      place:put("/usr/share/flakes/x.yaml", "container: {name: sys}\nuser_may_override: true")
      refused("")
    end)

    it("runs an own flake as the caller only", function()
      local other = fs.getuid() == 0 and "nobody" or "root"
      place:put("/own/x.yaml", ("container: {name: mine, runtime: {runas: %s}}"):format(other))
      local plan, message = pilot.plan("x", {}, { user_dir = place.root .. "/own" })
      assert.is_nil(plan)
      assert.matches("is your own and runs as you", message)
      assert.is_truthy(pilot.plan("x", {}, { dir = place.root .. "/own" }))
    end)
  end)

  describe("init", function()
    it("makes the system's directories, once", function()
      if fs.getuid() ~= 0 then pending("needs root") return end
      assert(fs.mkdir_p(place.root .. "/etc/tmpfiles.d"))
      local _, out = place:ctl("init")
      assert.matches("made " .. place.root .. "/etc/flakes/hooks\n", out, 1, true)
      assert.are.equal(1023, fs.stat(place.root .. "/run/flakes").mode)
      assert.matches("1777 root", fs.read(place.root .. "/etc/tmpfiles.d/flake-pilot.conf"))
      assert.is_truthy(fs.stat(place.root .. "/etc/flakes/hooks/exit.d"))
      assert.matches("everything is there", select(2, place:ctl("init")))
      fs.chmod(place.flakes, 511)
      place:ctl("init", "--force")
      assert.are.equal(493, fs.stat(place.flakes).mode)
    end)

    it("takes away what others made in the place of a user's state", function()
      if fs.getuid() ~= 0 then pending("needs root") return end
      local run, tmp = place.root .. "/run/flakes/", place.root .. "/tmp/flakes-"
      place:put("/run/flakes/4711/x__.run", "a trap")
      place:put("/tmp/flakes-4711", "a file")
      place:put("/var/tmp/flakes-4711", "a file")
      assert(fs.mkdir(run .. "4712"))
      assert(fs.chown(run .. "4712", 4712, 0))
      assert(fs.mkdir(run .. "other"))
      local code, out = place:ctl("doctor")
      assert.are.equal(1, code)
      assert.matches(run .. "4711 is user 0's", out, 1, true)
      assert.matches(tmp .. "4711 is user 0's", out, 1, true)
      assert.matches(place.root .. "/var/tmp/flakes-4711 is user 0's", out, 1, true)
      assert.matches("as root: flake-ctl init --force", out, 1, true)
      place:ctl("init")
      assert.is_truthy(fs.lstat(run .. "4711"))
      out = select(2, place:ctl("init", "--force"))
      assert.matches("removed " .. run .. "4711\n", out, 1, true)
      assert.are.same({ "4712", "other" }, fs.list(run))
      assert.is_nil(fs.lstat(tmp .. "4711"))
      assert.is_nil(fs.lstat(place.root .. "/var/tmp/flakes-4711"))
    end)

    it("names no line of its own when it cannot make a directory", function()
      become_user()
      fs.remove_tree(home)
      place:put("/home/joe", "")
      local code, _, err = place:ctl("init", "--user")
      assert.are.equal(1, code)
      assert.is_nil(err:find(".lua:", 1, true), err)
    end)

    it("is for root without --user", function()
      become_user()
      local code, _, err = place:ctl("init")
      assert.are.equal(2, code)
      assert.matches("init %-%-user", err)
    end)

    it("names a file that is in the way", function()
      if fs.getuid() ~= 0 then pending("needs root") return end
      place:put("/run/flakes", "")
      local code, _, err = place:ctl("init")
      assert.are.equal(1, code)
      assert.matches("run/flakes is a file, no directory", err)
    end)

    it("names a root of the user's that is somebody else's", function()
      become_user()
      assert(fs.mkdir(own))
      local code, _, err = place:ctl("init", "--user")
      assert.are.equal(1, code)
      assert.matches("as root: chown -R joe: " .. own, err, 1, true)
    end)
  end)

  describe("doctor", function()
    local json = require "dkjson"

    local function finding(text, ...)
      local code, out = place:ctl("doctor", "--format", "json", ...)
      for _, one in ipairs(json.decode(out) or {}) do
        if one.what:find(text, 1, true) then return one.severity, one.remedy, code end
      end
    end

    it("names what rootless podman lacks", function()
      become_user()
      assert.are.equal("serious", (finding("no range for you in /etc/subuid and /etc/subgid")))
      process.setenv("XDG_RUNTIME_DIR", place.root .. "/none")
      assert.are.equal("serious", (finding("the runtime directory is missing")))
      process.setenv("XDG_RUNTIME_DIR", place.root)
      assert.are.equal("serious", (finding("XDG_RUNTIME_DIR is not yours")))
      if fs.chown(place.root .. "/home/joe", 4711, 4711) then
        process.setenv("XDG_RUNTIME_DIR", place.root .. "/home/joe")
        fs.chmod(place.root .. "/home/joe", 504)
        assert.are.equal("warning", (finding("others can write to the runtime directory")))
        fs.chmod(place.root .. "/home/joe", 448)
        assert.is_nil((finding("runtime directory")))
      end
      process.setenv("XDG_RUNTIME_DIR", nil)
      assert.are.equal("warning", (finding("no runtime directory")))
      process.setenv("PATH", place.bin)
      assert.are.equal("warning", (finding(bin .. " is not on PATH")))
      fs.unlink(place.bin .. "/newuidmap")
      assert.are.equal("serious", (finding("newuidmap is missing")))
    end)

    it("proposes subordinate ids that nobody has", function()
      local host = require "flake.doctor.host"
      local joe = { name = "joe", uid = 4711 }
      place:put("/etc/subuid", "ann:100000:65536\n")
      place:put("/etc/subgid", "ann:200000:65536\nbob:100:10\n")
      local what, remedy = host.missing_ids(joe, place.root .. "/etc")
      assert.matches("one uid only", what)
      assert.matches("usermod --add-subuids 265536-331071 --add-subgids 265536-331071 joe", remedy,
        1, true)
      place:put("/etc/subuid", "4711:100000:65536\n")
      what, remedy = host.missing_ids(joe, place.root .. "/etc")
      assert.is_nil(what:find("subuid", 1, true))
      assert.matches("usermod --add-subgids 265536-331071 joe", remedy, 1, true)
      place:put("/etc/subgid", "joe:165536:65536\n")
      assert.is_nil((host.missing_ids(joe, place.root .. "/etc")))
      for _, name in ipairs { "subuid", "subgid" } do fs.unlink(place.root .. "/etc/" .. name) end
      assert.matches("--add-subuids 100000-165535", select(2, host.missing_ids(joe, place.root
        .. "/etc")), 1, true)
    end)

    it("knows the remedy for a pause process that is gone", function()
      place:stand_in("podman",
        "echo 'Error: cannot re-exec process to join the existing user namespace' >&2; exit 125")
      local severity, remedy = finding("podman does not work: cannot re-exec process")
      assert.are.same({ "serious", "podman system migrate" }, { severity, remedy })
    end)

    it("checks own flakes, links and what hides them", function()
      become_user()
      register("--app", bin .. "/a")
      place:put("/usr/bin/podman-pilot", "")
      place:put("/usr/share/flakes/sys.yaml", "container: {name: img}")
      fs.unlink(bin .. "/a")
      fs.symlink("/usr/bin/podman-pilot", bin .. "/lonely")
      fs.symlink(place.root .. "/usr/bin/podman-pilot", bin .. "/sys")
      assert.are.equal("serious", (finding(bin .. "/a")))
      assert.are.equal("serious", (finding(bin .. "/lonely")))
      assert.are.equal("serious", (finding(bin .. "/a", "--user", "a")))
      assert.is_nil((finding(bin .. "/sys")))
      assert.are.equal(1, (place:ctl("doctor", "nothing")))
      place:put("/usr/share/flakes/a.yaml", "container: {name: img}")
      assert.are.equal("warning", (finding("'a' is hidden by the system's", "a")))
      fs.chmod(own .. "/flakes/a.yaml", 438)
      local _, remedy = finding("refusing", "--user", "a")
      assert.are.equal("flake-ctl init --user --force", remedy)
    end)
  end)
end)
