-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local process = require "flake.process"

describe("flake.fs", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
  end)

  after_each(function() temp:close() end)

  it("exchanges two names", function()
    assert(fs.write(dir .. "/a", "A"))
    assert(fs.mkdir(dir .. "/b"))
    assert.is_true(fs.exchange(dir .. "/a", dir .. "/b"))
    assert.are.equal("A", fs.read(dir .. "/b"))
    assert.are.equal("directory", fs.stat(dir .. "/a").type)
    local ok, message, code = fs.exchange(dir .. "/a", dir .. "/c")
    assert.are.same({ nil, "ENOENT" }, { ok, code })
    assert.matches("^cannot exchange .*/a: no such file", message)
  end)

  it("writes atomically with a mode and leaves no temporary file", function()
    assert(fs.write(dir .. "/f", "one\0two", { mode = 384 }))
    assert.are.equal("one\0two", fs.read(dir .. "/f"))
    assert.are.equal(384, fs.stat(dir .. "/f").mode)
    assert.are.same({ "f" }, fs.list(dir))
    local _, message, code = fs.write(dir .. "/no/f", "x")
    assert.are.equal("ENOENT", code)
    assert.matches("cannot write", message)
  end)

  it("writes exclusively", function()
    assert(fs.write(dir .. "/f", "one", { exclusive = true }))
    assert.are.equal("EEXIST", select(3, fs.write(dir .. "/f", "two", { exclusive = true })))
    assert.are.equal("one", fs.read(dir .. "/f"))
    assert.are.same({ "f" }, fs.list(dir))
  end)

  it("keeps to the reading limit", function()
    assert(fs.write(dir .. "/f", ("x"):rep(1000)))
    assert.are.equal("ELIMIT", select(3, fs.read(dir .. "/f", { limit = 999 })))
    assert.are.equal(1000, #fs.read(dir .. "/f", { limit = 1000 }))
    assert.are.equal("EISDIR", select(3, fs.read(dir)))
  end)

  it("finds temporary directories that nobody holds any more", function()
    local held <close> = assert(fs.temp_dir({ dir = dir, prefix = "work" }))
    local script = ([[
      local fs = require "flake.fs"
      assert(fs.temp_dir({ dir = "%s", prefix = "work" }))
      os.exit(0, false)
    ]]):format(dir)
    assert(process.run { "lua5.4", "-e", script })
    assert(fs.mkdir(dir .. "/workshop.abcdef"))
    assert(fs.mkdir(dir .. "/work.abc"))
    assert(fs.write(dir .. "/work.zzzzzz", "a file"))
    assert(fs.mkdir(dir .. "/real"))
    assert(fs.symlink("real", dir .. "/work.yyyyyy"))
    local left = fs.temp_left(dir, "work")
    assert.are.equal(1, #left)
    assert.matches("/work%.%w%w%w%w%w%w$", left[1])
    assert.are_not.equal(held:path(), left[1])
    assert.is_truthy(fs.stat(left[1]))
    assert.are.same(left, fs.temp_left(dir, "work", true))
    assert.is_nil(fs.stat(left[1]))
    assert.is_truthy(fs.stat(held:path()))
    assert.are.same({}, fs.temp_left(dir, "work", true))
    assert.are.same({}, fs.temp_left(dir .. "/none", "work"))
  end)

  -- strace: the file is not found by a name of its own while it is written.
  it("writes files that have no name until they are whole", function()
    if (process.getenv("FLAKE_BUILD") or "build") ~= "build" then
      pending("strace and the leak checker exclude each other")
      return
    end
    local script = ([[require("flake.fs").write("%s/f", ("x"):rep(100))]]):format(dir)
    local trace = dir .. "/trace"
    assert(process.run({ "strace", "-qq", "-e", "trace=openat,write,linkat,rename,renameat", "-o",
      trace, "lua5.4", "-e", script }, { stderr = "null" }))
    local text = assert(fs.read(trace))
    if not text:find("O_TMPFILE[^\n]*= %d") then pending("no O_TMPFILE here") return end
    assert.matches('linkat%(.-"f%.tmp%.%w+".-renameat%(%d+, "f%.tmp%.%w+", %d+, "f"%)', text)
    assert.are.same({ "f", "trace" }, fs.list(dir))
  end)

  it("locks between processes", function()
    local lock <close> = assert(fs.lock(dir .. "/lock"))
    local script = ([[
      local fs = require "flake.fs"
      local lock, _, code = fs.lock("%s/lock", { timeout = 0.1 })
      io.write(lock and "got" or code)
    ]]):format(dir)
    local function try()
      return process.run({ "lua5.4", "-e", script }, { stdout = "pipe" }).stdout
    end
    assert.are.equal("ETIMEDOUT", try())
    lock:unlock()
    assert.are.equal("got", try())
    local one <close> = assert(fs.lock(dir .. "/lock", { shared = true }))
    local two <close> = assert(fs.lock(dir .. "/lock", { shared = true, timeout = 0 }))
    assert.is_truthy(one and two)
    assert(fs.symlink("lock", dir .. "/link"))
    assert.are.equal("ELOOP", select(3, fs.lock(dir .. "/link")))
  end)

  it("removes a temporary directory when it goes", function()
    local path
    do
      local t <close> = assert(fs.temp_dir({ dir = dir, prefix = "pre" }))
      path = t:path()
      assert.matches("/pre%.%w+$", path)
      assert.are.equal(448, fs.stat(path).mode)
      assert(fs.write(path .. "/f", "x"))
    end
    assert.is_nil(fs.stat(path))
  end)

  it("removes trees without following links", function()
    assert(fs.mkdir_p(dir .. "/keep"))
    assert(fs.write(dir .. "/keep/f", "x"))
    assert(fs.mkdir_p(dir .. "/tree/a/b"))
    assert(fs.symlink("../../keep", dir .. "/tree/a/link"))
    assert(fs.write(dir .. "/tree/a/b/f", "x"))
    assert(fs.remove_tree(dir .. "/tree"))
    assert.is_nil(fs.stat(dir .. "/tree"))
    assert.are.equal("x", fs.read(dir .. "/keep/f"))
    assert(fs.remove_tree(dir .. "/nothing"))
  end)

  it("makes directories and says which one it could not", function()
    assert(fs.mkdir_p(dir .. "/a/b/c"))
    assert(fs.mkdir_p(dir .. "/a/b/c"))
    assert(fs.write(dir .. "/file", "x"))
    assert.are.equal("ENOTDIR", select(3, fs.mkdir_p(dir .. "/file/x")))
    assert.are.equal("ENOTDIR", select(3, fs.mkdir_p(dir .. "/file")))
    assert.are.equal("EEXIST", select(3, fs.mkdir(dir .. "/a")))
  end)

  it("makes directories of the mode that was asked for, whatever the umask", function()
    local r = assert(process.run({ "sh", "-c", [[umask 077; exec lua5.4 -e '
      local fs, dir = require "flake.fs", os.getenv "DIR"
      assert(fs.mkdir_p(dir .. "/a/b"))
      assert(fs.mkdir(dir .. "/c"))
      assert(fs.mkdir(dir .. "/d", 0x1c0))
      assert(io.open(dir .. "/f", "w"))']] }, { env = { DIR = dir } }))
    assert.are.equal(0, r.code)
    local function mode(name) return ("%o"):format(fs.stat(dir .. name).mode) end
    assert.are.same({ "755", "755", "755", "700", "600" },
      { mode "/a", mode "/a/b", mode "/c", mode "/d", mode "/f" })
  end)

  it("makes, reads and resolves links", function()
    assert(fs.symlink("target", dir .. "/link"))
    assert.are.equal("target", fs.readlink(dir .. "/link"))
    assert.are.equal("symlink", fs.lstat(dir .. "/link").type)
    assert.is_nil(fs.stat(dir .. "/link"))
    assert.are.equal("EINVAL", select(3, fs.readlink(dir)))
    assert.are.equal("ENOENT", select(3, fs.realpath(dir .. "/link")))
    assert(fs.write(dir .. "/target", ""))
    assert.are.equal(fs.realpath(dir) .. "/target", fs.realpath(dir .. "/link"))
  end)

  it("copies, renames, changes modes and removes", function()
    assert(fs.write(dir .. "/a", ("x"):rep(200000)))
    assert(fs.copy(dir .. "/a", dir .. "/b", { mode = 416 }))
    assert.are.equal(200000, #fs.read(dir .. "/b"))
    assert.are.equal(416, fs.stat(dir .. "/b").mode)
    assert(fs.rename(dir .. "/b", dir .. "/c"))
    assert(fs.chmod(dir .. "/c", 256))
    assert.are.equal(256, fs.stat(dir .. "/c").mode)
    assert(fs.fsync(dir .. "/c"))
    assert(fs.unlink(dir .. "/c"))
    assert.are.equal("ENOENT", select(3, fs.unlink(dir .. "/c")))
    assert(fs.mkdir(dir .. "/d"))
    assert(fs.rmdir(dir .. "/d"))
    assert.are.equal("ENOENT", select(3, fs.copy(dir .. "/no", dir .. "/x")))
    assert.are.same({ "a" }, fs.list(dir))
  end)

  describe("trusted", function()
    it("accepts what only root or the caller can change", function()
      assert(fs.write(dir .. "/f", "x"))
      assert.is_true(fs.trusted(dir .. "/f"))
      assert.is_true(fs.trusted("/usr/bin"))
      assert.is_true(fs.trusted("/"))
    end)

    it("refuses what others can write, anywhere on the way", function()
      assert(fs.mkdir(dir .. "/open"))
      assert(fs.write(dir .. "/open/f", "x"))
      assert(fs.chmod(dir .. "/open", 511))
      local ok, message, code = fs.trusted(dir .. "/open/f")
      assert.is_nil(ok)
      assert.matches("/open: others can write to it %(mode 0777%)", message)
      assert.are.equal("EPERM", code)
      assert(fs.chmod(dir .. "/open", 1023))
      assert.is_true(fs.trusted(dir .. "/open/f"))
      assert(fs.chmod(dir .. "/open/f", 438))
      assert.is_nil(fs.trusted(dir .. "/open/f"))
    end)

    it("is what is read, and not beside what others can put there", function()
      assert(fs.mkdir(dir .. "/sub"))
      assert(fs.write(dir .. "/sub/f", "x"))
      assert(fs.symlink("sub", dir .. "/link"))
      assert(fs.symlink("../sub/f", dir .. "/sub/again"))
      assert.are.equal("x", fs.read(dir .. "/link/again", { trusted = true }))
      assert(fs.chmod(dir .. "/sub", 1023))
      assert.is_true(fs.trusted(dir .. "/sub/f"))
      local _, message, code = fs.read(dir .. "/link/f", { trusted = true })
      assert.matches("/sub/f: others can put files beside it", message)
      assert.are.equal("EPERM", code)
      assert(fs.chmod(dir .. "/sub", 493))
      assert.are.equal("EFILE", select(3, fs.read(dir .. "/sub", { trusted = true })))
      assert(fs.symlink("loop", dir .. "/loop"))
      assert.are.equal("ELOOP", select(3, fs.read(dir .. "/loop", { trusted = true })))
      assert(process.run { "mkfifo", dir .. "/sub/fifo" })
      assert.are.equal("EFILE", select(3, fs.read(dir .. "/sub/fifo", { trusted = true })))
    end)

    it("refuses links of somebody else on the way", function()
      if fs.geteuid() ~= 0 then pending("needs root") return end
      assert(fs.write(dir .. "/f", "x"))
      assert(fs.symlink("f", dir .. "/link"))
      assert.is_true(fs.trusted(dir .. "/link"))
      assert(fs.chown(dir .. "/link", fs.user("nobody").uid, 0))
      assert.matches("/link: it belongs to user", select(2, fs.trusted(dir .. "/link")))
    end)

    it("refuses what belongs to somebody else", function()
      if fs.geteuid() ~= 0 then pending("needs root") return end
      assert(fs.write(dir .. "/f", "x"))
      assert(fs.chown(dir .. "/f", fs.user("nobody").uid, 0))
      assert.matches("belongs to user", select(2, fs.trusted(dir .. "/f")))
    end)
  end)

  it("changes no mode through a link", function()
    assert(fs.write(dir .. "/f", "x", { mode = 384 }))
    assert(fs.symlink("f", dir .. "/link"))
    assert.are.equal("ELOOP", select(3, fs.chmod(dir .. "/link", 511)))
    assert.are.equal(384, fs.stat(dir .. "/f").mode)
    assert.are.equal("ENOENT", select(3, fs.chmod(dir .. "/none", 511)))
  end)

  it("takes rights of others away, and stays out of what is not the caller's", function()
    for _, path in ipairs { "t/sub", "t/theirs" } do assert(fs.mkdir_p(dir .. "/" .. path)) end
    for _, path in ipairs { "t/a", "t/sub/b", "t/theirs/c", "outside" } do
      assert(fs.write(dir .. "/" .. path, "x"))
      assert(fs.chmod(dir .. "/" .. path, 3583)) -- 06777
    end
    assert(fs.symlink("../outside", dir .. "/t/link"))
    local is_root = fs.geteuid() == 0
    if is_root then assert(fs.chown(dir .. "/t/theirs", fs.user("nobody").uid, 0)) end
    local changed, foreign = fs.tighten(dir .. "/t")
    assert.are.equal(is_root and 2 or 3, #changed)
    assert.are.equal(493, fs.stat(dir .. "/t/sub/b").mode)
    assert.are.equal(3583, fs.stat(dir .. "/outside").mode)
    assert.are.equal(is_root and 3583 or 493, fs.stat(dir .. "/t/theirs/c").mode)
    assert.are.same(is_root and { { path = dir .. "/t/theirs", owner = fs.user("nobody").uid } }
      or {}, foreign)
  end)

  it("takes a directory whose way nobody else can change", function()
    assert(fs.mkdir_p(dir .. "/open/d"))
    assert(fs.chmod(dir .. "/open/d", 511))
    assert.is_true(fs.take_dir(dir .. "/open/d", 493))
    assert.is_false(fs.take_dir(dir .. "/open/d", 493))
    assert(fs.chmod(dir .. "/open", 511))
    assert.are.equal("EPERM", select(3, fs.take_dir(dir .. "/open/d", 448)))
    assert.are.equal(493, fs.stat(dir .. "/open/d").mode)
  end)

  it("knows users and terminals", function()
    assert.are.equal("root", fs.user(0).name)
    assert.are.equal(0, fs.user("root").uid)
    assert.are.equal("ENOENT", select(3, fs.user("no-such-user")))
    assert.are.equal(fs.getuid(), fs.geteuid())
    assert.is_false(fs.isatty(99))
    assert.is_true(fs.access("/bin/sh", "x"))
    assert.is_nil(fs.access(dir .. "/nothing"))
  end)

  it("raises on unknown options", function()
    assert.has_error(function() fs.write(dir .. "/f", "x", { mod = 1 }) end)
    assert.has_error(function() fs.lock(dir .. "/f", { wait = 1 }) end)
  end)
end)
