-- SPDX-License-Identifier: MIT
local archive = require "flake.archive"
local fs = require "flake.fs"
local process = require "flake.process"

describe("flake.archive", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
    assert(fs.mkdir_p(dir .. "/in/sub"))
    assert(fs.write(dir .. "/in/a", "content of a"))
    assert(fs.write(dir .. "/in/sub/b", ("b"):rep(100000), { mode = 493 }))
    assert(fs.symlink("a", dir .. "/in/link"))
    assert(fs.mkdir(dir .. "/out"))
  end)

  after_each(function() temp:close() end)

  -- A tar with members that python makes, for what no honest tool would write.
  local function evil(python)
    local result = assert(process.run({ "python3", "-c", [[
import io, sys, tarfile
t = tarfile.open(sys.argv[1], "w")
def add(name, data=b"x", **kw):
    i = tarfile.TarInfo(name)
    i.size = len(data) if not kw else 0
    for k, v in kw.items(): setattr(i, k, v)
    t.addfile(i, io.BytesIO(data))
]] .. python .. "\nt.close()\n", dir .. "/evil.tar" }))
    assert.are.equal(0, result.code)
    return dir .. "/evil.tar"
  end

  for _, case in ipairs { { "tar", "none" }, { "tar", "gzip" }, { "tar", "xz" }, { "tar", "zstd" },
    { "tar", "bzip2" }, { "zip", "none" }, { "cpio", "none" } } do
    it(("round-trips %s with %s"):format(case[1], case[2]), function()
      local made = assert(archive.create(dir .. "/x", dir .. "/in",
        { format = case[1], compression = case[2] }))
      assert.are.equal(4, made.entries)
      local done = assert(archive.extract(dir .. "/x", dir .. "/out"))
      assert.are.equal(4, done.entries)
      assert.are.equal("content of a", fs.read(dir .. "/out/a"))
      assert.are.equal(100000, #fs.read(dir .. "/out/sub/b"))
      assert.are.equal("a", fs.readlink(dir .. "/out/link"))
      assert.are.equal(493, fs.stat(dir .. "/out/sub/b").mode)
    end)
  end

  it("makes byte-equal archives with a given time", function()
    local function make(name)
      assert(archive.create(dir .. name, dir .. "/in",
        { compression = "gzip", mtime = 1000000000 }))
      return fs.read(dir .. name)
    end
    local first = make("/one")
    assert(fs.write(dir .. "/in/a", "content of a"))
    assert.are.equal(first, make("/two"))
  end)

  -- What one reader of the archive takes for another file than the next one does.
  it("takes nothing ambiguous for plain content", function()
    local plain = { plain = true }
    local function refused(pattern, python)
      local file = evil(python)
      assert.are.equal(0, assert(process.run { "rm", "-rf", dir .. "/out" }).code)
      assert(fs.mkdir(dir .. "/out"))
      local ok, message, code = archive.extract(file, dir .. "/out", plain)
      assert.are.same({ nil, "EARCHIVE" }, { ok, code })
      assert.matches(pattern, message)
    end
    refused("'a', which is there twice", "add('a'); add('b'); add('a')")
    refused("'a', which is there twice", "add('./a'); add('a')")
    refused("'a', which is there twice", "add('a/b'); add('a')")
    refused("'a/', which is there twice", "add('a'); add('a/', type=tarfile.DIRTYPE)")
    refused("the path 'a//b'", "add('a//b')")
    refused("the path 'a/./b'", "add('a/./b')")
    refused("the path 'a/.'", "add('a/.')")
    refused("the symlink 'l'", "add('l', type=tarfile.SYMTYPE, linkname='a')")
    refused("the hardlink 'l'", "add('a'); add('l', type=tarfile.LNKTYPE, linkname='a')")
    refused("the fifo 'p'", "add('p', type=tarfile.FIFOTYPE)")
    local honest = evil(
      "add('d/', type=tarfile.DIRTYPE); add('d/a'); add('d', type=tarfile.DIRTYPE)")
    assert.are.equal(0, assert(process.run { "rm", "-rf", dir .. "/out" }).code)
    assert(fs.mkdir(dir .. "/out"))
    assert.are.equal(3, assert(archive.extract(honest, dir .. "/out", plain)).entries)
  end)

  it("keeps owners and hard links if asked to, and leaves out what is no file", function()
    assert(process.run { "ln", dir .. "/in/a", dir .. "/in/sub/a2" })
    assert(process.run { "mkfifo", dir .. "/in/fifo" })
    if fs.geteuid() == 0 then assert(fs.chown(dir .. "/in/sub/b", 5, 6)) end
    assert(archive.create(dir .. "/x", dir .. "/in", { owner = true, links = true }))
    local found = {}
    for _, member in ipairs(assert(archive.list(dir .. "/x"))) do found[member.path] = member end
    assert.is_nil(found.fifo)
    assert.are.equal("hardlink", found["sub/a2"].type)
    local owner = assert(fs.stat(dir .. "/in/sub/b"))
    assert.are.same({ owner.uid, owner.gid }, { found["sub/b"].uid, found["sub/b"].gid })
    assert(archive.extract(dir .. "/x", dir .. "/out"))
    assert.are.equal("content of a", fs.read(dir .. "/out/sub/a2"))
  end)

  it("follows no link that takes a directory's place while it packs", function()
    assert(fs.mkdir(dir .. "/secret"))
    assert(fs.write(dir .. "/secret/b", "secret"))
    local swapped = false
    local made, message = archive.create(dir .. "/x", dir .. "/in", { progress = function()
      if not swapped then
        assert(fs.rename(dir .. "/in/sub", dir .. "/sub"))
        assert(fs.symlink(dir .. "/secret", dir .. "/in/sub"))
      end
      swapped = true
      return true
    end })
    assert.is_true(swapped)
    assert.is_nil(made)
    assert.matches("cannot read sub/b", message)
  end)

  it("lists sorted members", function()
    assert(archive.create(dir .. "/x", dir .. "/in"))
    local members = assert(archive.list(dir .. "/x"))
    local paths = {}
    for i, member in ipairs(members) do paths[i] = member.path:gsub("/$", "") end
    assert.are.same({ "a", "link", "sub", "sub/b" }, paths)
    assert.are.equal("symlink", members[2].type)
    assert.are.equal("a", members[2].link)
    assert.are.equal(100000, members[4].size)
  end)

  it("reads one member", function()
    assert(archive.create(dir .. "/x", dir .. "/in"))
    assert.are.equal("content of a", archive.read_file(dir .. "/x", "a"))
    local _, _, code = archive.read_file(dir .. "/x", "nothing")
    assert.are.equal("ENOENT", code)
    _, _, code = archive.read_file(dir .. "/x", "sub/b", { limit = 10 })
    assert.are.equal("ELIMIT", code)
  end)

  it("strips leading components", function()
    assert(archive.create(dir .. "/x", dir))
    assert(archive.extract(dir .. "/x", dir .. "/out", { strip = 1 }))
    assert.are.equal("content of a", fs.read(dir .. "/out/a"))
  end)

  local attacks = {
    { "an absolute path", 'add("/tmp/flake-evil")' },
    { "..", 'add("sub/../../flake-evil")' },
    { "a link to outside, then a file through it",
      'add("l", type=tarfile.SYMTYPE, linkname="../.."); add("l/flake-evil")' },
    { "an absolute link", 'add("l", type=tarfile.SYMTYPE, linkname="/etc")' },
    { "a link over a link", 'add("d", type=tarfile.SYMTYPE, linkname="."); '
      .. 'add("d/../l", type=tarfile.SYMTYPE, linkname="x")' },
    { "a hard link to outside", 'add("h", type=tarfile.LNKTYPE, linkname="../secret")' },
    { "a link that leaves through another one", 'add("a", type=tarfile.DIRTYPE); '
      .. 'add("a/b", type=tarfile.SYMTYPE, linkname=".."); '
      .. 'add("c", type=tarfile.SYMTYPE, linkname="a/b/../secret")' },
    { "a link that leaves from where a hard link puts it",
      'add("a/b/l", type=tarfile.SYMTYPE, linkname="../.."); '
      .. 'add("h", type=tarfile.LNKTYPE, linkname="a/b/l")' },
    { "a link whose path looks deeper than it is",
      'add("a/.//l", type=tarfile.SYMTYPE, linkname="../..")' },
    { "a device", 'add("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)' },
    { "a file through a link inside",
      'add("real", type=tarfile.DIRTYPE); add("l", type=tarfile.SYMTYPE, linkname="real"); '
      .. 'add("l/f")' },
  }
  for _, attack in ipairs(attacks) do
    it("refuses " .. attack[1], function()
      assert(fs.write(dir .. "/secret", "s"))
      local done, message, code = archive.extract(evil(attack[2]), dir .. "/out")
      if attack[1] == "a file through a link inside" then
        -- libarchive may also replace the link by a directory; never may it write through.
        assert.is_nil(fs.stat(dir .. "/out/real/f"))
        return
      end
      assert.is_nil(done)
      assert.is_string(message)
      assert.are.equal("EARCHIVE", code)
      assert.is_nil(fs.stat(dir .. "/flake-evil"))
    end)
  end

  it("drops set-id bits", function()
    assert(archive.extract(evil('i = tarfile.TarInfo("s"); i.mode = 0o4755; t.addfile(i)'),
      dir .. "/out"))
    assert.are.equal(493, fs.stat(dir .. "/out/s").mode)
  end)

  it("keeps to its limits", function()
    assert(archive.create(dir .. "/x", dir .. "/in"))
    local _, _, code = archive.extract(dir .. "/x", dir .. "/out", { max_size = 1000 })
    assert.are.equal("ELIMIT", code)
    _, _, code = archive.extract(dir .. "/x", dir .. "/out", { max_entries = 2 })
    assert.are.equal("ELIMIT", code)
    _, _, code = archive.list(dir .. "/x", { max_entries = 2 })
    assert.are.equal("ELIMIT", code)
  end)

  it("takes a sparse member for as large as it will be", function()
    assert(process.run({ "truncate", "-s", "1G", dir .. "/in/a" }))
    assert(process.run({ "tar", "-C", dir .. "/in", "-Scf", dir .. "/x", "a" }))
    assert.are.equal("ELIMIT", select(3, archive.extract(dir .. "/x", dir .. "/out",
      { max_size = 1 << 20 })))
    assert.is_nil(fs.stat(dir .. "/out/a"))
    assert.are.equal(1 << 30, assert(archive.extract(dir .. "/x", dir .. "/out")).size)
  end)

  it("keeps names in UTF-8, and other bytes of a tar", function()
    assert(fs.write(dir .. "/in/\u{fc}\u{1f600}", "x"))
    for _, format in ipairs { "zip", "tar", "cpio" } do
      assert(archive.create(dir .. "/x", dir .. "/in", { format = format }))
      assert(archive.extract(dir .. "/x", dir .. "/out"), format)
      assert.are.equal("x", fs.read(dir .. "/out/\u{fc}\u{1f600}"), format)
      assert.are.equal("x", archive.read_file(dir .. "/x", "\u{fc}\u{1f600}"), format)
      assert(fs.unlink(dir .. "/out/\u{fc}\u{1f600}"))
    end
    assert(process.run({ "python3", "-c", [[
import sys, zipfile
zipfile.ZipFile(sys.argv[1], "w").writestr("\u00fc", "foreign")]], dir .. "/x" }))
    assert.are.equal("foreign", archive.read_file(dir .. "/x", "\u{fc}"))
    assert(fs.write(dir .. "/in/\xff", "y"))
    assert(archive.create(dir .. "/x", dir .. "/in"))
    assert(archive.extract(dir .. "/x", dir .. "/out"))
    assert.are.equal("y", fs.read(dir .. "/out/\xff"))
  end)

  it("reports progress, and lets it abort or raise", function()
    assert(archive.create(dir .. "/x", dir .. "/in"))
    local last = 0
    assert(archive.extract(dir .. "/x", dir .. "/out", { progress = function(entries)
      last = entries
    end }))
    assert.are.equal(4, last)
    local done, message = archive.extract(dir .. "/x", dir .. "/out",
      { progress = function() return false end })
    assert.is_nil(done)
    assert.matches("aborted", message)
    assert.has_error(function()
      archive.extract(dir .. "/x", dir .. "/out", { progress = function() error("mine", 0) end })
    end, "mine")
  end)

  it("says what is wrong with a file that is no archive, or is not there", function()
    local done, message, code = archive.list(dir .. "/in/a")
    assert.is_nil(done)
    assert.matches(dir .. "/in/a: ", message, 1, true)
    assert.are.equal("EARCHIVE", code)
    assert.are.equal("ENOENT", select(3, archive.list(dir .. "/nothing")))
    assert.are.equal("ENOENT", select(3, archive.create(dir .. "/x", dir .. "/nothing")))
    assert.are.equal("EARCHIVE", select(3, archive.create(dir .. "/x", dir .. "/in",
      { format = "papyrus" })))
    assert.is_nil(fs.stat(dir .. "/x"))
  end)

  it("raises on unknown options", function()
    assert.has_error(function() archive.list("x", { limit = 1 }) end)
  end)
end)
