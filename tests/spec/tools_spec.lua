-- SPDX-License-Identifier: MIT
-- list, explain, doctor, and the launcher.
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

local json = require "dkjson"

describe("flake-ctl tools:", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
    place:ctl("podman", "register", "--container", "img", "--app", "/usr/bin/foo",
      "--opt", "--net none")
  end)

  after_each(function() place:close() end)

  describe("list", function()
    it("prints a table, JSON and CSV", function()
      assert.matches("foo%s+podman%s+/usr/bin/foo", select(2, place:ctl("list")))
      local rows = json.decode((select(2, place:ctl("list", "--format", "json"))))
      assert.are.equal("img", rows[1].image)
      assert.matches("^name,engine,app,target,image,file,error\nfoo,podman,",
        select(2, place:ctl("list", "--format", "csv")))
    end)

    it("lists a broken definition as broken", function()
      place:put("/usr/share/flakes/bad.yaml", 'container: ["a", "b,\n')
      local code, out, err = place:ctl("list")
      assert.are.equal(0, code)
      assert.matches("bad%s+broken", out)
      assert.matches("foo%s+podman", out)
      assert.matches("bad%.yaml:%d", err)
      local rows = json.decode((select(2, place:ctl("list", "--format", "json"))))
      assert.is_string(rows[1].error)
    end)

    it("says that there is nothing", function()
      place:ctl("podman", "remove", "--app", "/usr/bin/foo")
      assert.matches("^no flakes", select(2, place:ctl("list")))
      assert.are.equal("[]\n", select(2, place:ctl("list", "--format", "json")))
    end)

    it("names all commands of a flake, the first one first", function()
      place:ctl("podman", "register", "two", "--container", "img", "--app", "/usr/bin/z",
        "--app", "/usr/bin/a", "--target", "/")
      assert.matches("two%s+podman%s+/usr/bin/z,/usr/bin/a", select(2, place:ctl("list")))
      assert.matches('\ntwo,podman,"/usr/bin/z,/usr/bin/a",/,',
        select(2, place:ctl("list", "--format", "csv")))
      local row = json.decode((select(2, place:ctl("list", "--format", "json"))))[2]
      assert.are.equal("/usr/bin/z", row.app)
      assert.are.same({ "/usr/bin/z", "/usr/bin/a" }, row.apps)
    end)

    it("lists what the pilots run, and links that lead nowhere as broken", function()
      place:put("/etc/sl.yaml", "container: {name: img}")
      assert(fs.symlink(place.root .. "/etc/sl.yaml", place.flakes .. "/sl.yaml"))
      assert(fs.symlink("gone.yaml", place.flakes .. "/dangling.yaml"))
      assert(fs.symlink("loop.yaml", place.flakes .. "/loop.yaml"))
      local _, out = place:ctl("list")
      assert.matches("\nsl%s+podman", out)
      assert.matches("\ndangling%s+broken", out)
      assert.matches("\nloop%s+broken", out)
      local code
      code, out = place:ctl("doctor")
      assert.are.equal(1, code)
      assert.matches("dangling%.yaml", out)
      assert.matches("loop%.yaml", out)
    end)

    it("says when it cannot read the directory", function()
      fs.remove_tree(place.flakes)
      assert.are.equal(0, (place:ctl("list")))
      assert(fs.symlink("flakes", place.flakes))
      assert.are.equal(1, (place:ctl("list")))
    end)

    it("lets no control characters through to a terminal", function()
      place:put("/usr/share/flakes/bad.yaml", 'container: {name: a, host_app_path: "\\e]0;x"}')
      assert.is_nil((select(3, place:ctl("list"))):find("\27"))
      place:put("/usr/share/flakes/esc.yaml", 'container: {name: "a\\e[31mb"}')
      assert.is_nil((select(2, place:ctl("list"))):find("\27"))
    end)
  end)

  describe("explain", function()
    it("prints a line for a shell that gives the same arguments", function()
      local args = { "a b", "it's", "$x", "new\nline", "\255\254", "", "*" }
      local _, out = place:ctl("explain", "foo", "--", table.unpack(args))
      local line = out:match("(podman run .*)\n$")
      fs.unlink(place.log)
      process.run({ "bash", "-c", line })
      local text = fs.read(place.log)
      for _, arg in ipairs(args) do
        -- broken UTF-8 travels encoded when flake-init decodes it in the container
        if arg ~= "\255\254" then assert.is_truthy(text:find(arg, 1, true), arg) end
      end
    end)

    it("prints the plan as JSON, with files and hooks", function()
      place:put("/etc/flakes/hooks/launch.d/x.lua", "return function() end")
      local plan = json.decode((select(2, place:ctl("explain", "foo", "--format", "json"))))
      assert.are.equal("podman", plan.argv[1])
      assert.are.same({ place.flakes .. "/foo.yaml" }, plan.files)
      assert.are.equal(1, #plan.hooks)
      assert.matches("hook ", select(2, place:ctl("explain", "foo")))
    end)

    it("is valid JSON whatever bytes there are", function()
      local _, out = place:ctl("explain", "foo", "--format", "json", "--", "a\255b")
      assert.is_truthy(utf8.len(out))
      assert.are.equal("a\u{FFFD}b", json.decode(out).args[1])
    end)

    it("names what is missing", function()
      local code, _, err = place:ctl("explain", "nothing")
      assert.are.equal(1, code)
      assert.matches("nothing%.yaml", err)
    end)
  end)

  describe("doctor", function()
    local function findings(...)
      local code, out = place:ctl("doctor", "--format", "json", ...)
      return code, json.decode(out)
    end

    local function has(list, text)
      for _, finding in ipairs(list) do
        if finding.what:find(text, 1, true) then return finding end
      end
    end

    it("finds a good flake well", function()
      place:put("/usr/bin/podman-pilot", "")
      assert.are.same({ 0, "all is well\n", "" }, { place:ctl("doctor", "foo") })
      assert.are.equal(1, (place:ctl("doctor", "nothing")))
    end)

    it("names broken definitions, unknown keys and missing images", function()
      place:put("/usr/bin/podman-pilot", "")
      place:put("/usr/share/flakes/foo.d/1.yaml", "colour: red")
      place:stand_in("podman", 'test "$1" != image')
      local code, list = findings("foo")
      assert.are.equal(0, code)
      assert.are.equal("warning", has(list, "unknown key 'colour'").severity)
      assert.matches("podman pull", has(list, "is not here").remedy)
      place:put("/usr/share/flakes/foo.d/1.yaml", "[")
      code, list = findings()
      assert.are.equal(1, code)
      assert.are.equal("serious", has(list, "1.yaml:").severity)
      assert.matches("remedy: ", select(2, place:ctl("doctor")))
    end)

    it("names what is half there", function()
      fs.unlink(place.root .. "/usr/bin/foo")
      fs.symlink("/usr/bin/podman-pilot", place.root .. "/usr/bin/lonely")
      fs.symlink("/usr/bin/podman-pilot", place.root .. "/usr/bin/foo.tmp.77")
      place:put("/usr/share/flakes/x.yaml.tmp.AAAAAA", "")
      local code, list = findings()
      assert.are.equal(1, code)
      assert.is_truthy(has(list, "/usr/bin/foo"))
      assert.is_truthy(has(list, "/usr/bin/lonely"))
      assert.is_truthy(has(list, "foo.tmp.77"))
      assert.is_truthy(has(list, "x.yaml.tmp.AAAAAA"))
      place:ctl("podman", "register", "--force", "--container", "i", "--app", "/usr/bin/foo")
      local pilot = "/nowhere/podman-pilot"
      fs.unlink(place.root .. "/usr/bin/foo")
      fs.symlink(pilot, place.root .. "/usr/bin/foo")
      assert.is_truthy(has(select(2, findings()), "pilot behind"))
    end)

    it("names an engine that does not work, broken drivers and hooks, open roots", function()
      place:stand_in("podman", "echo 'no store' >&2; exit 125")
      place:put("/etc/flakes/runtimes/bad.lua", "return {")
      place:put("/etc/flakes/hooks/exit.d/bad.lua", "return (")
      fs.chmod(place.flakes, 511)
      local code, list = findings()
      fs.chmod(place.flakes, 493)
      assert.are.equal(1, code)
      assert.is_truthy(has(list, "no store"))
      assert.is_truthy(has(list, "runtimes/bad.lua"))
      assert.is_truthy(has(list, "exit.d/bad.lua"))
      assert.is_truthy(has(list, "others can write"))
      process.setenv("PATH", "/nonexistent")
      assert.is_truthy(has(select(2, findings()), "podman is not installed"))
    end)

    it("finds a missing command by the name of the flake and of each command", function()
      place:put("/usr/bin/podman-pilot", "")
      place:ctl("podman", "register", "two", "--container", "img", "--app", "/usr/bin/a",
        "--app", "/usr/bin/b", "--target", "/")
      fs.unlink(place.root .. "/usr/bin/b")
      for _, name in ipairs { "two", "a", "b" } do
        assert.is_truthy(has(select(2, findings(name)), "/usr/bin/b"), name)
      end
    end)

    it("looks into each directory once", function()
      assert(fs.symlink("usr/bin", place.root .. "/bin"))
      fs.symlink("/usr/bin/podman-pilot", place.root .. "/usr/bin/lonely")
      local count = 0
      for _, finding in ipairs((select(2, findings()))) do
        if finding.what:find("lonely", 1, true) then count = count + 1 end
      end
      assert.are.equal(1, count)
    end)

    describe("network", function()
      local network = require "flake.doctor.network"
      local config = require "flake.doctor.config"
      local real_access, real_files = fs.access, config.files
      local found

      local function add(severity, what, remedy)
        table.insert(found, ("%s: %s; %s"):format(severity, what, remedy))
      end

      local function check(how, info, ...)
        found = {}
        info.executables = info.executables or {}
        network[how](add, info, ...)
        return table.concat(found, "\n")
      end

      before_each(function()
        process.setenv("PATH", place.bin)
        fs.access = function(path, mode)
          return not path:find("bin/", 1, true) and real_access(path, mode)
        end
        config.files = function() return { place.root .. "/containers.conf" } end
      end)

      after_each(function() fs.access, config.files = real_access, real_files end)

      it("of root needs what netavark runs", function()
        local old = { backend = "netavark", netavark = "1.4.0" }
        local new = { backend = "netavark", netavark = "1.14.0" }
        assert.matches("serious: iptables is missing", check("bridge", old), 1, true)
        assert.matches("serious: iptables is missing", check("bridge", { backend = "netavark" }), 1,
          true)
        local finding = check("bridge", new)
        assert.matches("serious: nft is missing, which netavark uses", finding, 1, true)
        assert.matches("; install the package nftables", finding, 1, true)
        place:put("/containers.conf", '[network]\n#firewall_driver = "none"\n'
          .. 'firewall_driver = "iptables"\n')
        assert.matches("iptables is missing", check("bridge", new), 1, true)
        place:put("/containers.conf", 'firewall_driver = "none"\n')
        assert.are.equal("", check("bridge", new))
        fs.unlink(place.root .. "/containers.conf")
        place:stand_in("nft")
        assert.are.equal("", check("bridge", new))
        assert.are.equal("", check("bridge", { backend = "cni" }))
        assert.are.equal("", check("bridge", {}))
      end)

      it("of users needs pasta or slirp4netns, and the device", function()
        local tun = place:put("/tun", "")
        local function missing(info, device) return check("rootless", info, device or tun) end
        assert.matches("serious: slirp4netns is missing", missing { version = "4.9.3" }, 1, true)
        local finding = missing { version = "5.4.2" }
        assert.matches("serious: pasta is missing", finding, 1, true)
        assert.matches("; install the package passt", finding, 1, true)
        assert.matches("slirp4netns is missing",
          missing { version = "5.4.2", rootless_cmd = "slirp4netns" }, 1, true)
        place:put("/containers.conf", 'default_rootless_network_cmd = "pasta"\n')
        assert.matches("pasta is missing", missing { version = "4.9.3" }, 1, true)
        local info = { version = "5.4.2", executables = { pasta = "/usr/lib/podman/pasta" } }
        assert.are.equal("", missing(info))
        place:stand_in("pasta")
        assert.are.equal("", missing { version = "5.4.2" })
        assert.matches("warning: /nowhere/tun is missing.*modprobe tun",
          missing(info, "/nowhere/tun"))
        fs.access = function() return false end
        assert.matches("warning: you may not use " .. tun, missing(info), 1, true)
        assert.are.equal("", missing {})
      end)

      it("is looked at with what podman tells of itself", function()
        place:stand_in("podman", [[case "$*" in
          "info --format json") echo '{"host":{"networkBackend":"netavark",
            "networkBackendInfo":{"version":"netavark 1.14.0"},"slirp4netns":{"executable":""},
            "pasta":{"executable":""}},"version":{"Version":"5.4.2"}}' ;;
          esac]])
        local text = fs.getuid() == 0 and "nft is missing" or "pasta is missing"
        assert.are.equal("serious", has(select(2, findings()), text).severity)
      end)
    end)

    describe("store", function()
      local storage = require "flake.doctor.storage"
      local dirs

      before_each(function()
        dirs = { place.root .. "/usr/share/containers", place.root .. "/etc/containers",
          place.root .. "/home/.config/containers" }
        place:put("/etc/containers/storage.conf",
          '[storage]\n# graphroot = "/no"\ndriver = "overlay"\n graphroot = "/nowhere/store"\n')
      end)

      local function line()
        local found = storage.misplaced(dirs)
        return found and ("%s:%d"):format(found.file:match("containers/(.*)"), found.line)
      end

      it("of users is where the system's storage.conf says", function()
        assert.are.equal("storage.conf:4", line())
        place:put("/etc/containers/storage.conf.d/1.conf", '[storage]\ngraphroot = "/nowhere"\n')
        assert.are.equal("storage.conf.d/1.conf:2", line())
        place:put("/etc/containers/storage.rootless.conf.d/1.conf", "graphroot = '/nowhere'\n")
        assert.is_nil(line())
      end)

      it("is fine where the line is root's alone, the user's own or not one place", function()
        place:put("/home/.config/containers/storage.conf", '[storage]\ndriver = "vfs"\n')
        assert.is_nil(line())
        fs.remove_tree(place.root .. "/home")
        place:put("/etc/containers/storage.conf", 'graphroot = "$HOME/store"\n')
        assert.is_nil(line())
        place:put("/etc/containers/storage.conf", 'runroot = "/run"\n')
        place:put("/etc/containers/storage.rootful.conf.d/1.conf", 'graphroot = "/nowhere"\n')
        assert.is_nil(line())
      end)

      it("is named by line and remedy from podman 5.8 on", function()
        local found
        local function add(...) found = { ... } end
        storage.check(add, { version = "5.7.0" }, dirs)
        storage.check(add, {}, dirs)
        assert.is_nil(found)
        storage.check(add, { version = "5.8.6" }, dirs)
        assert.are.equal(fs.getuid() == 0 and "warning" or "serious", found[1])
        assert.matches('/etc/containers/storage.conf:4: graphroot = "/nowhere/store" counts',
          found[2], 1, true)
        assert.matches("/etc/containers/storage.rootful.conf.d/", found[3], 1, true)
      end)

      it("is known of though podman does nothing because of it", function()
        place:stand_in("podman", [[case "$*" in
          --version) echo "podman version 5.8.6" ;;
          *) echo "Error: open /run/libpod/events: permission denied" >&2; exit 125 ;;
          esac]])
        local real = require("flake.doctor.config").dirs
        require("flake.doctor.config").dirs = function() return dirs end
        local list = select(2, findings())
        require("flake.doctor.config").dirs = real
        assert.is_truthy(has(list, "podman does not work: open /run/libpod/events"))
        assert.is_truthy(has(list, "counts for ordinary users"))
      end)
    end)

    describe("limits", function()
      local real_read = fs.read
      local caps, conf

      local function limits()
        fs.read = function(path, ...)
          if path == "/proc/self/status" then return "Name:\tx\nCapEff:\t" .. caps .. "\n" end
          if path == "/proc/self/limits" then
            return "Limit\nMax processes   100   unlimited   processes\n"
              .. "Max open files   1024   4096   files\n"
          end
          if path == "/conf" then return conf end
          return real_read(path, ...)
        end
        process.setenv("CONTAINERS_CONF", "/conf")
        local finding = has(select(2, findings()), "cannot set the limits")
        process.setenv("CONTAINERS_CONF", nil)
        fs.read = real_read
        return finding
      end

      before_each(function() caps, conf = "0000000000000000", nil end)
      after_each(function() fs.read = real_read end)

      it("are serious where podman wants more than it may give", function()
        conf = '[containers]\ndefault_ulimits = [\n "nofile=1024:4097",\n]\n'
        local finding = limits()
        assert.are.equal("serious", finding.severity)
        assert.matches("wants nofile 4097, 4096 are allowed", finding.what)
        assert.matches('default_ulimits = ["nofile=4096:4096"', finding.remedy, 1, true)
      end)

      it("are podman's own for root where only some are set, up to podman 4.8", function()
        conf = '#default_ulimits = []\ndefault_ulimits = ["nproc=1:2"]\n'
        assert.are.equal(fs.getuid() == 0, limits() ~= nil)
        for version, wrong in pairs { ["4.3.1"] = fs.getuid() == 0, ["4.9.3"] = false,
          ["5.4.2"] = false } do
          place:stand_in("podman", ([[echo '{"version":{"Version":"%s"}}']]):format(version))
          assert.are.equal(wrong, limits() ~= nil, version)
        end
      end)

      it("are too high where there is to be none", function()
        place:stand_in("podman", [[echo '{"version":{"Version":"5.4.2"}}']])
        conf = 'default_ulimits = ["nofile=-1:-1"]\n'
        assert.matches("wants nofile inf, 4096 are allowed", limits().what)
      end)

      it("are fine with what containers.conf says, and with CAP_SYS_RESOURCE", function()
        conf = 'default_ulimits = ["nofile=1024:4096", "nproc=1:2"]\n'
        assert.is_nil(limits())
        conf = '#default_ulimits = ["nofile=1024:9999999"]\n'
        assert.is_nil(limits())
        caps, conf = "0000000001000000", 'default_ulimits = ["nofile=1024:9999999"]\n'
        assert.is_nil(limits())
      end)
    end)
  end)

  -- The launcher becomes another program, so it runs as a process of its own.
  describe("flake-launch", function()
    local function launch(...)
      local r = assert(process.run({ "lua5.4", place.root .. "/foo", ... },
        { stdout = "pipe", stderr = "pipe" }))
      return r.code, r.stdout, r.stderr
    end

    before_each(function()
      place:put("/foo", ([[
        os.exit(require("flake.launch")("/usr/bin/foo", { table.unpack(arg) },
          { share = %q, prefix_root = %q }))
      ]]):format(fs.realpath("."), place.root))
    end)

    it("runs the plan that the hooks have changed", function()
      place:put("/etc/flakes/hooks/launch.d/1.lua", [[
        return function(event)
          event.env.A = "b"
          table.insert(event.args, 1, "first")
          table.insert(event.options, "--read-only")
        end]])
      place:stand_in("podman", "exit 7")
      fs.unlink(place.log)
      assert.are.equal(7, (launch("second")))
      local call = table.concat(place:calls()[1], " ")
      assert.matches("%-%-env=A=b", call)
      assert.matches("%-%-read%-only", call)
      assert.matches("img first second$", call)
    end)

    it("closes when a hook denies or fails", function()
      place:put("/etc/flakes/hooks/launch.d/1.lua", 'return function() flake.deny("no") end')
      local code, _, err = launch()
      assert.are.equal(126, code)
      assert.matches("1%.lua: no", err)
      place:put("/etc/flakes/hooks/launch.d/1.lua", "return function() error('x') end")
      assert.are.equal(126, (launch()))
      place:put("/etc/flakes/hooks/launch.d/1.lua",
        "return function(event) event.args = { {} } end")
      assert.are.equal(126, (launch()))
    end)

    it("tells exit hooks what became of it", function()
      place:put("/etc/flakes/hooks/exit.d/1.lua", ([[
        return function(event)
          local f <close> = io.open("%s/note", "w")
          f:write(event.flake, event.status)
        end]]):format(place.root))
      place:stand_in("podman", "exit 9")
      assert.are.equal(9, (launch()))
      assert.are.equal("foo9", fs.read(place.root .. "/note"))
      place:stand_in("podman", "kill -15 $$")
      assert.are.equal(143, (launch()))
    end)

    it("launches engines without pilot by their driver", function()
      place:put("/usr/share/flakes/foo.yaml",
        "version: 2\nruntime: {name: x}\nengine: {pilot: mine}\n")
      local code, _, err = launch()
      assert.are.equal(126, code)
      assert.matches("no engine 'mine'", err)
      local function driver(more)
        place:put("/etc/flakes/runtimes/mine.lua", [[
          local verb = { about = "It.", run = function() end }
          return { api = 1, about = "Mine.", commands = { register = verb, export = verb },
            ]] .. more .. " }")
      end
      driver("launch = function(plan) return #plan.args end")
      assert.are.equal(2, (launch("a", "b")))
      driver("launch = function() return nil, 'sorry' end")
      assert.are.equal(125, (launch()))
      driver("")
      assert.are.equal(126, (launch()))
      driver([[launch = function() return 0 end,
        explain = function(plan) return { "box", plan.image } end]])
      assert.are.same({ 0, "", "+ box x\n" }, { launch("%debug") })
      assert.matches("\nbox x\n$", select(2, place:ctl("explain", "foo")))
      driver("explain = function() return nil, 'not today' end")
      assert.matches("not today", select(3, place:ctl("explain", "foo")))
    end)

    it("stops where hooks may be that it cannot see", function()
      assert(fs.mkdir_p(place.root .. "/etc/flakes/hooks"))
      for _, kind in ipairs { "launch", "exit" } do
        -- a link to itself is what root cannot look into either
        local dir = ("%s/etc/flakes/hooks/%s.d"):format(place.root, kind)
        assert(fs.symlink(kind .. ".d", dir))
        local code, _, err = launch()
        assert.are.equal(126, code)
        assert.matches("cannot look for hooks: cannot read directory " .. dir, err, 1, true)
        assert.are.equal(1, (place:ctl("explain", "foo")))
        assert.matches("cannot look for hooks", select(2, place:ctl("doctor")))
        fs.unlink(dir)
      end
      assert.are.equal(0, (launch()))
    end)

    it("gives another user's process a minimal environment, with exit hooks too", function()
      place:put("/usr/share/flakes/foo.yaml",
        "container: {name: img, runtime: {runas: nobody}}")
      place:put("/etc/flakes/hooks/exit.d/1.lua", "return function() end")
      place:stand_in("sudo", "env >" .. place.root .. "/env")
      process.setenv("SECRET_TOKEN", "secret")
      assert.are.equal(0, (launch()))
      process.setenv("SECRET_TOKEN", nil)
      local text = "\n" .. fs.read(place.root .. "/env")
      assert.is_nil(text:find("SECRET_TOKEN", 1, true))
      assert.matches("\nPATH=/usr/local/sbin:", text)
    end)

    it("finds the flake of a link to a command, and shows the plan for PILOT_DEBUG", function()
      assert(fs.symlink("/usr/bin/foo", place.root .. "/foo2"))
      place:put("/foo",
        (fs.read(place.root .. "/foo"):gsub("/usr/bin/foo", place.root .. "/foo2")))
      place:stand_in("podman", "exit 7")
      assert.are.equal(7, (launch()))
      process.setenv("PILOT_DEBUG", "1")
      local code, _, err = launch()
      process.setenv("PILOT_DEBUG", nil)
      assert.are.equal(7, code)
      assert.matches("^%+ podman run", err)
    end)

    it("prints what a hook says as one line without control characters", function()
      place:put("/etc/flakes/hooks/launch.d/1.lua",
        [[return function() error("a\27[31mb\n\tc\u{9b}d") end]])
      local _, _, err = launch()
      assert.matches("a%?%[31mb c%?d\n$", err)
      assert.are.equal(1, select(2, err:gsub("\n", "")))
    end)

    it("says what is missing", function()
      fs.unlink(place.flakes .. "/foo.yaml")
      assert.are.equal(127, (launch()))
      place:put("/usr/share/flakes/foo.yaml", "[")
      assert.are.equal(126, (launch()))
    end)
  end)
end)
