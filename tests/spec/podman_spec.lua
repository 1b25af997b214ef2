-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local oci_image = require "support.oci_image"
local pilot = require "flake.pilot"
local process = require "flake.process"
local yaml = require "flake.yaml"
local Place = require "support.place"

describe("flake-ctl podman", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
  end)

  after_each(function() place:close() end)

  local function register(...)
    return place:ctl("podman", "register", ...)
  end

  local function definition(name)
    return yaml.load(assert(fs.read(("%s/%s.yaml"):format(place.flakes, name))))
  end

  describe("register", function()
    it("writes the definition, the .d and the link", function()
      assert.are.equal(0, (register("--container", "img", "--app", "/usr/bin/foo", "--target", "/",
        "--opt", "-ti", "--opt", "\\--net host", "--opt", "--env=A=b c")))
      assert.are.same({
        include = { tar = yaml.null },
        container = { name = "img", host_app_path = "/usr/bin/foo", target_app_path = "/",
          runtime = { runas = yaml.null, resume = false, attach = false,
            podman = { "-ti", "--net host", "--env=A=b c" } } },
      }, definition("foo"))
      assert.are.equal("directory", fs.stat(place.flakes .. "/foo.d").type)
      assert.are.equal("/usr/bin/podman-pilot", fs.readlink(place.root .. "/usr/bin/foo"))
    end)

    it("takes several options of the escaped form at once", function()
      assert.are.equal(0, (register("--container", "img", "--app", "/usr/bin/foo",
        "--opt", "\\-ti", "\\--net none")))
      assert.are.same({ "-ti", "--net none" }, definition("foo").container.runtime.podman)
    end)

    it("makes several commands of one flake", function()
      assert.are.equal(0, (register("tools", "--container", "img", "--app", "/usr/bin/a",
        "--app", "/opt/b")))
      assert.are.equal("tools.yaml", fs.readlink(place.flakes .. "/a.yaml"))
      assert.are.equal("tools.yaml", fs.readlink(place.flakes .. "/b.yaml"))
      assert.are.equal("/usr/bin/podman-pilot", fs.readlink(place.root .. "/opt/b"))
      assert.matches("%-%-entrypoint=/opt/b img", select(2, place:ctl("explain", "b")))
      assert.are.equal(2, (register("x", "--container", "i", "--app", "/a", "--app", "/b",
        "--target", "/c")))
    end)

    it("refuses what exists, and replaces only flakes", function()
      register("--container", "one", "--app", "/usr/bin/foo")
      local code, _, err = register("--container", "two", "--app", "/usr/bin/foo")
      assert.are.equal(1, code)
      assert.matches("%-%-force", err)
      assert.are.equal(0, (register("--force", "--container", "two", "--app", "/usr/bin/foo")))
      assert.are.equal("two", definition("foo").container.name)
      place:put("/usr/bin/real", "a program")
      code, _, err = register("--force", "--container", "x", "--app", "/usr/bin/real")
      assert.are.equal(1, code)
      assert.matches("is no flake", err)
      assert.is_nil(fs.stat(place.flakes .. "/real.yaml"))
    end)

    it("does not let one flake take another's command or path", function()
      register("--container", "one", "--app", "/a/foo")
      assert.are.equal(1, (register("--container", "two", "--app", "/b/foo")))
      register("tools", "--container", "img", "--app", "/usr/bin/x")
      assert.are.equal(1, (register("other", "--force", "--container", "i", "--app", "/b/x")))
      assert.are.equal(1, (register("x", "--force", "--container", "i", "--app", "/b/x")))
      assert.are.equal(1, (register("more", "--container", "i", "--app", "/c/foo")))
    end)

    it("drops commands that a replaced flake no longer has", function()
      register("tools", "--container", "img", "--app", "/usr/bin/a", "--app", "/usr/bin/b")
      register("tools", "--force", "--container", "img", "--app", "/usr/bin/a")
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/b"))
      assert.is_nil(fs.lstat(place.flakes .. "/b.yaml"))
      assert.is_truthy(fs.lstat(place.root .. "/usr/bin/a"))
    end)

    it("keeps dots in names apart", function()
      assert.are.equal(0, (register("--container", "i", "--app", "/usr/bin/python3.11")))
      assert.are.equal(0, (register("--container", "i", "--app", "/usr/bin/python3.12")))
      assert.is_truthy(fs.stat(place.flakes .. "/python3.11.yaml"))
      assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/python3.11")))
      assert.is_truthy(fs.stat(place.flakes .. "/python3.12.yaml"))
    end)

    it("refuses names that are none", function()
      for _, app in ipairs { "/usr/bin/a b", "/usr/bin/-x", "/usr/bin/", "/usr/bin/a;b" } do
        assert.are.equal(2, (register("--container", "i", "--app", app)), app)
      end
      assert.are.equal(2, (register("../x", "--container", "i", "--app", "/usr/bin/a")))
      assert.are.equal(2, (register("--container", "i", "--app", "/a", "--run-as", "no-such-user")))
    end)

    it("warns of a missing image and missing variables", function()
      place:stand_in("podman", "exit 1")
      local code, _, err = register("--container", "img", "--app", "/usr/bin/foo",
        "--opt", "--env A=%NO_SUCH_VARIABLE")
      assert.are.equal(0, code)
      assert.matches("image 'img' is not here yet", err)
      assert.matches("%%NO_SUCH_VARIABLE", err)
    end)

    it("undoes everything when a step fails", function()
      place:put("/usr/file", "not a directory")
      assert.are.equal(1, (register("--container", "i", "--app", "/usr/file/foo")))
      assert.is_nil(fs.stat(place.flakes .. "/foo.yaml"))
      assert.is_nil(fs.stat(place.flakes .. "/foo.d"))
    end)

    it("removes leftovers of a killed registration", function()
      place:put("/usr/share/flakes/foo.yaml.tmp.AbCdEf", "half")
      assert(fs.mkdir_p(place.root .. "/usr/bin"))
      assert(fs.symlink("/usr/bin/podman-pilot", place.root .. "/usr/bin/foo.tmp.123"))
      register("--container", "i", "--app", "/usr/bin/foo")
      assert.is_nil(fs.lstat(place.flakes .. "/foo.yaml.tmp.AbCdEf"))
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/foo.tmp.123"))
    end)

    it("prints the image's notes", function()
      place:stand_in("podman", [[
        case $1 in create) echo ID ;; cp) echo "about: it" >"$3" ;; esac]])
      local code, out = register("--info", "--container", "reg/x:1")
      assert.are.same({ 0, "about: it\n" }, { code, out })
      assert.are.same({ "podman", "cp", "ID:/x.yaml" },
        table.move(place:calls()[2], 1, 3, 1, {}))
      assert.are.same({ "podman", "rm", "--force", "ID" }, place:calls()[3])
      place:stand_in("podman", 'test "$1" != cp && echo ID')
      assert.are.equal(1, (register("--info", "--container", "x")))
      place:stand_in("podman", "exit 125")
      assert.are.equal(1, (register("--info", "--container", "x")))
    end)

    it("is under the control of hooks", function()
      place:put("/etc/flakes/hooks/register.d/10.lua", [[
        return function(event)
          if event.image == "evil" then flake.deny("evil") end
          event.definition.container.runtime.podman = { "--added" }
        end]])
      local code, _, err = register("--container", "evil", "--app", "/usr/bin/foo")
      assert.are.equal(1, code)
      assert.matches("denied by .*10%.lua: evil", err)
      assert.is_nil(fs.stat(place.flakes .. "/foo.yaml"))
      assert.are.equal(0, (register("--container", "good", "--app", "/usr/bin/foo")))
      assert.are.same({ "--added" }, definition("foo").container.runtime.podman)
      for _, bad in ipairs { "return 1", "return function() error('x') end", "(" } do
        place:put("/etc/flakes/hooks/register.d/10.lua", bad)
        assert.are.equal(1, (register("--force", "--container", "good", "--app", "/usr/bin/foo")))
      end
    end)

    it("works below another root", function()
      local other = place.root .. "/other"
      assert.are.equal(0, (register("--root", other, "--container", "i", "--app", "/usr/bin/foo")))
      assert.is_truthy(fs.stat(other .. "/usr/share/flakes/foo.yaml"))
      assert.is_truthy(fs.lstat(other .. "/usr/bin/foo"))
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/foo"))
      assert.matches("foo", select(2, place:ctl("list", "--root", other)))
      assert.are.equal(0, (place:ctl("podman", "remove", "--root", other, "--container", "i")))
      assert.is_nil(fs.stat(other .. "/usr/share/flakes/foo.yaml"))
    end)

    it("has no flakes of root's own", function()
      if fs.getuid() ~= 0 then pending("needs root") return end
      assert.are.equal(2, (register("--user", "--container", "i", "--app", "/usr/bin/foo")))
      assert.are.equal(2, (place:ctl("list", "--user")))
    end)
  end)

  describe("remove", function()
    it("takes away all of a flake", function()
      register("tools", "--container", "img", "--app", "/usr/bin/a", "--app", "/usr/bin/b")
      place:put("/usr/share/flakes/tools.d/x/y.yaml", "a: b")
      assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/b")))
      assert.are.same({ ".lock" }, fs.list(place.flakes))
      assert.are.same({}, fs.list(place.root .. "/usr/bin"))
      assert.are.equal(1, (place:ctl("podman", "remove", "--app", "/usr/bin/b")))
    end)

    it("leaves a foreign file alone", function()
      register("--container", "img", "--app", "/usr/bin/foo")
      fs.unlink(place.root .. "/usr/bin/foo")
      place:put("/usr/bin/foo", "somebody's")
      assert.are.equal(1, (place:ctl("podman", "remove", "--app", "/usr/bin/foo")))
      assert.are.equal(0, (place:ctl("podman", "remove", "--force", "--app", "/usr/bin/foo")))
      assert.are.equal("somebody's", fs.read(place.root .. "/usr/bin/foo"))
    end)

    it("takes a broken definition with --force", function()
      register("--container", "img", "--app", "/usr/bin/foo")
      place:put("/usr/share/flakes/foo.yaml", "container: [")
      local code, _, err = place:ctl("podman", "remove", "--app", "/usr/bin/foo")
      assert.are.equal(1, code)
      assert.matches("%-%-force", err)
      assert.are.equal(0, (place:ctl("podman", "remove", "--force", "--app", "/usr/bin/foo")))
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/foo"))
    end)

    it("removes an image with its flakes, once", function()
      register("--container", "one", "--app", "/usr/bin/a")
      register("--container", "two", "--app", "/usr/bin/b")
      fs.unlink(place.log)
      assert.are.equal(0, (place:ctl("podman", "remove", "--container", "one")))
      local removals = {}
      for _, call in ipairs(place:calls()) do
        if call[3] == "rm" then table.insert(removals, call) end
      end
      assert.are.same({ { "podman", "image", "rm", "--", "one" } }, removals)
      assert.is_nil(fs.stat(place.flakes .. "/a.yaml"))
      assert.is_truthy(fs.stat(place.flakes .. "/b.yaml"))
    end)

    it("removes the flakes of which the image is a part", function()
      register("--container", "delta", "--base", "base", "--layer", "mid", "--app", "/usr/bin/a")
      register("--container", "other", "--app", "/usr/bin/b")
      assert.are.equal(0, (place:ctl("podman", "remove", "--container", "base")))
      assert.is_nil(fs.stat(place.flakes .. "/a.yaml"))
      assert.is_truthy(fs.stat(place.flakes .. "/b.yaml"))
    end)

    describe("of users", function()
      local PS = [=[[ "$1" = ps ] && echo '[{"Id":"a1","Image":"i","Pid":7,"State":"running",
        "StartedAt":1,"Labels":{"flake-pilot.run":"1","flake-pilot.flake":"two"}}]'; exit 0]=]
      local V2 = [[
        version: 2
        engine: {pilot: podman, args: []}
        runtime:
          name: img
          path_map:
            /usr/bin/one: {exports: /one}
            /usr/bin/two: {exports: /two, user: %s, instance: resume}
      ]]

      local function remove(...)
        return place:ctl("podman", "remove", "--app", "/usr/bin/one", ...)
      end

      before_each(function()
        place:stand_in("podman", PS)
        place:stand_in("sudo", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
      end)

      it("looks at every command for instances", function()
        place:put("/usr/share/flakes/two.yaml", (V2:gsub("user: %%s, ", "")))
        assert(fs.symlink("two.yaml", place.flakes .. "/one.yaml"))
        local code, _, err = remove()
        assert.are.equal(1, code)
        assert.matches("running instances: flake%-ctl podman stop two", err)
        assert.are.equal(0, (remove("--force")))
      end)

      it("asks the podman of whom a command runs as", function()
        if fs.getuid() ~= 0 then pending("needs root") return end
        place:put("/usr/share/flakes/two.yaml", V2:format("nobody"))
        assert(fs.symlink("two.yaml", place.flakes .. "/one.yaml"))
        local code, _, err = remove()
        assert.are.equal(1, code)
        assert.matches("running instances: sudo --user=nobody flake-ctl podman stop two", err, 1,
          true)
        assert.are.same({ "sudo", "--user=nobody", "--", "podman", "ps" },
          table.move(place:calls()[1], 1, 5, 1, {}))
        -- The other command is the caller's.
        assert.are.equal(0, (place:ctl("podman", "stop", "two")))
        -- Who is gone runs nothing.
        place:put("/usr/share/flakes/two.yaml", V2:format("no-such-user"))
        assert.are.equal(0, (remove()))
      end)

      it("takes the image from the podman of whom the flake runs as", function()
        if fs.getuid() ~= 0 then pending("needs root") return end
        register("--container", "img", "--run-as", "nobody", "--app", "/usr/bin/foo")
        place:stand_in("podman", [=[[ "$2" = inspect ] && echo '[{"Id":"a1"}]'; exit 0]=])
        fs.unlink(place.log)
        assert.are.equal(0, (place:ctl("podman", "remove", "--container", "img")))
        local removals = {}
        for _, call in ipairs(place:calls()) do
          if table.concat(call, " "):find("image rm", 1, true) then
            table.insert(removals, call[1] .. " " .. call[2])
          end
        end
        assert.are.same({ "sudo --user=nobody", "podman image", "podman image" }, removals)
      end)
    end)

    it("asks the hooks", function()
      register("--container", "one", "--app", "/usr/bin/a")
      place:put("/etc/flakes/hooks/remove.d/no.lua", 'return function() flake.deny("stay") end')
      assert.are.equal(1, (place:ctl("podman", "remove", "--app", "/usr/bin/a")))
      assert.is_truthy(fs.stat(place.flakes .. "/a.yaml"))
    end)
  end)

  it("pulls with podman's own status, and prunes nothing", function()
    place:stand_in("podman", "exit 125")
    assert.are.equal(125, (place:ctl("podman", "pull", "--uri", "reg/x")))
    assert.are.same({ { "podman", "pull", "--", "reg/x" } }, place:calls())
    place:stand_in("podman", "kill -9 $$")
    assert.are.equal(137, (place:ctl("podman", "pull", "--uri", "reg/x")))
    fs.unlink(place.bin .. "/podman")
    process.setenv("PATH", place.bin)
    assert.are.equal(1, (place:ctl("podman", "pull", "--uri", "reg/x")))
  end)

  it("loads a file, or the highest version of what begins with its name", function()
    local function loaded(name)
      fs.unlink(place.log)
      assert.are.equal(0, (place:ctl("podman", "load", "--oci", place.root .. "/" .. name)))
      return place:calls()[1][4]:match("[^/]*$")
    end
    for _, name in ipairs { "x-1.9.tar", "x-1.10.tar", "x-1.2.tar", "y", "x-1.10.rc.tar" } do
      place:put("/" .. name, "")
    end
    assert.are.equal("y", loaded("y"))
    assert.are.equal("x-1.10.tar", loaded("x-"))
    assert.are.equal(1, (place:ctl("podman", "load", "--oci", place.root .. "/none")))
  end)

  it("exports like mv, and leaves nothing when it fails", function()
    register("--container", "reg:5000/a/b:1", "--app", "/usr/bin/foo")
    place:stand_in("podman", [[
      while [ $# -gt 1 ]; do [ "$1" = --output ] && echo image >"$2"; shift; done]])
    local out = place.root .. "/out"
    fs.mkdir(out)
    assert.are.equal(0, (place:ctl("podman", "export", "foo", out)))
    assert.are.same({ "reg_5000_a_b_1" }, fs.list(out))
    assert.are.equal(0, (place:ctl("podman", "export", "foo", out .. "/name")))
    assert.are.equal("image\n", fs.read(out .. "/name"))
    assert.are.equal(1, (place:ctl("podman", "export", "foo", out .. "/new/")))
    place:stand_in("podman", "exit 125")
    assert.are.equal(1, (place:ctl("podman", "export", "foo", out .. "/other")))
    assert.are.same({ "name", "reg_5000_a_b_1" }, fs.list(out))
    assert.are.equal(1, (place:ctl("podman", "export", "nothing", out)))
    place:put("/usr/share/flakes/vm.yaml", "vm: {name: x}")
    assert.are.equal(2, (place:ctl("podman", "export", "vm", out)))
  end)

  it("shows instances", function()
    place:stand_in("podman", [[echo '[{"Id":"0123456789abcdef","Image":"img","Pid":7,
      "State":"running","StartedAt":1,
      "Labels":{"flake-pilot.run":"1",
      "flake-pilot.flake":"foo","flake-pilot.instance":"one"}},
      {"Id":"f","Image":"img","Pid":0,"State":"exited","Labels":{"flake-pilot.run":"1",
      "flake-pilot.flake":"bar"}}]']])
    local _, out = place:ctl("podman", "show")
    assert.matches("foo%s+one%s+0123456789ab%s+running%s+%d+d%s+7%s+img", out)
    assert.matches("bar%s+%-%s+f%s+exited%s+%-%s+%-%s+img", out)
    assert.matches('"id":"0123456789abcdef"', select(2, place:ctl("podman", "show",
      "--format", "json")))
    place:stand_in("podman", "exit 125")
    assert.are.equal(1, (place:ctl("podman", "show")))
  end)

  describe("instances", function()
    local PS = [=[[ "$1" = ps ] && echo '[{"Id":"a1","Image":"i","Pid":7,"State":"running",
      "StartedAt":1,"Labels":{"flake-pilot.run":"1",
      "flake-pilot.flake":"foo","flake-pilot.instance":"one"}},
      {"Id":"b2","Image":"i","Pid":8,"State":"running","StartedAt":1,
      "Labels":{"flake-pilot.run":"1","flake-pilot.flake":"foo"}}]'; exit 0]=]

    local function last_call()
      local calls = place:calls()
      return table.concat(calls[#calls], " ")
    end

    before_each(function()
      register("--container", "img", "--app", "/usr/bin/foo", "--resume")
      place:stand_in("podman", PS)
    end)

    it("are what register --resume and --attach ask for", function()
      assert.is_true(definition("foo").container.runtime.resume)
      register("--container", "img", "--app", "/usr/bin/bar", "--attach")
      assert.is_true(definition("bar").container.runtime.attach)
      local code, _, err = register("--container", "i", "--app", "/usr/bin/x", "--resume",
        "--attach")
      assert.are.equal(2, code)
      assert.matches("exclude each other", err)
    end)

    it("are refused with options that make them impossible", function()
      local function try(option, how)
        local code, _, err = register("--force", "--container", "i", "--app", "/usr/bin/x",
          how or "--resume", "--opt", option)
        return code, err
      end
      for _, option in ipairs { "--pid host", "--pid=host", "\\--pid=container:x", "--init=false",
        "--env A=B --init=0", "--systemd=always", "--systemd always", "--init-path /sbin/tini",
        "--init-path=/sbin/tini" } do
        local code, err = try(option)
        assert.are.equal(2, code, option)
        assert.matches("%-%-resume excludes the option '%-%-[ips]", err)
      end
      assert.matches("'--pid=host': process 1", select(2, try("--pid host")), 1, true)
      for _, option in ipairs { "--pid private", "--init", "--init=true", "--systemd=true",
        "--pid %PID_MODE", "--pids-limit 5", "--env PID=host" } do
        assert.are.equal(0, (try(option)), option)
      end
      assert.are.equal(0, (try("--pid host", "--attach")))
    end)

    it("end with stop, by flake and by name", function()
      local code, out = place:ctl("podman", "stop", "foo")
      assert.are.same({ 0, "stopped foo\nstopped foo @one\n" }, { code, out })
      assert.matches("^podman rm .*b2 a1$", last_call())
      assert.are.equal("stopped foo @one\n", select(2, place:ctl("podman", "stop", "foo", "@one")))
      assert.matches("^podman rm .* a1$", last_call())
      assert.matches("no such instance", select(3, place:ctl("podman", "stop", "foo", "@two")))
      assert.are.equal(2, (place:ctl("podman", "stop")))
      assert.are.equal(2, (place:ctl("podman", "stop", "foo", "--all")))
      assert.are.equal(2, (place:ctl("podman", "stop", "foo", "one")))
      assert.are.equal(0, (place:ctl("podman", "stop", "--all")))
    end)

    it("are none if an image's labels say so, and their keys lead nowhere", function()
      local outside = place:put("/run/victim.run", "")
      place:stand_in("podman", [=[
        ours='"flake-pilot.run":"1","flake-pilot.flake":"foo"'
        case $1 in
        ps) cat <<JSON
        [{"Id":"a1","ImageID":"i","Names":["flake-x"],"Pid":7,"State":"running","StartedAt":1,
         "Labels":{$ours,"flake-pilot.key":"../victim","flake-pilot.instance":""}},
        {"Id":"b2","ImageID":"e","Pid":8,"Labels":{$ours}},
        {"Id":"c3","ImageID":"i","Labels":{"flake-pilot.flake":"foo"}}]
JSON
        ;;
        images) echo '[{"Id":"sha256:e","Labels":{"flake-pilot.run":"1"}}]' ;;
        esac; exit 0]=])
      local code, out = place:ctl("podman", "stop", "--all")
      assert.are.same({ 0, "stopped foo\n" }, { code, out })
      assert.matches("^podman rm .* a1$", last_call())
      assert.is_truthy(fs.lstat(outside))
      assert.is_nil(fs.lstat(place.root .. "/run/victim.lock"))
    end)

    it("keep a flake from being removed without --force", function()
      local code, _, err = place:ctl("podman", "remove", "--app", "/usr/bin/foo")
      assert.are.equal(1, code)
      assert.matches("podman stop foo", err)
      assert.are.equal(0, (place:ctl("podman", "remove", "--force", "--app", "/usr/bin/foo")))
      assert.matches("^podman rm .*b2 a1$", last_call())
      assert.is_nil(fs.lstat(place.flakes .. "/foo.yaml"))
    end)

    it("show the start and the call in explain", function()
      local ctl = (process.getenv("FLAKE_BUILD") or "build") .. "/flake-ctl"
      local out = process.run({ ctl, "explain", "foo", "--", "a b" }, { stdout = "pipe" }).stdout
      assert.matches("\npodman run %-%-rm %-%-detach .* %-%-name=flake%-foo .* img %-%-hold\n", out)
      assert.matches("\npodman exec %-i flake%-foo /run/podman%-init %-%- /usr/bin/foo 'a b'\n$",
        out)
    end)
  end)

  describe("bundles", function()
    before_each(function()
      oci_image.stand_in(place)
      oci_image.write(place.image, "img", "localhost/img:latest")
      register("tools", "--container", "img", "--app", "/usr/bin/a", "--app", "/usr/bin/b",
        "--share", "locale", "--resume", "--user-may-override")
      place:put("/usr/share/flakes/tools.d/10.yaml",
        "container: {runtime: {podman: [--read-only]}}")
      place:put("/usr/share/flakes/tools.d/launch.lua", "return function() end")
      place:put("/srv/extra.tar", "a tar")
      place:put("/usr/share/flakes/tools.d/20.yaml",
        ("include: {tar: [%s/srv/extra.tar]}"):format(place.root))
    end)

    it("go out and come back", function()
      local file = place.root .. "/tools.flake"
      local before = assert(pilot.load("tools"))
      assert.are.equal(0, (place:ctl("podman", "export", "--bundle", "tools", file)))
      assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/a")))
      local code, out = place:ctl("import", file)
      assert.are.same({ 0, "imported flake tools\n" }, { code, out })
      assert.are.equal("tools.yaml", fs.readlink(place.flakes .. "/b.yaml"))
      assert.are.same({}, fs.list(place.flakes .. "/tools.d"))
      assert.are.equal("a tar", fs.read(place.flakes .. "/tools.include/1"))
      local after = assert(pilot.load("tools"))
      for _, key in ipairs { "image", "apps", "options", "share", "resume", "user_may_override" } do
        assert.are.same(before[key], after[key], key)
      end
      assert.are.same({ place.flakes .. "/tools.include/1" }, after.include.tar)
      assert.are.equal(1, (place:ctl("import", file)))
      assert.are.equal(0, (place:ctl("import", "--force", file)))
    end)

    it("keep what commands have of their own, and parts", function()
      local file = place.root .. "/mix.flake"
      place:put("/usr/share/flakes/mix.yaml", [[
version: 2
runtime:
  name: localhost/delta
  base_layer: localhost/base
  layers: [localhost/mid]
  instance: resume
  path_map:
    /usr/bin/m1: {exports: /bin/m1, user: root, instance: attach}
    /usr/bin/m2:
    /usr/bin/m3: {exports: /, instance: ""}
engine: {pilot: podman, args: ["--net none"]}
]])
      local before = assert(pilot.load("mix"))
      assert.are.equal(0, (place:ctl("podman", "export", "--bundle", "mix", file)))
      for _, name in ipairs { "m1", "m2", "m3" } do fs.unlink(place.flakes .. "/" .. name) end
      fs.unlink(place.flakes .. "/mix.yaml")
      assert.are.equal(2, (place:ctl("import", file)))
      local code, _, err = place:ctl("import", "--yes", file)
      assert.are.equal(0, code, err)
      local after = assert(pilot.load("mix"))
      for _, app in ipairs(before.apps) do app.target = app.target or app.path end
      for _, key in ipairs { "image", "base", "layers", "apps", "options" } do
        assert.are.same(before[key], after[key], key)
      end
    end)

    it("are not believed", function()
      local archive = require "flake.archive"
      local function import(manifest)
        local dir = place.root .. "/evil"
        fs.remove_tree(dir)
        assert(fs.mkdir(dir))
        oci_image.write(dir .. "/image", "x")
        place:put("/evil/flake.yaml", "container: {name: x}")
        if manifest then place:put("/evil/bundle.yaml", manifest) end
        assert(archive.create(place.root .. "/evil.flake", dir))
        return place:ctl("import", place.root .. "/evil.flake")
      end
      assert.are.equal(1, (import(nil)))
      assert.are.equal(1, (import("format: 2")))
      assert.are.equal(1, (import("[")))
      assert.are.equal(1, (import(
        "{format: 1, name: x, engine: podman, image: i, apps: []}")))
      assert.are.equal(1, (import(
        "{format: 1, name: ../x, engine: podman, image: i, apps: [{path: /usr/bin/x}]}")))
      assert.are.equal(1, (import(
        "{format: 1, name: x, engine: podman, image: i, apps: [{path: usr/bin/x}]}")))
      oci_image.stand_in(place, '[ "$1" = load ] && exit 125')
      local code, _, err = import(
        "{format: 1, name: x, engine: podman, image: x, apps: [{path: /usr/bin/x}]}")
      assert.are.equal(1, code)
      assert.matches("podman could not load the bundle's image", err)
      assert.are.equal(1, (place:ctl("import", place.root .. "/nothing")))
    end)
  end)
end)
