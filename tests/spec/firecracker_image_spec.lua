-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker pull and build-image, with real file systems, archives and downloads.
local archive = require "flake.archive"
local digest = require "flake.digest"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"
local vm_store = require "flake.vm_store"
local vm_pilot = require "support.vm_pilot"

local build = process.getenv("FLAKE_BUILD") or "build"

local A_KERNEL = "\x7fELF a kernel"
-- With drivers of a root file system.
local MINE = "\x7fELF mine\0virtio_blk\0virtio-mmio\0ext4\0"

describe("images of VMs", function()
  local place, images, files, server, base

  setup(function()
    files = assert(fs.temp_dir())
    local dir = files:path()
    assert(fs.mkdir_p(dir .. "/tree/bin"))
    assert(fs.write(dir .. "/tree/bin/app", "the application"))
    assert(e2fs.make(dir .. "/rootfs", 4 << 20, { tree = dir .. "/tree" }))
    assert(fs.write(dir .. "/kernel", A_KERNEL))
    server = assert(process.spawn({ "python3", "tests/spec/support/http_server.py",
      dir .. "/socket", dir }, { stdin = "pipe", stdout = "pipe" }))
    base = "http://127.0.0.1:" .. server:read("stdout"):match("%d+")
  end)

  teardown(function()
    server:close_stdin()
    server:wait(5)
    files:close()
  end)

  before_each(function()
    place = Place.new()
    vm_pilot.pretend(place)
    images = place.root .. "/var/lib/firecracker/images"
  end)

  after_each(function()
    vm_pilot.leave()
    place:close()
  end)

  local function pull(...)
    return place:ctl("firecracker", "pull", "--name", "leap", ...)
  end

  local function file(name) return files:path() .. "/" .. name end

  -- A text with as many zeros as fill its last page.
  local function whole_pages(text) return text .. ("\0"):rep(-#text % 4096) end

  -- What is in the directory of images, hidden things too.
  local function left()
    return table.concat(fs.list(images) or {}, " ")
  end

  -- A kis archive of these files; those whose value is nil are left out. Returns its path.
  local function kis(name, more, opts)
    local dir = file("kis-" .. name)
    fs.remove_tree(dir)
    assert(fs.mkdir(dir))
    local content = { ["os.x86_64-1.15.4.kernel"] = A_KERNEL, ["os.x86_64-1.15.4.initrd"] = "ird",
      ["os.x86_64-1.15.4.append"] = "root=x" }
    for key, value in pairs(more or {}) do content[key] = value or nil end
    for key, value in pairs(content) do assert(fs.write(dir .. "/" .. key, value)) end
    if not (opts and opts.no_rootfs) then
      assert(fs.copy(file("rootfs"), dir .. "/os.x86_64-1.15.4"))
    end
    assert(archive.create(file(name), dir, { compression = "zstd" }))
    return file(name)
  end

  local function good_record(algorithm)
    return ("%s %d 4096\n"):format(digest.file(file("rootfs"), algorithm), (4 << 20) // 4096)
  end

  describe("components", function()
    it("get our init and its directories, whatever the way they come", function()
      local code, _, err = pull("--rootfs", "file://" .. file("rootfs"), "--kernel", file("kernel"))
      assert.are.equal(0, code, err)
      assert.are.equal(".lock leap", left())
      assert.are.same({ "channel", "kernel", "rootfs" }, fs.list(images .. "/leap"))
      local rootfs = images .. "/leap/rootfs"
      assert.is_true(e2fs.check(rootfs))
      local there = assert(e2fs.walk(rootfs))
      assert.are.equal(33261, there["usr/sbin/sci"].mode) -- 0100755
      assert.are.equal(17407, there.tmp.mode) -- 041777
      for _, name in ipairs { "overlayroot", "proc", "sys", "dev", "dev/pts", "mnt", "run" } do
        assert.are.equal(16877, there[name].mode, name) -- 040755
        assert.are.equal(0, there[name].uid)
      end
      assert.is_truthy(there["bin/app"])
      assert.are.equal(A_KERNEL, fs.read(images .. "/leap/kernel"))
      assert.are.equal("1\n", fs.read(images .. "/leap/channel"))
    end)

    it("grow when the init does not fit", function()
      assert(fs.write(file("tree/filler"), ("x"):rep(900 << 10)))
      fs.unlink(file("small"))
      assert(e2fs.make(file("small"), 1 << 20, { tree = file("tree") }))
      fs.unlink(file("tree/filler"))
      local code, _, err = pull("--rootfs", file("small"), "--kernel", file("kernel"))
      assert.are.equal(0, code, err)
      assert.is_true(fs.stat(images .. "/leap/rootfs").size > 1 << 20)
    end)

    it("may be compressed", function()
      assert(process.run { "xz", "--keep", "--force", file("rootfs") })
      local code, _, err = pull("--rootfs", file("rootfs.xz"), "--kernel", file("kernel"),
        "--initrd", file("kernel"))
      assert.are.equal(0, code, err)
      assert.are.equal(whole_pages(A_KERNEL), fs.read(images .. "/leap/initrd"))
      assert.is_true(e2fs.check(images .. "/leap/rootfs"))
    end)

    it("must be a file system and a kernel", function()
      local code, _, err = pull("--rootfs", file("kernel"), "--kernel", file("kernel"))
      assert.are.equal(1, code)
      assert.matches("none of ext2, ext3, ext4", err)
      assert(fs.write(file("empty"), ""))
      assert.are.equal(1, (pull("--rootfs", file("rootfs"), "--kernel", file("empty"))))
      assert.are.equal(1, (pull("--rootfs", file("rootfs"), "--kernel", "/nowhere/kernel")))
      assert.are.equal(".lock", left())
    end)
  end)

  describe("pull", function()
    it("refuses names that are none", function()
      for _, name in ipairs { "", ".", "..", "../x", "a/b", "a\nb", "-x", ".x" } do
        local code = place:ctl("firecracker", "pull", "--name=" .. name, "--kis-image", "/x")
        assert.are.equal(2, code)
      end
    end)

    it("wants one kind of source", function()
      for _, args in ipairs { {}, { "--rootfs", "/x" }, { "--kernel", "/x" },
        { "--kis-image", "/x", "--kernel", "/y" }, { "--kis-image", "ftp://x/y" },
        { "--kis-image", "file://host/y" }, { "--kis-image", "/x", "--sha256", "12" } } do
        assert.are.equal(2, (pull(table.unpack(args))))
      end
    end)

    it("prints nothing of an address that may be a secret", function()
      local secret = base:gsub("//", "//me:secret@")
      for _, args in ipairs { { secret .. "/nothing?t=secret", "--insecure-http" },
        { secret .. "/nothing?t=secret" }, { "ftp://me:secret@host/x" },
        { "http://me:secret@h/\1" },
        { secret .. "/tree/kernel?secret", "--insecure-http" },
        { secret .. "/tree/a.tar.xz?secret", "--insecure-http", "--sha256", ("0"):rep(64) } } do
        local code, out, err = pull("--kis-image", table.unpack(args))
        assert.is_true(code ~= 0)
        assert.is_nil((out .. err):find("secret"))
      end
    end)

    it("takes http only where it is allowed", function()
      kis("a.tar.xz", { ["os.x86_64-1.15.4.md5"] = good_record("md5") })
      local code, _, err = pull("--kis-image", base .. "/tree/a.tar.xz")
      assert.are.equal(2, code)
      assert.matches("only https", err)
      assert.are.equal(0, (pull("--kis-image", base .. "/tree/a.tar.xz", "--insecure-http")))
      assert.are.equal(".lock leap", left())
      process.setenv("FLAKE_ALLOW_INSECURE_TRANSPORT", "")
      code, _, err = pull("--kis-image", base .. "/tree/a.tar.xz", "--force")
      process.setenv("FLAKE_ALLOW_INSECURE_TRANSPORT", nil)
      assert.are.equal(0, code, err)
      assert.are.equal(1, (pull("--kis-image", base .. "/nothing", "--insecure-http", "--force")))
      assert.are.equal(".lock leap", left())
    end)

    it("goes on with what an interrupted download has left", function()
      kis("half.tar.xz", { ["os.x86_64-1.15.4.md5"] = good_record("md5") })
      local size = fs.stat(file("half.tar.xz")).size
      local uri = base .. "/half/half.tar.xz"
      assert.are.equal(1, (pull("--kis-image", uri, "--insecure-http")))
      local part = ("%s/.parts/%s.part"):format(images, digest.sha256(uri):sub(1, 32))
      assert.are.equal(size // 2, fs.stat(part).size)
      assert.are.equal(".lock .parts", left())
      local code, _, err = pull("--kis-image", uri, "--insecure-http")
      assert.are.equal(0, code, err)
      assert.are.equal(".lock leap", left())
    end)

    it("ends a download that has no end, and keeps nothing of it", function()
      local code, _, err = pull("--kis-image", base .. "/endless", "--insecure-http",
        "--max-size", "5MiB")
      assert.are.equal(1, code)
      assert.matches("/endless: more than 5242880 bytes; --max-size allows more", err, 1, true)
      assert.are.equal(".lock", left())
      for _, size in ipairs { "0", "much", "-1" } do
        assert.are.equal(2, (pull("--kis-image", base .. "/endless", "--max-size", size)))
      end
      -- There is a limit if none is asked for.
      local fetch = require "flake.fetch"
      assert.are.equal(16 << 30, fetch.max_size)
      fetch.max_size = 1 << 20
      code = pull("--kis-image", base .. "/endless", "--insecure-http")
      fetch.max_size = 16 << 30
      assert.are.equal(1, code)
    end)

    it("checks the digest of the archive", function()
      local path = kis("a.tar.xz")
      local sum = digest.file(path)
      local wrong = ("0"):rep(64)
      assert.are.equal(1, (pull("--kis-image", path, "--sha256", wrong)))
      assert.are.equal(1, (pull("--kis-image", base .. "/tree/a.tar.xz", "--sha256", wrong,
        "--insecure-http")))
      assert.are.equal(".lock", left())
      assert.are.equal(0, (pull("--kis-image", path, "--sha256", sum:upper())))
      assert.are.equal(0, (pull("--kis-image", base .. "/tree/a.tar.xz", "--sha256", sum,
        "--insecure-http", "--force")))
    end)

    it("keeps the old image until the new one is verified", function()
      assert.are.equal(0, (pull("--kis-image", kis("a.tar.xz"))))
      local old = fs.stat(images .. "/leap").ino
      local code, _, err = pull("--kis-image", file("a.tar.xz"))
      assert.are.equal(1, code)
      assert.matches("exists already", err)
      local bad = kis("bad.tar.xz", { ["os.x86_64-1.15.4.sha256"] = ("0"):rep(64) .. " 1 1\n" })
      code, _, err = pull("--kis-image", bad, "--force")
      assert.are.equal(1, code)
      assert.matches("its root file system is damaged: its sha256 is", err)
      assert.are.equal(old, fs.stat(images .. "/leap").ino)
      assert.are.equal(0, (pull("--kis-image", file("a.tar.xz"), "--force")))
      assert.are_not.equal(old, fs.stat(images .. "/leap").ino)
      assert.are.equal(".lock leap", left())
    end)

    it("replaces no image that came meanwhile, unless forced", function()
      local function make(force, text)
        local job <close> = assert(vm_store.begin { name = "leap", root = place.root,
          force = force })
        place:put("/var/lib/firecracker/images/leap/rootfs", "another's")
        assert(fs.write(job.dir .. "/rootfs", text))
        return vm_store.finish(job)
      end
      local ok, message, code = make(nil, "mine")
      assert.are.same({ nil, "image 'leap' exists already", "EEXIST" }, { ok, message, code })
      assert.are.equal("another's", fs.read(images .. "/leap/rootfs"))
      assert(make(true, "mine"))
      assert.are.equal("mine", fs.read(images .. "/leap/rootfs"))
      local exchange = fs.exchange
      fs.exchange = function() return nil, "not on this file system", "EINVAL" end
      local done = make(true, "mine, too")
      fs.exchange = exchange
      assert.is_true(done)
      assert.are.equal("mine, too", fs.read(images .. "/leap/rootfs"))
      assert.are.equal(".lock leap", left())
    end)

    it("takes away what a killed pull has left", function()
      place:put("/var/lib/firecracker/images/.making.x/image/rootfs", "")
      assert.are.equal(0, (pull("--kis-image", kis("a.tar.xz"))))
      assert.are.equal(".lock leap", left())
    end)
  end)

  it("say why a disk cannot be made", function()
    local ok, message = e2fs.make(file("absent/disk"), 1 << 20, {})
    assert.is_nil(ok)
    assert.matches("cannot make a file of 1 MiB, .*/absent/disk: .*no such file", message)
  end)

  describe("kis archives", function()
    it("become an image with the names of its parts", function()
      local records = { md5 = good_record("md5"), sha256 = good_record("sha256") }
      for algorithm, record in pairs(records) do
        local path = kis("r.tar.xz", { ["os.x86_64-1.15.4." .. algorithm] = record })
        local code, _, err = pull("--kis-image", path, "--force")
        assert.are.equal(0, code, err)
        assert.matches("^[^\n]*not ours[^\n]*\n$", err)
        assert.are.same({ "checksum", "initrd", "kernel", "rootfs" }, fs.list(images .. "/leap"))
        assert.are.equal(record, fs.read(images .. "/leap/checksum"))
        assert.are.equal(whole_pages("ird"), fs.read(images .. "/leap/initrd"))
        assert.are.equal(digest.file(file("rootfs")), digest.file(images .. "/leap/rootfs"))
      end
    end)

    it("may have records of other forms", function()
      local sum = digest.file(file("rootfs"))
      local head = digest.sha256(fs.read(file("rootfs")):sub(1, 8192))
      for _, record in ipairs { sum, sum .. "  os.x86_64-1.15.4\n", sum:upper() .. " *x/rootfs\n",
        head .. " 2 4096\n" } do
        local path = kis("r.tar.xz", { ["os.x86_64-1.15.4.sha256"] = record })
        local code, _, err = pull("--kis-image", path, "--force")
        assert.are.equal(0, code, err)
      end
      for _, record in ipairs { "", "no hash", head .. "  0 4096\n", sum:sub(2) } do
        local path = kis("r.tar.xz", { ["os.x86_64-1.15.4.sha256"] = record })
        assert.are.equal(1, (pull("--kis-image", path, "--force")))
      end
    end)

    it("are told apart from what is none", function()
      local cases = {
        { "has no kernel", { ["os.x86_64-1.15.4.kernel"] = false } },
        { "could both be its rootfs", { README = "text" } },
        { "could both be its kernel", { ["b.kernel"] = "x" } },
        { "has no root file system", nil, { no_rootfs = true } },
      }
      for _, case in ipairs(cases) do
        local code, _, err = pull("--kis-image", kis("c.tar.xz", case[2], case[3]))
        assert.are.equal(1, code)
        assert.matches(case[1], err)
      end
      assert.are.equal(1, (pull("--kis-image", file("kernel"))))
      fs.remove_tree(file("deep"))
      assert(fs.mkdir_p(file("deep/sub")))
      assert(fs.write(file("deep/sub/x.kernel"), "x"))
      assert(archive.create(file("deep.tar"), file("deep")))
      local _, _, err = pull("--kis-image", file("deep.tar"))
      assert.matches("not at its top", err)
      assert.are.equal(".lock", left())
    end)

    it("keep their init, or get ours", function()
      local path = kis("a.tar.xz")
      local code, _, err = pull("--kis-image", path)
      assert.are.equal(0, code)
      assert.matches("the init of image 'leap' is not ours: .* %-%-replace%-sci puts ours in", err)
      assert.is_nil(fs.stat(images .. "/leap/channel"))
      code, _, err = pull("--kis-image", path, "--replace-sci", "--force")
      assert.are.equal(0, code)
      assert.is_nil(err:find("not ours", 1, true))
      assert.are.equal("1\n", fs.read(images .. "/leap/channel"))
      -- Its root file system as kis archive: the init is known as ours.
      assert(fs.copy(images .. "/leap/rootfs", file("with-sci")))
      local dir = file("kis-ours")
      fs.remove_tree(dir)
      assert(fs.mkdir(dir))
      assert(fs.copy(file("with-sci"), dir .. "/root"))
      assert(fs.write(dir .. "/x.kernel", A_KERNEL))
      assert(archive.create(file("ours.tar"), dir))
      assert.are.equal(0, (pull("--kis-image", file("ours.tar"), "--force")))
      assert.are.equal("1\n", fs.read(images .. "/leap/channel"))
    end)
  end)

  describe("build-image", function()
    -- A kernel with modules, as a distribution installs it.
    local function host(modules)
      place:put("/boot/vmlinuz-6.9-a", "\x7fELF old")
      place:put("/boot/vmlinuz-6.10-a", "\x7fELF new")
      local dir = "/lib/modules/6.10-a/"
      for name, depends in pairs(modules or {}) do
        place:put(dir .. "kernel/" .. name .. ".ko", "x\0depends=" .. depends .. "\0y")
      end
      place:put(dir .. "modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/virtio_blk.ko\n"
        .. "kernel/virtio_console.ko\nkernel/virtio_mmio.ko\n")
    end

    -- podman, whose containers hold what is in a tar with owners and modes of all kinds.
    local function podman()
      local script = ([[
import tarfile, io
with tarfile.open("%s", "w") as tar:
    def add(name, kind, data=b"", mode=0o644, uid=0, gid=0, link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, gid, link
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    add("bin", tarfile.DIRTYPE, mode=0o755)
    add("bin/su", tarfile.REGTYPE, b"program", 0o4755)
    add("bin/su2", tarfile.LNKTYPE, link="bin/su")
    add("bin/sh", tarfile.SYMTYPE, link="/bin/su")
    add("dev/null", tarfile.CHRTYPE)
    add("home/joe", tarfile.DIRTYPE, mode=0o700, uid=1000, gid=100)
    add("home/joe/a \"b'\n", tarfile.REGTYPE, b"odd", 0o600, 100000, 70000)
    add("etc/shadow", tarfile.REGTYPE, b"secret", 0, 0, 42)
    add("usr/sbin", tarfile.SYMTYPE, link="../bin")
]]):format(file("export.tar"))
      assert(process.run { "python3", "-c", script })
      place:stand_in("podman",
        ('case "$1" in create) echo id;; export) cp %s "$3";; esac'):format(file("export.tar")))
    end

    it("makes a root file system with the container's owners and modes", function()
      host()
      podman()
      local code, _, err = place:ctl("firecracker", "build-image", "--from-oci", "img", "--name",
        "bb")
      assert.are.equal(0, code, err)
      assert.are.equal(".lock bb", left())
      assert.are.equal("\x7fELF new", fs.read(images .. "/bb/kernel"))
      assert.are.equal("1\n", fs.read(images .. "/bb/channel"))
      local rootfs = images .. "/bb/rootfs"
      assert.is_true(e2fs.check(rootfs))
      local there = assert(e2fs.walk(rootfs))
      local function is(name, mode, uid, gid)
        local entry = assert(there[name], name)
        assert.are.same({ mode, uid, gid }, { entry.mode, entry.uid, entry.gid }, name)
      end
      is("bin/su", 35309, 0, 0) -- 0104755
      assert.are.equal(there["bin/su"].ino, there["bin/su2"].ino)
      is("bin/sh", 41471, 0, 0) -- 0120777
      is("home", 16877, 0, 0)
      is("home/joe", 16832, 1000, 100) -- 040700
      is("home/joe/a \"b'\n", 33152, 100000, 70000) -- 0100600
      is("etc/shadow", 32768, 0, 42)
      is("bin/sci", 33261, 0, 0) -- through the link /usr/sbin
      assert.is_nil(there["dev/null"])
      assert.are.equal("rm", place:calls()[3][2])
    end)

    it("takes size, kernel and modules as told", function()
      host()
      podman()
      place:put("/own/vmlinux", MINE)
      local function make(...)
        return place:ctl("firecracker", "build-image", "--from-oci", "img", "--name", "bb",
          "--force", ...)
      end
      local code, _, err = make("--size", "10MiB", "--kernel", place.root .. "/own/vmlinux")
      assert.are.equal(0, code, err)
      assert.are.equal(10 << 20, fs.stat(images .. "/bb/rootfs").size)
      assert.are.equal(MINE, fs.read(images .. "/bb/kernel"))
      assert.matches("its modules are nowhere", err)
      assert.are.equal(2, (make("--size", "much")))
      assert.are.equal(2, (make("--size", "1k")))
      assert.are.equal(1, (make("--modules", "/nowhere")))
      place:stand_in("podman", "exit 125")
      assert.are.equal(1, (make()))
      assert.are.equal(MINE, fs.read(images .. "/bb/kernel"))
    end)

    it("refuses a kernel that finds no root file system, without modules or with them", function()
      host()
      podman()
      local function make(kernel, ...)
        place:put("/own/vmlinux", kernel)
        return place:ctl("firecracker", "build-image", "--from-oci", "img", "--name", "bb",
          "--kernel", place.root .. "/own/vmlinux", ...)
      end
      local some = MINE:gsub("virtio_blk", "other_blk")
      local code, _, err = make(some)
      assert.are.equal(1, code)
      assert.matches("vmlinux: virtio_blk is neither in it nor among its modules, which are "
        .. "nowhere: --modules names", err, 1, true)
      assert.are.equal(".lock", left())
      place:put("/few/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
      code, _, err = make("\x7fELF none", "--modules", place.root .. "/few")
      assert.are.equal(1, code)
      assert.matches("virtio_blk, virtio_mmio are neither in it nor among its modules\n", err, 1,
        true)
      assert.are.equal(0, (make(some, "--modules", place.root .. "/lib/modules/6.10-a")))
      -- What is compressed still does not tell.
      code, _, err = make("MZ" .. ("\0"):rep(600), "--force")
      assert.are.equal(0, code)
      assert.matches("its modules are nowhere", err)
    end)

    it("makes an initrd of the drivers that are modules, and what they need", function()
      host { ["net/virtio_net"] = "net_failover,virtio_ring", ["net/net_failover"] = "failover",
        ["net/failover"] = "", ["virtio/virtio_mmio"] = "virtio", ["virtio/virtio"] = "virtio_ring",
        ["virtio/virtio_ring"] = "", ["sound/loud"] = "" }
      podman()
      local code, _, err = place:ctl("firecracker", "build-image", "--from-oci", "img", "--name",
        "bb")
      assert.are.equal(0, code, err)
      assert.matches("has no driver overlay, vmw_vsock_virtio_transport\n", err)
      local initrd = images .. "/bb/initrd"
      assert.are.equal("070701", fs.read(initrd):sub(1, 6))
      assert.are.equal(0, fs.stat(initrd).size % 4096)
      local dir = "lib/modules/6.10-a/"
      assert.are.equal(fs.read(build .. "/sci"), archive.read_file(initrd, "init"))
      local dep = archive.read_file(initrd, dir .. "modules.dep")
      assert.matches("kernel/virtio/virtio_mmio.ko: kernel/virtio/virtio.ko "
        .. "kernel/virtio/virtio_ring.ko\n", dep, 1, true)
      assert.matches("virtio_net.ko: kernel/virtio/virtio_ring.ko kernel/net/net_failover.ko "
        .. "kernel/net/failover.ko\n", dep, 1, true)
      assert.is_nil(dep:find("loud", 1, true))
      for _, member in ipairs(archive.list(initrd)) do
        if member.path == "init" then assert.are.equal(493, member.mode) end
        assert.is_nil(member.path:find("loud", 1, true))
      end
    end)
  end)

  it("modules are found where distributions have them", function()
    local kernel = require "shipped.runtimes.firecracker.kernel"
    local modules = require "shipped.runtimes.firecracker.modules"
    local host = place.root .. "/host"
    -- The version of a kernel and the place of its modules below the place's root.
    local function found(path)
      local names = kernel.names(place.root .. path)
      local version = kernel.version(names)
      local tree <close> = version and modules.find(names, version, host)
      return version, tree and tree:read("where")
    end
    local function put_modules(dir)
      assert(fs.mkdir_p(place.root .. dir .. "/kernel"))
      place:put(dir .. "/where", dir)
    end
    for _, file_name in ipairs { "/a/boot/vmlinuz-1", "/b/usr/lib/modules/1-x/vmlinuz",
      "/c/vmlinuz-1", "/d/boot/vmlinuz-1", "/e/boot/vmlinuz-2" } do
      place:put(file_name, "\x7fELF")
    end
    for _, dir in ipairs { "/a/lib/modules/1", "/b/usr/lib/modules/1-x", "/c/usr/lib/modules/1",
      "/host/lib/modules/1" } do
      put_modules(dir)
    end
    assert.are.same({ "1", "/a/lib/modules/1" }, { found("/a/boot/vmlinuz-1") })
    assert.are.same({ "1-x", "/b/usr/lib/modules/1-x" },
      { found("/b/usr/lib/modules/1-x/vmlinuz") })
    assert.are.same({ "1", "/c/usr/lib/modules/1" }, { found("/c/vmlinuz-1") })
    assert.are.same({ "1", "/host/lib/modules/1" }, { found("/d/boot/vmlinuz-1") })
    assert.are.same({ "2" }, { found("/e/boot/vmlinuz-2") })
    -- By the name of a link, and by what it leads to.
    assert(fs.symlink("boot/vmlinuz-1", place.root .. "/a/vmlinuz"))
    assert.are.same({ "1", "/a/lib/modules/1" }, { found("/a/vmlinuz") })
    assert(fs.mkdir_p(place.root .. "/f/boot"))
    put_modules("/f/lib/modules/1")
    assert(fs.symlink(place.root .. "/c/vmlinuz-1", place.root .. "/f/boot/vmlinuz-1"))
    assert.are.same({ "1", "/f/lib/modules/1" }, { found("/f/boot/vmlinuz-1") })
  end)

  it("the host's kernel is in /boot or among its modules", function()
    local kernel = require "shipped.runtimes.firecracker.kernel"
    local _, message = kernel.of_host()
    assert.matches("there is no kernel", message)
    place:put("/usr/lib/modules/7.2-a/vmlinuz", "x")
    place:put("/usr/lib/modules/7.10-a/vmlinuz", "x")
    assert(fs.mkdir_p(place.root .. "/usr/lib/modules/9-a"))
    assert.are.equal(place.root .. "/usr/lib/modules/7.10-a/vmlinuz", kernel.of_host())
    place:put("/boot/vmlinuz-7.9-a", "x")
    assert.are.equal(place.root .. "/usr/lib/modules/7.10-a/vmlinuz", kernel.of_host())
    place:put("/boot/vmlinuz-7.10-a", "x")
    assert.are.equal(place.root .. "/boot/vmlinuz-7.10-a", kernel.of_host())
    local f <close> = io.open("/proc/sys/kernel/osrelease")
    local running = ("/usr/lib/modules/%s/vmlinuz"):format(f:read("l"))
    place:put(running, "x")
    assert.are.equal(place.root .. running, kernel.of_host())
  end)

  it("initrds of any length become whole pages, with zeros at their end", function()
    local path = file("initrd")
    for i = 0, 29 do
      local text = ("i"):rep(4096 * (1 + i % 3) - 137 * i - i // 15)
      assert(fs.write(path, text))
      assert.is_true(vm_store.pad_initrd(path))
      assert.are.equal(whole_pages(text), fs.read(path), i)
    end
    assert(fs.write(path, ""))
    assert.is_true(vm_store.pad_initrd(path))
    assert.are.equal("", fs.read(path))
    local ok, message, code = vm_store.pad_initrd(file("no-initrd/here"))
    assert.is_nil(ok)
    assert.matches("no%-initrd/here", message)
    assert.are.equal("EIO", code)
  end)

  it("modules lose their signatures where the kernel asks for none", function()
    local kernel = require "shipped.runtimes.firecracker.kernel"
    local dir = file("config")
    assert(fs.mkdir(dir))
    local function is_sealed(below)
      local tree <close> = below and assert(fs.tree(dir .. below))
      return kernel.wants_signatures({ dir .. "/vmlinuz-1" }, "1", tree)
    end
    assert.is_true(is_sealed())
    assert(fs.write(dir .. "/config-1", "CONFIG_X=y\n# CONFIG_MODULE_SIG_FORCE is not set\n"))
    assert.is_false(is_sealed())
    assert(fs.write(dir .. "/config-1", "CONFIG_MODULE_SIG_FORCE=y\n"))
    assert.is_true(is_sealed())
    assert(fs.unlink(dir .. "/config-1"))
    assert(fs.mkdir(dir .. "/modules"))
    assert(fs.write(dir .. "/modules/config", "CONFIG_X=y\n"))
    assert.is_true(is_sealed())
    assert.is_false(is_sealed("/modules"))
    local modules = require "shipped.runtimes.firecracker.modules"
    local info = string.pack("BBBBBxxx>I4", 0, 4, 2, 6, 3, 9)
    local signature = "signerkeysignature" .. info .. "~Module signature appended~\n"
    assert(fs.write(dir .. "/a.ko", "code" .. signature))
    local index = { tree = assert(fs.tree(dir)), files = { a = "a.ko" }, builtin = {} }
    for sealed, content in pairs { [true] = "code" .. signature, [false] = "code" } do
      index.sealed = sealed
      local target = dir .. "/" .. tostring(sealed)
      assert(fs.mkdir(target))
      assert(modules.collect(index, { "a" }, assert(fs.tree(target))))
      assert.are.equal(content, fs.read(target .. "/a.ko"))
    end
  end)

  it("kernels in a bzImage are taken out of it", function()
    local kernel = require "shipped.runtimes.firecracker.kernel"
    local elf = "\x7fELF" .. ("kernel code "):rep(1000)
    assert(fs.write(file("elf"), elf))
    assert(process.run { "gzip", "--keep", "--force", file("elf") })
    local packed = fs.read(file("elf.gz"))
    local setup = 4
    local header = ("\0"):rep(0x1f1) .. string.char(setup) .. ("\0"):rep(0x202 - 0x1f2) .. "HdrS"
      .. ("<I2"):pack(0x20f) .. ("\0"):rep(0x20e - 0x208) .. ("<I2"):pack(0x300)
      .. ("\0"):rep(0x248 - 0x210) .. ("<I4I4"):pack(16, #packed)
    local body = header .. ("\0"):rep(0x500 - #header) .. "6.1.0-x (someone)\0"
    body = body .. ("\0"):rep((setup + 1) * 512 + 16 - #body) .. packed .. "tail"
    assert(fs.write(file("bzImage"), body))
    assert.are.equal("6.1.0-x", kernel.version { file("bzImage") })
    fs.unlink(file("out"))
    assert(kernel.install(file("bzImage"), file("out")))
    assert.are.equal(elf, fs.read(file("out")))
    -- What cannot be decompressed stays as it is.
    local broken = body:sub(1, -#packed - 5) .. ("x"):rep(#packed)
    assert(fs.write(file("bzImage"), broken))
    fs.unlink(file("out"))
    assert(kernel.install(file("bzImage"), file("out")))
    assert.are.equal(broken, fs.read(file("out")))
  end)
end)
