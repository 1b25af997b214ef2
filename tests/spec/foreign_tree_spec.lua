-- SPDX-License-Identifier: MIT
-- Names and links that strangers chose: whatever they say, the host's files stay as they are.
local archive = require "flake.archive"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local process = require "flake.process"
local loader = require "flake.loader"
local names = require "flake.names"

describe("foreign trees", function()
  local temp, dir, host, lower, modules

  before_each(function()
    loader.setup { share = ".", prefix_root = "/nowhere" }
    lower = require "shipped.runtimes.firecracker.lower"
    modules = require "shipped.runtimes.firecracker.modules"
    temp = assert(fs.temp_dir())
    dir, host = temp:path(), temp:path() .. "/host"
    assert(fs.mkdir_p(host .. "/etc/cron.d"))
    assert(fs.write(host .. "/etc/cron.d/existing", "keep"))
    assert(fs.write(host .. "/etc/shadow", "secret"))
  end)

  after_each(function() temp:close() end)

  local function listing(at, found)
    for _, name in ipairs(assert(fs.list(at))) do
      local st = fs.lstat(at .. "/" .. name)
      local is_dir = st.type == "directory"
      table.insert(found, ("%s %s %o %s"):format(at, name, st.mode,
        is_dir and "" or fs.read(at .. "/" .. name)))
      if is_dir then listing(at .. "/" .. name, found) end
    end
    return found
  end

  -- files: {path = text, or {link=target}}, or {} for a directory.
  local function make(root, files)
    for path, what in pairs(files) do
      assert(fs.mkdir_p((root .. "/" .. path):match("^(.*)/")))
      if type(what) == "string" then
        assert(fs.write(root .. "/" .. path, what))
      elseif what.link then
        assert(fs.symlink(what.link, root .. "/" .. path))
      else
        assert(fs.mkdir_p(root .. "/" .. path))
      end
    end
  end

  describe("included files over an image's links", function()
    -- Returns what lower.fit returns; the upper tree is in dir/upper.
    local function fit(image, include)
      fs.remove_tree(dir .. "/image")
      fs.remove_tree(dir .. "/upper")
      make(dir .. "/image", image)
      make(dir .. "/upper", include)
      fs.unlink(dir .. "/disk")
      assert(e2fs.make(dir .. "/disk", 4 << 20, { tree = dir .. "/image" }))
      return lower.fit(dir .. "/disk", dir .. "/upper", {}, "")
    end

    -- How the include's link may be reached from the image's, and where it may lead.
    local ways = { "link/cron.d", "./link/../link/cron.d", "/opt/link/cron.d", "../opt/link/cron.d",
      "../../../../opt/link/cron.d" }
    local function targets()
      local up = ("../"):rep(select(2, dir:gsub("/", "")) + 4)
      return { host .. "/etc", up .. host:sub(2) .. "/etc", "../../host/etc", "/", up }
    end

    it("stay inside, or are refused", function()
      local before = listing(host, {})
      for _, way in ipairs(ways) do
        for _, target in ipairs(targets()) do
          local ok, message, code = fit({ ["opt/tool"] = { link = way } },
            { ["opt/tool/new"] = "x", ["opt/tool/existing"] = "overwritten",
              ["opt/link"] = { link = target } })
          assert.is_nil(ok, way .. " " .. target)
          assert.matches("/opt/tool would go through the included link /opt/link", message, 1, true)
          assert.are.equal("EIMAGE", code)
          assert.are.same(before, listing(host, {}))
        end
      end
    end)

    it("remove nothing of the host", function()
      local before = listing(host, {})
      local include = { ["opt/root"] = { link = host }, ["srv/x/cron.d"] = "a file in its place" }
      for _, way in ipairs { "../opt/root/etc", "/opt/root/etc", "/opt/root/etc/." } do
        local ok, message = fit({ ["srv/x"] = { link = way } }, include)
        assert.is_nil(ok)
        assert.matches("/srv/x would go through the included link /opt/root", message, 1, true)
        assert.are.same(before, listing(host, {}))
      end
      -- A link that is the last part of the target goes, and the directory takes its place.
      assert.is_true(fit({ ["srv/x"] = { link = "../opt/root" } }, include))
      assert.are.equal("a file in its place", fs.read(dir .. "/upper/opt/root/cron.d"))
      assert.are.same(before, listing(host, {}))
    end)

    it("follow the image's own links", function()
      assert.is_true(fit({ ["usr/lib"] = {}, lib = { link = "usr/lib" }, var = {},
        ["usr/lib/state"] = { link = "../../../var" } }, { ["lib/state/x"] = "x",
        ["lib/y"] = "y" }))
      assert.are.equal("x", fs.read(dir .. "/upper/var/x"))
      assert.are.equal("y", fs.read(dir .. "/upper/usr/lib/y"))
      assert.is_nil(fs.lstat(dir .. "/upper/lib"))
    end)
  end)

  describe("modules of a kernel", function()
    local function index_of(dep, files)
      assert(fs.mkdir_p(dir .. "/modules"))
      make(dir .. "/modules", files or {})
      assert(fs.write(dir .. "/modules/modules.dep", dep))
      return modules.index(assert(fs.tree(dir .. "/modules")))
    end

    it("have no names that lead out of their directory", function()
      for _, name in ipairs { "../host/etc/cron.d/new", "kernel/../../host/etc/shadow", "/etc/x",
        host .. "/etc/shadow", "..", "./x.ko", "kernel//x.ko", "kernel/\27x" } do
        local index, message, code = index_of("kernel/a.ko:\n" .. name .. ":\n")
        assert.is_nil(index, name)
        assert.matches("^modules%.dep: '.*' %a", message)
        assert.is_nil(message:find("%c"))
        assert.are.equal("EIMAGE", code)
      end
    end)

    it("are no links out of it either", function()
      local before = listing(host, {})
      local index = assert(index_of("kernel/a.ko:\nkernel/b.ko:\nkernel/d/c.ko:\n", {
        ["kernel/a.ko"] = { link = host .. "/etc/shadow" },
        ["kernel/b.ko"] = { link = "../../host/etc/shadow" },
        ["kernel/d"] = { link = host .. "/etc" } }))
      assert(fs.mkdir(dir .. "/target"))
      local target = assert(fs.tree(dir .. "/target"))
      for _, name in ipairs { "a", "b", "c" } do
        local ok, message = modules.collect(index, { name }, target)
        assert.is_nil(ok)
        assert.matches("^cannot read kernel/", message)
      end
      -- Nor is anything written through one.
      make(dir .. "/modules", { ["sound/x.ko"] = "x\0depends=\0" })
      make(dir .. "/target", { sound = { link = host .. "/etc/cron.d" } })
      index.files.x = "sound/x.ko"
      assert.is_nil((modules.collect(index, { "x" }, target)))
      assert.are.same(before, listing(host, {}))
    end)

    it("are found where a stranger's root has its links", function()
      make(dir .. "/root", { ["boot/vmlinuz-6.1"] = "", lib = { link = "/usr/lib" },
        ["usr/lib/modules/6.1/modules.builtin"] = "kernel/fs/ext4.ko\n" })
      local found = assert(modules.find({ dir .. "/root/boot/vmlinuz-6.1" }, "6.1", host))
      assert.is_true(assert(modules.index(found)).builtin.ext4)
      assert.is_nil(modules.find({ dir .. "/root/boot/vmlinuz-6.1" }, "..", host))
      assert.is_nil(modules.find({ dir .. "/root/boot/vmlinuz-6.1" }, "6.1/..", host))
    end)
  end)

  describe("unpacking", function()
    -- A tar with members that python makes.
    local function tar(python)
      local result = assert(process.run({ "python3", "-c", [[
import io, sys, tarfile
t = tarfile.open(sys.argv[1], "w")
def add(name, data=b"x", mode=0o644, mtime=1000000000, **kw):
    i = tarfile.TarInfo(name)
    i.mode, i.mtime = mode, mtime
    i.size = 0 if kw else len(data)
    for k, v in kw.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
D, S, H, F = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
]] .. python .. "\nt.close()\n", dir .. "/x.tar" }))
      assert.are.equal(0, result.code)
      fs.remove_tree(dir .. "/out")
      assert(fs.mkdir(dir .. "/out"))
      return dir .. "/x.tar"
    end

    it("never writes, links or changes modes through a link, in a foreign root neither", function()
      local before = listing(host, {})
      local h = ("'%s/etc'"):format(host)
      for _, python in ipairs {
        "add('l', type=S, linkname=" .. h .. "); add('l/cron.d/new'); add('l/shadow', mode=0o777)",
        "add('l', type=S, linkname=" .. h .. "); add('l/cron.d', type=D, mode=0o777)",
        "add('l', type=S, linkname=" .. h .. "); add('l', type=D, mode=0o777); add('l/x')",
        "add('d/l', type=S, linkname='../../host/etc'); add('d/l/shadow')",
        "add('d', type=D, mode=0o700); add('d', type=S, linkname=" .. h .. "); add('d/new')",
        "add('l', type=S, linkname=" .. h .. "); add('l')",
      } do
        assert(archive.extract(tar(python), dir .. "/out", { foreign_root = true }), python)
        assert.are.same(before, listing(host, {}))
      end
      local ok, message = archive.extract(tar("add('l', type=S, linkname=" .. h
        .. "); add('h', type=H, linkname='l/shadow')"), dir .. "/out", { foreign_root = true })
      assert.is_nil(ok)
      assert.matches("cannot make 'h'", message)
      assert.are.same(before, listing(host, {}))
    end)

    it("gives files and directories their modes and times", function()
      local python = "add('d', type=D, mode=0o500); add('d/e', type=D, mode=0o750, mtime=5); "
        .. "add('d/e/f', mode=0o400, mtime=7); add('s', type=S, linkname='d', mtime=9); "
        .. "add('h', type=H, linkname='d/e/f'); add('new/deep/f')"
      assert(archive.extract(tar(python), dir .. "/out"))
      local function is(name, mode, mtime)
        local st = assert(fs.lstat(dir .. "/out/" .. name))
        assert.are.same({ mode, mtime }, { mode and st.mode, mtime and st.mtime }, name)
      end
      is("d", 320, 1000000000.0)
      is("d/e", 488, 5.0)
      is("d/e/f", 256, 7.0)
      is("s", nil, 9.0)
      is("new/deep", 493)
      assert.are.equal(fs.stat(dir .. "/out/h").ino, fs.stat(dir .. "/out/d/e/f").ino)
      assert(fs.chmod(dir .. "/out/d", 448)) -- or a user could not remove what is in it
      -- Of two entries of one directory the last one counts.
      assert(archive.extract(tar("add('d', type=D, mode=0o500); add('d', type=D, mode=0o711)"),
        dir .. "/out"))
      is("d", 457)
    end)

    it("replaces files and links, but no directory with something in it", function()
      local file = tar("add('a'); add('a', type=D); add('b', type=S, linkname='a'); "
        .. "add('b', b'new'); add('c', type=D); add('c', b'file')")
      assert(archive.extract(file, dir .. "/out"))
      assert.are.equal("directory", fs.lstat(dir .. "/out/a").type)
      assert.are.equal("new", fs.read(dir .. "/out/b"))
      assert.are.equal("file", fs.read(dir .. "/out/c"))
      local ok, message = archive.extract(tar("add('c/x'); add('c', b'file')"), dir .. "/out")
      assert.is_nil(ok)
      assert.matches("cannot make 'c': directory not empty", message)
    end)

    it("refuses pipes, where all is kept", function()
      local ok, message = archive.extract(tar("add('p', type=F)"), dir .. "/out")
      assert.is_nil(ok)
      assert.matches("refusing the fifo 'p'", message)
      assert(archive.extract(tar("add('p', type=F); add('f')"), dir .. "/out",
        { foreign_root = true }))
      assert.are.same({ "f" }, fs.list(dir .. "/out"))
    end)
  end)

  it("give names only as they are checked", function()
    for _, good in ipairs { "a", "a/b.ko", "..a/b..", "a b/\u{e4}" } do
      assert.are.equal(good, names.relative(good))
    end
    for _, bad in ipairs { "", "/", "/a", "..", "a/..", "../a", "a/../b", ".", "a/.", "a//b", "a/",
      "a\nb", "a\0b", ("a/"):rep(3000) .. "a", ("a"):rep(300) } do
      local name, why = names.relative(bad)
      assert.is_nil(name)
      assert.is_string(why)
    end
    assert.is_nil(names.relative(nil))
    for _, good in ipairs { "tool", "tool__a_2Fb", "_7Eown-x.y" } do
      assert.are.equal(good, names.key(good))
    end
    for _, bad in ipairs { "", ".", "..", "../x", "a/b", "a~b", "a b", ".x", ("x"):rep(300) } do
      assert.is_nil(names.key(bad))
    end
    assert.is_nil(names.file("a/b"))
    assert.are.equal("6.1-x", names.file("6.1-x"))
  end)

  it("are known to lint, which finds what is put back", function()
    local function lint(file, from, to)
      fs.remove_tree(dir .. "/copy")
      assert(fs.mkdir(dir .. "/copy"))
      assert(process.run { "cp", "-r", "lua", "runtimes", "src", "pilots", "tests/lint-trees",
        dir .. "/copy" })
      assert(fs.mkdir(dir .. "/copy/tests"))
      assert(fs.rename(dir .. "/copy/lint-trees", dir .. "/copy/tests/lint-trees"))
      local path = ("%s/copy/%s"):format(dir, file or "src/tree.c")
      local text = fs.read(path)
      local first, last = text:find(from or "", 1, true)
      assert(fs.write(path, text:sub(1, first - 1) .. (to or "") .. text:sub(last + 1)))
      local result = assert(process.run({ dir .. "/copy/tests/lint-trees" }, { stdout = "pipe" }))
      return result.code, result.stdout
    end
    assert.are.same({ 0, "" }, { lint() })
    for _, case in ipairs {
      { "runtimes/firecracker/lower.lua", "upper:rename(from, to)", "fs.rename(from, to)" },
      { "runtimes/firecracker/modules.lua", "fs.tree(work)", 'fs.tree(work .. "/" .. from)' },
      { "lua/flake/oci.lua", "tree:read(member,", 'fs.read(("%s/%s"):format(dir, member),' },
      { "runtimes/firecracker/kis.lua", "tree:rename(", "os.rename(" },
      { "src/archive_disk.c", "fchmod(fd, ", "chmod(path, " },
      { "src/archive_unpack.c", "archive_disk_open(", "archive_write_disk_new(" },
      { "src/tree.c", "renameat(old.dir, old.name, new.dir, new.name)", "rename(from, to)" },
    } do
      local code, out = lint(table.unpack(case))
      assert.are.equal(1, code, case[1])
      assert.matches(case[1], out, 1, true)
    end
  end)

  it("make nobody wait", function()
    assert(process.run { "mkfifo", dir .. "/fifo" })
    local text, message, code = fs.read(dir .. "/fifo")
    assert.are.same({ nil, "EFILE" }, { text, code })
    assert.matches("fifo: it is no regular file", message)
    assert.are.equal("EFILE", select(3, fs.copy(dir .. "/fifo", dir .. "/copy")))
    assert.is_nil(fs.lstat(dir .. "/copy"))
    assert.are.equal("EISDIR", select(3, fs.read(dir)))
  end)
end)
