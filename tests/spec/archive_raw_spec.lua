-- SPDX-License-Identifier: MIT
-- Compressed files, roots of other systems, digests of files.
local archive = require "flake.archive"
local digest = require "flake.digest"
local fs = require "flake.fs"
local process = require "flake.process"

describe("flake.archive", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
    assert(fs.mkdir(dir .. "/out"))
  end)

  after_each(function() temp:close() end)

  -- A tar of what the lines of Python add.
  local function tar(lines)
    local script = ([[
import tarfile, io
with tarfile.open("%s/x.tar", "w") as tar:
    def add(name, kind, data=b"", mode=0o644, uid=0, gid=0, link=""):
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, gid, link
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
%s]]):format(dir, lines)
    assert.are.equal(0, assert(process.run { "python3", "-c", script }).code)
    return dir .. "/x.tar"
  end

  it("decompresses files that are no archives, with holes for zeros", function()
    local data = "head" .. ("\0"):rep(1 << 20) .. "tail"
    assert(fs.write(dir .. "/f", data))
    for _, tool in ipairs { "gzip", "xz", "zstd" } do
      local r = assert(process.run({ tool, "-c", dir .. "/f" },
        { stdout = { path = dir .. "/packed" } }))
      assert.are.equal(0, r.code)
      fs.unlink(dir .. "/got")
      assert.are.equal(#data, archive.decompress(dir .. "/packed", dir .. "/got"))
      assert.are.equal(data, fs.read(dir .. "/got"))
    end
    local used = assert(process.run({ "stat", "-c", "%b", dir .. "/got" }, { stdout = "pipe" }))
    assert.is_true(tonumber(used.stdout) < 100)
  end)

  it("copies what is not compressed, or a slice of it", function()
    assert(fs.write(dir .. "/f", "plain text"))
    assert.are.equal(10, archive.decompress(dir .. "/f", dir .. "/a"))
    assert.are.equal(4, archive.decompress(dir .. "/f", dir .. "/b", { offset = 6 }))
    assert.are.equal(3, archive.decompress(dir .. "/f", dir .. "/c", { offset = 2, length = 3 }))
    assert.are.equal("ain", fs.read(dir .. "/c"))
    assert.are.equal("EEXIST", select(3, archive.decompress(dir .. "/f", dir .. "/c")))
    assert.are.equal("ENOENT", select(3, archive.decompress(dir .. "/none", dir .. "/d")))
    assert(fs.write(dir .. "/empty", ""))
    assert.are.equal(0, archive.decompress(dir .. "/empty", dir .. "/e"))
  end)

  it("leaves nothing of what is broken or too much", function()
    assert(fs.write(dir .. "/f", ("x"):rep(100000)))
    assert(process.run({ "gzip", "-c", dir .. "/f" }, { stdout = { path = dir .. "/packed" } }))
    local _, _, code = archive.decompress(dir .. "/packed", dir .. "/a", { max_size = 1000 })
    assert.are.equal("ELIMIT", code)
    local packed = fs.read(dir .. "/packed")
    assert(fs.write(dir .. "/broken", packed:sub(1, #packed // 2)))
    _, _, code = archive.decompress(dir .. "/broken", dir .. "/a")
    assert.are.equal("EARCHIVE", code)
    assert.is_nil(fs.lstat(dir .. "/a"))
  end)

  it("lists owners and set-id bits", function()
    local list = assert(archive.list(tar [[
    add("su", tarfile.REGTYPE, b"x", 0o4755, 7, 8)
]]))
    assert.are.same({ 2541, 7, 8 }, { list[1].mode, list[1].uid, list[1].gid }) -- 04755
  end)

  it("unpacks another system's root: links lead anywhere, devices stay out", function()
    local file = tar [[
    add("sh", tarfile.SYMTYPE, link="/bin/busybox")
    add("up", tarfile.SYMTYPE, link="../../..")
    add("null", tarfile.CHRTYPE)
    add("pipe", tarfile.FIFOTYPE)
    add("secret", tarfile.REGTYPE, b"x", 0o4000)
    add("closed", tarfile.DIRTYPE, mode=0)
    add("closed/file", tarfile.REGTYPE, b"y")
]]
    assert.are.equal("EARCHIVE", select(3, archive.extract(file, dir .. "/out")))
    assert(archive.extract(file, dir .. "/out", { foreign_root = true }))
    assert.are.same({ "closed", "secret", "sh", "up" }, fs.list(dir .. "/out"))
    assert.are.equal(384, fs.stat(dir .. "/out/secret").mode)
    assert.are.equal(448, fs.stat(dir .. "/out/closed").mode)
    assert.are.equal("/bin/busybox", fs.readlink(dir .. "/out/sh"))
  end)

  it("writes and links through no link of another system's root", function()
    assert(fs.mkdir(dir .. "/host"))
    assert(fs.write(dir .. "/host/file", "mine"))
    local cases = {
      [[    add("a/file", tarfile.REGTYPE, b"evil")]],
      [[    add("b", tarfile.LNKTYPE, link="a/file")]],
      [[    add("../host/file", tarfile.REGTYPE, b"evil")]],
    }
    for _, case in ipairs(cases) do
      local link = ('    add("a", tarfile.SYMTYPE, link="%s/host")\n'):format(dir)
      local file = tar(link .. case .. "\n")
      archive.extract(file, dir .. "/out", { foreign_root = true })
      assert.are.equal("mine", fs.read(dir .. "/host/file"))
      assert.is_nil(fs.lstat(dir .. "/out/b"))
    end
  end)
end)

describe("flake.digest", function()
  it("digests files, or their beginning", function()
    local temp <close> = assert(fs.temp_dir())
    local file = temp:path() .. "/f"
    assert(fs.write(file, "abcdef"))
    assert.are.equal(digest.sha256("abcdef"), digest.file(file))
    assert.are.equal(digest.sha256("abc"), digest.file(file, "sha256", { size = 3 }))
    assert.are.equal("900150983cd24fb0d6963f7d28e17f72", digest.file(file, "md5", { size = 3 }))
    assert.are.equal("EINVAL", select(3, digest.file(file, "md5", { size = 7 })))
    assert.are.equal("ENOENT", select(3, digest.file(file .. "x")))
    assert.has_error(function() digest.file(file, "crc") end)
  end)
end)
