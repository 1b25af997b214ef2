-- SPDX-License-Identifier: MIT
-- Archives for images: to_tar, pack_public.
local archive = require "flake.archive"
local fs = require "flake.fs"
local process = require "flake.process"

describe("flake.archive for images", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
    assert(fs.chmod(dir, 493))
  end)

  after_each(function() temp:close() end)

  local function python(code, name)
    local result = assert(process.run({ "python3", "-c", "import io, sys, tarfile\n"
      .. "t = tarfile.open(sys.argv[1], 'w')\n"
      .. "def add(name, data=b'x', **kw):\n"
      .. "    i = tarfile.TarInfo(name)\n"
      .. "    i.size = len(data)\n"
      .. "    for k, v in kw.items(): setattr(i, k, v)\n"
      .. "    t.addfile(i, io.BytesIO(data))\n" .. code .. "\nt.close()\n",
      dir .. "/" .. (name or "in.tar") }))
    assert.are.equal(0, result.code)
  end

  local function converted(skip)
    fs.unlink(dir .. "/out.tar")
    local done, message, code = archive.to_tar(dir .. "/in.tar", dir .. "/out.tar", skip or {})
    if not done then return nil, message, code end
    local by_path = {}
    for _, member in ipairs(assert(archive.list(dir .. "/out.tar"))) do
      by_path[member.path] = member
    end
    return by_path
  end

  it("keeps set-id bits, links and any bytes in names", function()
    python("add('a', mode=0o4755)\nadd('h', b'', type=tarfile.LNKTYPE, linkname='a')\n"
      .. "add('s', b'', type=tarfile.SYMTYPE, linkname='/etc/passwd')\nadd('d/\xc3\xa9 \"x\"')")
    local members = assert(converted())
    assert.are.equal(2541, members.a.mode)
    assert.are.equal("a", members.h.link)
    assert.are.equal("/etc/passwd", members.s.link)
    assert.are.equal("x", archive.read_file(dir .. "/out.tar", 'd/\xc3\xa9 "x"'))
  end)

  it("leaves out devices and the directories it is told, not what is in them", function()
    python("add('lib', b'', type=tarfile.DIRTYPE)\nadd('./bin/', b'', type=tarfile.DIRTYPE)\n"
      .. "add('lib/x')\nadd('lib/sub', b'', type=tarfile.DIRTYPE)\n"
      .. "add('null', b'', type=tarfile.CHRTYPE)\nadd('fifo', b'', type=tarfile.FIFOTYPE)")
    local members = assert(converted { "lib", "bin" })
    assert.is_truthy(members["lib/x"])
    assert.is_truthy(members["lib/sub/"])
    for _, name in ipairs { "lib/", "bin/", "./bin/", "null", "fifo" } do
      assert.is_nil(members[name], name)
    end
  end)

  it("refuses ..", function()
    python("add('a/../../b')")
    assert.are.equal("EARCHIVE", select(3, converted()))
    python("add('h', b'', type=tarfile.LNKTYPE, linkname='../x')")
    assert.are.equal("EARCHIVE", select(3, converted()))
  end)

  it("writes over nothing", function()
    python("add('a')")
    assert(fs.symlink("/etc/passwd", dir .. "/link"))
    assert.are.equal("EEXIST", select(3, archive.to_tar(dir .. "/in.tar", dir .. "/link", {})))
    assert.are.equal("EEXIST", select(3, archive.pack_public(dir .. "/link", {})))
  end)

  it("reads no format that names files of the host", function()
    assert(fs.write(dir .. "/in.tar", "#mtree\n./x type=file contents=/etc/passwd\n"))
    assert.are.equal("EARCHIVE", select(3, converted()))
  end)

  it("packs what everybody may read", function()
    assert(fs.mkdir(dir .. "/private", 448))
    assert(fs.write(dir .. "/private/f", "secret"))
    assert(fs.write(dir .. "/set-id", "x", { mode = 2541 }))
    assert(fs.write(dir .. "/mine", "x", { mode = 416 }))
    assert(fs.symlink("private/f", dir .. "/link"))
    local paths = {}
    for i, name in ipairs { "set-id", "mine", "private/f", "link", "private", "none" } do
      paths[i] = dir .. "/" .. name
    end
    local kinds = assert(archive.pack_public(dir .. "/out.tar", paths))
    assert.are.same({ "file", "refused", "refused", "symlink", "directory", "missing" }, kinds)
    local members = assert(archive.list(dir .. "/out.tar"))
    assert.are.equal(2, #members)
    assert.are.equal(paths[1]:sub(2), members[1].path)
    assert.are.equal(493, members[1].mode)
    assert.are.equal("private/f", members[2].link)
    assert.are.same({}, archive.pack_public(dir .. "/empty.tar", {}))
  end)
end)

describe("flake.digest", function()
  it("computes SHA-256", function()
    assert.are.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      require("flake.digest").sha256("abc"))
  end)
end)
