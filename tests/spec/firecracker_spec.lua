-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker register, compose, list, show, stop, remove.
local archive = require "flake.archive"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local process = require "flake.process"
local tap = require "flake.tap"
local vm = require "flake.vm"
local yaml = require "flake.yaml"
local Place = require "support.place"
local user = require "support.user"
local vm_pilot = require "support.vm_pilot"

describe("flake-ctl firecracker", function()
  local place, state, images, storage

  before_each(function()
    place = Place.new()
    state = vm_pilot.pretend(place)
    images = place.root .. "/var/lib/firecracker/images"
    storage = place.root .. "/var/lib/firecracker/storage"
    place:stand_in("firecracker")
    place:stand_in("qemu-system-" .. vm.machine())
    place:stand_in("ip")
  end)

  after_each(function()
    user.leave()
    vm_pilot.leave()
    place:close()
  end)

  -- An image whose init is ours, or with old=true that of older tools.
  local function image(name, old)
    place:put(("/var/lib/firecracker/images/%s/kernel"):format(name), "kernel")
    place:put(("/var/lib/firecracker/images/%s/rootfs"):format(name), "rootfs")
    if not old then place:put(("/var/lib/firecracker/images/%s/channel"):format(name), "1\n") end
  end

  local function register(...)
    return place:ctl("firecracker", "register", "--vm", "leap", "--app", "/usr/bin/mybash",
      "--no-net", ...)
  end

  local function doc(name)
    return yaml.load(assert(fs.read(("%s/%s.yaml"):format(place.flakes, name or "mybash"))))
  end

  local function settings(name) return doc(name).vm.runtime.firecracker end

  local function templates()
    local found = {}
    for _, name in ipairs(fs.list(storage) or {}) do
      if name:match("%.ext4$") then table.insert(found, name) end
    end
    return found
  end

  describe("register", function()
    before_each(function() image("leap") end)

    it("writes a definition that older tools understand, with our keys", function()
      local code, _, err = register("--target", "/bin/bash", "--overlay-size", "20GiB")
      assert.are.equal(0, code, err)
      assert.are.equal("", err)
      local section = doc().vm
      assert.are.equal("leap", section.name)
      assert.are.equal("/usr/bin/mybash", section.host_app_path)
      assert.are.equal("/bin/bash", section.target_app_path)
      assert.are.same({ overlay_size = "20GiB", mem_size_mib = 4096, vcpu_count = 2,
        rootfs_image_path = images .. "/leap/rootfs", kernel_image_path = images .. "/leap/kernel",
        engine = "auto", network = false, boot_args = { "quiet" } }, settings())
      assert.are.equal("/usr/bin/firecracker-pilot", fs.readlink(place.root .. "/usr/bin/mybash"))
      local flake = assert(pilot.load("mybash"))
      assert.are.equal("firecracker", flake.engine)
      assert.are.equal("/bin/bash", flake.target)
      assert.are.same({}, flake.unknown)
    end)

    it("says to guests of older tools what their init needs", function()
      image("leap", true)
      fs.unlink(images .. "/leap/channel")
      assert.are.equal(0, (register("--force-vsock", "--boot-arg", "-x=1")))
      assert.are.same({ "init=/usr/sbin/sci", "console=ttyS0", "root=/dev/vda", "acpi=off",
        "rd.neednet=1", "quiet", "sci_force_vsock=1", "-x=1" },
        settings().boot_args)
      assert.is_true(doc().vm.runtime.force_vsock)
      for _, option in ipairs { "--resume", "--snapshot" } do
        local code, _, err = register(option, "--force")
        assert.are.equal(2, code)
        assert.matches("init of older tools", err)
      end
    end)

    it("takes sizes and numbers as people write them", function()
      for _, size in ipairs { "20GiB", "20GB", "20g", "512M", "1.5GiB" } do
        assert.are.equal(0, (register("--overlay-size", size, "--force")))
        assert.are.equal(size, settings().overlay_size)
      end
      assert.are.equal(0, (register("--mem", "512", "--vcpu", "32", "--force")))
      assert.are.equal(512, settings().mem_size_mib)
      assert.are.equal(32, settings().vcpu_count)
      assert.are.equal(0, (register("--mem", "1GiB", "--force")))
      assert.are.equal(1024, settings().mem_size_mib)
    end)

    it("refuses what cannot be, and writes nothing then", function()
      local bad = {
        { "no size", "--overlay-size", "20q" }, { "less than 1 MiB", "--overlay-size", "1" },
        { "more than 16 TiB", "--overlay-size", "17TiB" }, { "from 1 to 32", "--vcpu", "0" },
        { "from 1 to 32", "--vcpu", "33" }, { "from 1 to 32", "--vcpu", "1e1" },
        { "less than 32 MiB", "--mem", "31" }, { "no size", "--mem", "much" },
        { "more than 4 TiB", "--mem", "5TiB" }, { "absolute", "--target", "bash" },
        { "need %-%-overlay%-size", "--include-path", "/etc" }, { "ASCII", "--boot-arg", "a b" },
        { "ASCII", "--boot-arg", "ä" }, { "1500", "--boot-arg", ("x"):rep(1600) },
        { "no such file", "--overlay-size", "1g", "--include-tar", "/nowhere" },
        { "qemu cannot", "--snapshot", "--engine", "qemu" }, { "engine", "--engine", "xen" },
        { "no user", "--run-as", "nobody-of-that-name" },
      }
      for _, case in ipairs(bad) do
        local code, _, err = register(table.unpack(case, 2))
        assert.are.equal(2, err:find("no such file", 1, true) and 2 or code, err)
        assert.matches(case[1], err)
        assert.is_nil(fs.lstat(place.flakes .. "/mybash.yaml"))
        assert.is_nil(fs.lstat(place.root .. "/usr/bin/mybash"))
      end
      assert.are.same({}, templates())
    end)

    it("wants the image", function()
      local code, _, err = place:ctl("firecracker", "register", "--vm", "none", "--app", "/bin/x")
      assert.are.equal(1, code)
      assert.matches("there is no image 'none'", err)
      for _, name in ipairs { "../x", "a/b", "..", ".", "a\nb", "" } do
        code = place:ctl("firecracker", "register", "--vm", name, "--app", "/usr/bin/x")
        assert.are.equal(2, code)
      end
    end)

    it("makes paths of includes absolute and puts the files into the template", function()
      fs.unlink(images .. "/leap/channel") -- the place is below /tmp
      place:put("/host/tmp/note", "hello")
      local code, _, err = register("--overlay-size", "20MiB", "--include-path",
        place.root .. "/host/../host/tmp")
      assert.are.equal(0, code, err)
      assert.are.same({ place.root .. "/host/tmp" }, doc().include.path)
      assert.are.equal(1, #templates())
      local file = storage .. "/" .. templates()[1]
      assert.is_true(e2fs.check(file))
      assert.are.equal(20 << 20, fs.stat(file).size)
      assert.are.equal(420, fs.stat(file).mode)
      local files = assert(e2fs.walk(file))
      assert.are.equal(4, files.rootfs_work.mode >> 12)
      local note = files["rootfs_upper" .. place.root .. "/host/tmp/note"]
      assert.are.equal(0, note.uid)
      assert.are.equal("hello", (assert(e2fs.debugfs(file, { ("cat <%d>"):format(note.ino) }))
        :match("hello")))
    end)

    it("refuses includes that nobody would see", function()
      local code, _, err = register("--overlay-size", "1g", "--include-path", place.root)
      assert.are.equal(2, code)
      assert.matches("would not be seen: /tmp is new in each VM", err)
    end)

    it("puts includes where the image's links lead; its directories stay as they are", function()
      local root = place.root .. "/lower"
      assert(fs.mkdir_p(root .. "/usr/lib"))
      assert(fs.mkdir_p(root .. "/var"))
      assert(fs.mkdir(root .. "/srv", 449)) -- 0701
      assert(fs.symlink("usr/lib", root .. "/lib"))
      assert(fs.symlink("/var", root .. "/usr/lib/state"))
      fs.unlink(images .. "/leap/rootfs")
      assert(e2fs.make(images .. "/leap/rootfs", 4 << 20, { tree = root }))
      place:put("/inc/lib/state/x", "x")
      place:put("/inc/srv/y", "y")
      assert(archive.create(place.root .. "/inc.tar", place.root .. "/inc"))
      assert(archive.to_tar(place.root .. "/inc.tar", place.root .. "/inc2.tar", { "srv" }))
      local code, _, err = register("--overlay-size", "20MiB", "--include-tar",
        place.root .. "/inc2.tar")
      assert.are.equal(0, code, err)
      local files = assert(e2fs.walk(storage .. "/" .. templates()[1]))
      assert.is_nil(files["rootfs_upper/lib"])
      assert.is_truthy(files["rootfs_upper/var/x"])
      assert.are.equal(16384 + 449, files["rootfs_upper/srv"].mode)
    end)

    it("says aloud what does not fit, and leaves nothing", function()
      fs.unlink(images .. "/leap/channel")
      place:put("/host/big", ("x"):rep(3 << 20))
      local code, _, err = register("--overlay-size", "1MiB", "--include-path",
        place.root .. "/host/big")
      assert.are.equal(1, code)
      assert.matches("do the includes fit", err)
      assert.are.same({}, templates())
      assert.is_nil(fs.lstat(place.flakes .. "/mybash.yaml"))
    end)

    it("says once that there is no KVM", function()
      state.kvm, state.why = false, "/dev/kvm is missing"
      local code, _, err = register()
      assert.are.equal(0, code)
      assert.are.equal(1, select(2, err:gsub("\n", "")))
      assert.matches("no KVM here %(/dev/kvm is missing%): QEMU will emulate", err)
      _, _, err = register("--snapshot", "--force")
      assert.matches("%-%-snapshot: qemu cannot", err)
    end)

    it("saves a booted VM, or takes the flake back", function()
      local done, _, text = register("--snapshot")
      assert.are.equal(0, done, text)
      assert.are.equal(1, #state.snapshots)
      assert.is_true(settings().snapshot)
      state.snapshot_error = "no luck"
      local code, _, err = register("--snapshot", "--force", "--overlay-size", "1g")
      assert.are.equal(1, code)
      assert.matches("no luck", err)
      assert.is_nil(fs.lstat(place.flakes .. "/mybash.yaml"))
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/mybash"))
    end)

    it("replaces only with --force, and ends what the old flake had", function()
      assert.are.equal(0, (register("--overlay-size", "1g")))
      local old = templates()[1]
      state.instances = { { key = "mybash", flake = "mybash", pid = 1, engine = "qemu" },
        { key = "other", flake = "other", pid = 2, engine = "qemu" } }
      assert.are.equal(1, (register("--overlay-size", "2g")))
      assert.are.same({ old }, templates())
      place:put("/var/lib/firecracker/storage/mybash.overlay", "")
      place:put("/var/lib/firecracker/storage/mybash__b.overlay", "")
      place:put("/var/lib/firecracker/storage/mybash2.overlay", "")
      for _, saved in ipairs { "mybash", "mybash2" } do
        place:put(("/var/lib/firecracker/storage/%s-0123456789abcdef.snap/state"):format(saved), "")
      end
      assert.are.equal(0, (register("--overlay-size", "2g", "--force")))
      assert.are.same({ "mybash" }, state.stopped)
      assert.are.equal(1, #templates())
      assert.are_not.equal(old, templates()[1])
      assert.is_nil(fs.stat(storage .. "/mybash.overlay"))
      assert.is_nil(fs.stat(storage .. "/mybash__b.overlay"))
      assert.is_truthy(fs.stat(storage .. "/mybash2.overlay"))
      assert.is_nil(fs.stat(storage .. "/mybash-0123456789abcdef.snap"))
      assert.is_truthy(fs.stat(storage .. "/mybash2-0123456789abcdef.snap/state"))
    end)

    it("makes the network device as root, with the user as owner", function()
      user.become(place)
      user.gain_root()
      local code, _, err = place:ctl("firecracker", "register", "--vm", "leap", "--app",
        "/usr/bin/mybash", "--run-as", "joe")
      assert.are.equal(0, code, err)
      local calls = place:calls()
      assert.are.equal("ip tuntap add tap-mybash mode tap user joe", table.concat(calls[1], " "))
      assert.are.same({ "ip", "link", "set", "tap-mybash", "up" }, calls[2])
      assert.are.equal("tap-mybash", settings().tap)
      assert.is_true(settings().tap_made)
      assert.is_true(settings().network)
      assert.are.same({ "ip=dhcp", "quiet" }, settings().boot_args)
    end)

    it("takes the network device back when something fails", function()
      place:stand_in("ip", 'case "$1" in link) echo "RTNETLINK answers: no" >&2; exit 2;; esac')
      user.become(place)
      user.gain_root()
      local code, _, err = place:ctl("firecracker", "register", "--vm", "leap", "--app",
        "/usr/bin/mybash")
      assert.are.equal(1, code)
      assert.matches("RTNETLINK answers: no", err)
      assert.is_nil(fs.lstat(place.flakes .. "/mybash.yaml"))
    end)

    it("tells a user what the admin has to do for the network", function()
      local home = user.become(place)
      process.setenv("PATH", home .. "/.local/bin:" .. process.getenv("PATH"))
      local code, _, err = place:ctl("firecracker", "register", "--vm", "leap", "--user", "--app",
        home .. "/.local/bin/mybash")
      assert.are.equal(0, code, err)
      local name = tap.name("~mybash")
      assert.matches("as root: ip tuntap add " .. name .. " mode tap user joe", err, 1, true)
      local own = yaml.load(fs.read(home .. "/.flakes/flakes/mybash.yaml"))
      assert.are.equal(name, own.vm.runtime.firecracker.tap)
      assert.is_nil(own.vm.runtime.firecracker.tap_made)
    end)
  end)

  describe("doctor", function()
    local function doctor(...)
      local _, out = place:ctl("doctor", ...)
      return out
    end

    before_each(function()
      image("leap")
      place:put("/usr/bin/firecracker-pilot", "")
      assert.are.equal(0, (register("--overlay-size", "1g")))
    end)

    it("finds nothing wrong with a VM flake that is whole", function()
      assert.are.equal("all is well\n", doctor("mybash"))
    end)

    it("says what a VM flake lacks", function()
      user.become_root()
      fs.unlink(storage .. "/" .. templates()[1])
      fs.unlink(images .. "/leap/kernel")
      local out = doctor("mybash")
      assert.matches("its kernel is missing: " .. images .. "/leap/kernel", out, 1, true)
      assert.matches("remedy: flake-ctl firecracker pull --name leap", out, 1, true)
      assert.matches("remedy: flake-ctl firecracker compose mybash\n", out, 1, true)
    end)

    it("says what the engine lacks", function()
      place:ctl("firecracker", "register", "--vm", "leap", "--app", "/usr/bin/mybash", "--force")
      assert.matches("network device tap%-mybash is missing\n.*ip tuntap add", doctor("mybash"))
      fs.unlink(place.bin .. "/firecracker")
      fs.unlink(place.bin .. "/qemu-system-" .. vm.machine())
      local path = process.getenv("PATH")
      process.setenv("PATH", place.bin)
      local out = doctor("mybash")
      process.setenv("PATH", path)
      assert.matches("qemu-system-" .. vm.machine() .. " is not installed", out, 1, true)
    end)

    it("finds flakes that should resume an image of older tools", function()
      assert.are.equal(0, (register("--force", "--resume")))
      assert.is_nil(doctor("mybash"):find("cannot resume", 1, true))
      fs.unlink(images .. "/leap/channel")
      assert.matches("flake 'mybash' cannot resume", doctor("mybash"), 1, true)
    end)

    it("finds definitions that name no image files", function()
      place:put("/usr/share/flakes/empty.yaml",
        "vm: {name: leap, host_app_path: /usr/bin/empty, runtime: ~}")
      local out = doctor("empty")
      assert.matches("flake 'empty' names no rootfs", out, 1, true)
      assert.matches("flake 'empty' names no kernel", out, 1, true)
    end)

    it("finds what interrupted commands have left", function()
      user.become_root()
      local root = place.root .. "/var/lib/firecracker"
      place:put("/var/lib/firecracker/images/.making.x/image/rootfs", "")
      place:put("/var/lib/firecracker/images/.parts/abc.part", "")
      place:put("/var/lib/firecracker/images/.lock", "")
      place:put("/var/lib/firecracker/storage/.compose.y/disk", "")
      place:stand_in("podman")
      local out = doctor()
      for _, path in ipairs { "/images/.making.x", "/storage/.compose.y" } do
        assert.matches(("left by a command that was interrupted: %s%s\n  remedy: rm -r %s%s\n")
          :format(root, path, root, path), out, 1, true)
      end
      assert.matches("abc.part\n  remedy: get it again", out, 1, true)
      local held <close> = assert(fs.lock(root .. "/images/.lock", { shared = true }))
      assert.is_nil(doctor():find("images/", 1, true), held)
    end)

    it("finds disks of flakes that are gone, and KVM that is not", function()
      user.become_root()
      state.kvm, state.why = false, "guests hang"
      place:put("/var/lib/firecracker/storage/gone.overlay", "")
      place:put("/var/lib/firecracker/storage/mybash.overlay", "")
      local hash = "-0123456789abcdef.snap"
      assert(fs.mkdir_p(("%s/gone%s"):format(storage, hash)))
      assert(fs.mkdir_p(("%s/mybash%s.new"):format(storage, hash)))
      place:stand_in("podman")
      local out = doctor()
      assert.matches(("no flake for the saved VM %s/gone%s"):format(storage, hash), out, 1, true)
      assert.is_nil(out:find("mybash" .. hash, 1, true))
      local lost = ("no flake for the disk %s/gone.overlay\n  remedy: rm -r "):format(storage)
      assert.matches(lost, out, 1, true)
      assert.is_nil(out:find("mybash.overlay", 1, true))
      if fs.access("/dev/kvm", "rw") then
        assert.matches("KVM does not work here: guests hang", out, 1, true)
      else
        assert.matches("/dev/kvm", out, 1, true)
      end
    end)
  end)

  it("names network devices so that the kernel takes them", function()
    assert.are.equal("tap-abcdefghijk", tap.name("abcdefghijk"))
    local long = tap.name("abcdefghijkl")
    assert.are.equal(15, #long)
    assert.matches("^tap%-%x+$", long)
    assert.are_not.equal(long, tap.name("abcdefghijkm"))
    assert.matches("^tap%-%x+$", tap.name("~x"))
  end)

  describe("the other verbs", function()
    before_each(function()
      image("leap")
      image("old", true)
      assert.are.equal(0, (register("--overlay-size", "1g")))
    end)

    it("list shows images and who uses them", function()
      local code, out = place:ctl("firecracker", "list")
      assert.are.equal(0, code)
      assert.matches("leap +1 KiB +1 KiB +%- +ours +mybash\n", out)
      assert.matches("old +1 KiB +1 KiB +%- +older tools'", out)
      assert(fs.symlink(images .. "/leap", images .. "/link"))
      assert.matches("link +1 KiB", select(2, place:ctl("firecracker", "list")))
      code, out = place:ctl("firecracker", "list", "--format", "json")
      assert.are.equal(0, code)
      assert.are.equal("mybash", require("dkjson").decode(out)[1].flakes)
    end)

    it("flake-ctl list and about know VM flakes", function()
      assert.matches("mybash +firecracker +/usr/bin/mybash", select(2, place:ctl("list")))
      local _, out = place:run("flake-ctl-firecracker", "about")
      assert.are.equal("Manage firecracker micro vm flakes;ENGINE\n", out)
    end)

    it("flakes of other engines are left to their drivers", function()
      place:stand_in("podman")
      local function podman(verb, ...)
        return place:ctl("podman", verb, "--force", "--app", "/usr/bin/mybash", ...)
      end
      local code, _, err = podman("remove")
      assert.are.equal(2, code)
      assert.matches("flake%-ctl firecracker remove %-%-app /usr/bin/mybash", err)
      assert.are.equal(2, (podman("register", "--container", "img")))
      assert.are.equal(0, (place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")))
      assert.are.equal(0, (podman("register", "--container", "img")))
      code, _, err = register("--force")
      assert.are.equal(2, code)
      assert.matches("flake%-ctl podman remove", err)
      assert.are.equal(2, (place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")))
    end)

    it("show and stop know the VMs that run", function()
      state.instances = { { key = "mybash__b", flake = "mybash", instance = "b", pid = 12,
        engine = "qemu" }, { key = "mybash", flake = "mybash", pid = 11, engine = "qemu" } }
      local _, out = place:ctl("firecracker", "show")
      assert.matches("mybash +%- +qemu +11 +mybash\nmybash +b +qemu +12 ", out)
      assert.are.equal(2, (place:ctl("firecracker", "stop")))
      local code
      code, out = place:ctl("firecracker", "stop", "mybash", "@b")
      assert.are.equal(0, code)
      assert.are.equal("stopped mybash @b\n", out)
      assert.are.same({ "mybash__b" }, state.stopped)
      place:ctl("firecracker", "stop", "--all")
      assert.are.equal(3, #state.stopped)
    end)

    it("compose makes the template that is missing, and takes older ones away", function()
      local name = templates()[1]
      fs.unlink(storage .. "/" .. name)
      place:put("/var/lib/firecracker/storage/mybash-0123456789abcdef.ext4", "")
      place:put("/var/lib/firecracker/storage/mybash-x-0123456789abcdef.ext4", "")
      assert.are.equal(0, (place:ctl("firecracker", "compose", "mybash")))
      assert.are.same({ name, "mybash-x-0123456789abcdef.ext4" }, templates())
    end)

    it("remove takes a flake away with all that is its own", function()
      state.instances = { { key = "mybash", flake = "mybash", pid = 11, engine = "qemu" } }
      place:put("/var/lib/firecracker/storage/mybash.overlay", "")
      local code, _, err = place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")
      assert.are.equal(1, code)
      assert.matches("has running VMs", err)
      assert.is_truthy(fs.stat(storage .. "/mybash.overlay"))
      code = place:ctl("firecracker", "remove", "--force", "--app", "/usr/bin/mybash")
      assert.are.equal(0, code)
      assert.are.same({ "mybash" }, state.stopped)
      assert.are.same({}, templates())
      assert.is_nil(fs.stat(storage .. "/mybash.overlay"))
      assert.is_nil(fs.lstat(place.root .. "/usr/bin/mybash"))
      assert.is_truthy(fs.stat(images .. "/leap/rootfs"))
    end)

    it("remove knows definitions with empty sections, as older tools write them", function()
      place:put("/usr/share/flakes/empty.yaml",
        "vm: {name: leap, host_app_path: /usr/bin/empty, runtime: ~}")
      local code, _, err = place:ctl("firecracker", "remove", "--vm", "leap")
      assert.are.equal(0, code, err)
      assert.is_nil(fs.lstat(place.flakes .. "/empty.yaml"))
      assert.are.same({}, vm.settings { doc = { version = 2, engine = yaml.null } })
    end)

    it("remove --user takes own flakes of an image of the system away, and leaves that", function()
      local home = user.become(place)
      local app = home .. "/.local/bin/own"
      assert.are.equal(0, (place:ctl("firecracker", "register", "--vm", "leap", "--user",
        "--engine", "qemu", "--app", app)))
      local code, _, err = place:ctl("firecracker", "remove", "--user", "--vm", "leap")
      assert.are.equal(0, code, err)
      assert.is_nil(fs.lstat(app))
      assert.is_truthy(fs.stat(images .. "/leap/rootfs"))
      assert.are.equal(1, (place:ctl("firecracker", "remove", "--user", "--vm", "leap")))
    end)

    it("remove and register end VMs of the user whom the flake runs as, when forced", function()
      assert.are.equal(0, (register("--force", "--run-as", "nobody")))
      local function calls_of_sudo()
        local calls = {}
        for _, call in ipairs(place:calls()) do
          if call[1] == "sudo" then table.insert(calls, table.concat(call, " ", 2)) end
        end
        return calls
      end
      place:stand_in("sudo",
        [[case "$*" in *show*) echo '[{"key":"mybash__b"},{"key":"other"}]';; esac]])
      local code, _, err = place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")
      assert.are.equal(1, code)
      assert.matches("running VMs: sudo --user=nobody flake-ctl firecracker stop mybash", err, 1,
        true)
      assert.are.equal(1, #calls_of_sudo())
      assert.are.equal(0, (register("--force", "--run-as", "nobody")))
      assert.matches("^%-%-user=nobody %-%- .*/flake%-ctl firecracker stop mybash$",
        calls_of_sudo()[3])
      code = place:ctl("firecracker", "remove", "--force", "--app", "/usr/bin/mybash")
      assert.are.equal(0, code)
      assert.matches("firecracker stop mybash$", calls_of_sudo()[5])
    end)

    it("remove takes an image away with its flakes, and no other", function()
      assert.are.equal(1, (place:ctl("firecracker", "remove", "--vm", "none")))
      assert.are.equal(2, (place:ctl("firecracker", "remove", "--vm", "..")))
      assert.are.equal(0, (place:ctl("firecracker", "remove", "--vm", "leap")))
      assert.is_nil(fs.stat(images .. "/leap"))
      assert.is_nil(fs.lstat(place.flakes .. "/mybash.yaml"))
      assert.is_truthy(fs.stat(images .. "/old"))
    end)

    it("export and import carry all of it to another host", function()
      fs.unlink(images .. "/leap/channel")
      place:put("/host/file", "included")
      assert.are.equal(0, (register("--force", "--overlay-size", "20MiB", "--include-path",
        place.root .. "/host/file")))
      place:put("/usr/share/flakes/mybash.d/10.yaml",
        "vm: {runtime: {firecracker: {vcpu_count: 3}}}")
      local file = place.root .. "/mybash.flake"
      local code, _, err = place:ctl("firecracker", "export", "mybash", file)
      assert.are.equal(0, code, err)
      assert.are.equal(1, (place:ctl("import", file)))
      assert.are.equal(0, (place:ctl("firecracker", "remove", "--vm", "leap")))
      code, _, err = place:ctl("import", file)
      assert.are.equal(0, code, err)
      assert.are.equal("rootfs", fs.read(images .. "/leap/rootfs"))
      assert.is_nil(fs.stat(images .. "/leap/channel"))
      local params = vm.params(assert(pilot.load("mybash")))
      assert.are.equal("3", params.vcpu)
      assert.are.equal(images .. "/leap/rootfs", params.rootfs)
      assert.are.equal(1, #params.includes)
      assert.are.equal(1, #templates())
      assert.are.equal("/usr/bin/firecracker-pilot", fs.readlink(place.root .. "/usr/bin/mybash"))
      -- An image of that name with another content is only replaced on demand.
      place:put("/var/lib/firecracker/images/leap/rootfs", "other")
      place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")
      code, _, err = place:ctl("import", file)
      assert.are.equal(1, code)
      assert.matches("image 'leap' exists already, and is not the bundle's", err)
    end)

    it("import takes an initrd of an older bundle, which is not of whole pages", function()
      place:put("/var/lib/firecracker/images/leap/initrd", "070701")
      assert.are.equal(0, (register("--force", "--no-net")))
      local file = place.root .. "/mybash.flake"
      assert.are.equal(0, (place:ctl("firecracker", "export", "mybash", file)))
      assert.are.equal(0, (place:ctl("firecracker", "remove", "--vm", "leap")))
      for _ = 1, 2 do
        local code, _, err = place:ctl("import", file)
        assert.are.equal(0, code, err)
        assert.are.equal("070701" .. ("\0"):rep(4090), fs.read(images .. "/leap/initrd"))
        place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")
      end
    end)

    it("import --force ends what an older flake had, and composes the disk anew", function()
      fs.unlink(images .. "/leap/channel")
      local function bundle(text)
        place:put("/host/file", text)
        assert.are.equal(0, (register("--force", "--overlay-size", "20MiB", "--include-path",
          place.root .. "/host/file")))
        local file = ("%s/%s.flake"):format(place.root, text)
        assert.are.equal(0, (place:ctl("firecracker", "export", "mybash", file)))
        return file
      end
      local function included()
        local disk = storage .. "/" .. templates()[1]
        local name = ("rootfs_upper%s/host/file"):format(place.root)
        local file = assert(assert(e2fs.walk(disk))[name])
        return (assert(e2fs.debugfs(disk, { ("cat <%d>"):format(file.ino) })):match("%l+%-text"))
      end
      local old, new = bundle("old-text"), bundle("new-text")
      state.instances = { { key = "mybash", flake = "mybash", pid = 1, engine = "qemu" } }
      for _, file in ipairs { old, new, old } do
        state.stopped = {}
        place:put("/var/lib/firecracker/storage/mybash.overlay", "")
        local code, _, err = place:ctl("import", "--force", file)
        assert.are.same({ "mybash" }, state.stopped)
        assert.is_nil(fs.stat(storage .. "/mybash.overlay"))
        assert.are.equal(0, code, err)
        assert.are.equal(1, #templates())
        assert.are.equal(file:match("%l+%-text"), included())
      end
    end)

    it("import takes nothing that names files or devices of the host", function()
      local file, dir = place.root .. "/mybash.flake", place.root .. "/unpacked"
      assert.are.equal(0, (place:ctl("firecracker", "export", "mybash", file)))
      assert.are.equal(0, (place:ctl("firecracker", "remove", "--app", "/usr/bin/mybash")))
      assert(fs.mkdir(dir))
      assert(archive.extract(file, dir))
      local manifest = fs.read(dir .. "/bundle.yaml")
      assert.is_nil(manifest:find(images, 1, true))
      local function import()
        assert(archive.create(file, dir))
        return place:ctl("import", "--force", "--yes", file)
      end
      for _, key in ipairs { "initrd_path: /etc/shadow", "tap: lo", "tap_made: true",
        "kernel_image_path: /etc/shadow" } do
        place:put("/unpacked/bundle.yaml", (manifest:gsub("machine:", "machine:\n  " .. key)))
        local code, _, err = import()
        assert.are.equal(1, code)
        assert.matches("has no right 'machine'", err)
      end
      -- Format 1 has a definition of its own, of which such things are not taken.
      place:put("/unpacked/bundle.yaml", "{format: 1, name: mybash, engine: firecracker, "
        .. "image: leap, apps: [{path: /usr/bin/mybash, target: /usr/bin/mybash}], include: []}")
      place:put("/unpacked/flake.yaml", "vm: {name: leap, host_app_path: /usr/bin/mybash, "
        .. "target_app_path: /usr/bin/mybash, runtime: {firecracker: {vcpu_count: 3, "
        .. "rootfs_image_path: /dev/sda, kernel_image_path: /x}}}")
      place:put("/unpacked/flake.d/x.yaml",
        "vm: {runtime: {firecracker: {initrd_path: /etc/shadow, tap: lo}}}")
      local code, _, err = import()
      assert.are.equal(0, code, err)
      local params = vm.params(assert(pilot.load("mybash")))
      assert.are.same({ "3", images .. "/leap/rootfs", images .. "/leap/kernel" },
        { params.vcpu, params.rootfs, params.kernel })
      assert.is_nil(params.initrd)
      assert.is_nil(params.tap)
      place:put("/unpacked/flake.d/x.yaml", "include: {path: [/etc/shadow]}")
      code, _, err = import()
      assert.are.equal(1, code)
      assert.matches("says something else than its bundle.yaml", err)
    end)

    it("an image that must be signed comes in a signed bundle only", function()
      place:put("/k.pub", "untrusted comment: minisign public key A83A93F6DA952ACF\n"
        .. "RWTPKpXa9pM6qC5Y6xeEEPrUH+iP+t7P+Gsq9xfGCjk2BnTWTz8mRe16\n")
      local file = place.root .. "/mybash.flake"
      assert.are.equal(0, (place:ctl("firecracker", "export", "mybash", file)))
      assert.are.equal(0, (register("--force", "--require-signature", place.root .. "/k.pub")))
      assert.are.equal(1, #pilot.load("mybash").signature_keys)
      local code, _, err = place:ctl("import", "--force", "--yes", file)
      assert.are.equal(1, code)
      assert.matches("flake 'mybash' demands a signature", err)
      place:put("/rootfs", "x")
      code, _, err = place:ctl("firecracker", "pull", "--force", "--name", "leap", "--rootfs",
        place.root .. "/rootfs", "--kernel", place.root .. "/rootfs")
      assert.are.equal(1, code)
      assert.matches("flake 'mybash' demands signatures, which image 'leap' has only in", err)
      assert.are.equal(2, (register("--force", "--require-signature",
        place:put("/k.pem", "-----BEGIN PUBLIC KEY-----"))))
    end)

    it("import takes no files but those that an image has", function()
      local file, dir = place.root .. "/mybash.flake", place.root .. "/unpacked"
      assert.are.equal(0, (place:ctl("firecracker", "export", "mybash", file)))
      assert(fs.mkdir(dir))
      assert(archive.extract(file, dir))
      assert(fs.write(dir .. "/image/root", "a part of a name"))
      assert(archive.create(file, dir))
      local code, _, err = place:ctl("import", "--force", file)
      assert.are.equal(1, code)
      assert.matches("refusing image/root", err)
    end)
  end)
end)
