-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local process = require "flake.process"

describe("the Makefile", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path()
  end)

  after_each(function() temp:close() end)

  local function run(argv, opts)
    opts = opts or {}
    opts.stdout, opts.stderr, opts.env = "pipe", "stdout", opts.env or {}
    opts.env.LD_PRELOAD, opts.env.MAKEFLAGS = false, false
    local r = assert(process.run(argv, opts))
    assert.are.equal(0, r.code, r.stdout)
    return r.stdout
  end

  it("compiles anew for another PREFIX, and only then", function()
    local object = dir .. "/b/src/flake.o"
    local function make(prefix)
      return run({ "make", "B=" .. dir .. "/b", "PREFIX=" .. prefix, object })
    end
    make("/opt/one")
    assert.is_truthy(fs.read(object):find("/opt/one/share/flakes", 1, true))
    assert.is_nil(make("/opt/one"):find("CC", 1, true))
    make("/opt/two")
    assert.is_truthy(fs.read(object):find("/opt/two/share/flakes", 1, true))
  end)

  it("compiles with the user's flags, which win", function()
    for i, flags in ipairs { "-O0 -g", "-O3 -D_FORTIFY_SOURCE=3", "-Os -Wp,-D_FORTIFY_SOURCE=1" } do
      local said = run { "make", "V=1", "CFLAGS=" .. flags, "B=" .. dir .. "/b" .. i,
        dir .. "/b" .. i .. "/src/strv.o" }
      assert.is_truthy(said:find(flags, said:find("-O2", 1, true), true), said)
    end
  end)

  it("finds Lua 5.4 by another name, and no other Lua", function()
    local function host(version)
      assert(fs.write(dir .. "/lua.pc", ("lib=/lib-of-%s\nINSTALL_CMOD=${lib}\nName: Lua\n"
        .. "Description: Lua\nVersion: %s\nCflags: -I${lib}\n"):format(version, version)))
      return run({ "make", "-n", "B=" .. dir .. "/b", dir .. "/b/src/host.o" },
        { env = { PKG_CONFIG_LIBDIR = dir } })
    end
    local said = host("5.4.6")
    assert.matches('CPATH=.*"/lib%-of%-5%.4%.6/%?%.so;/usr/lib/lua/5%.4/%?%.so"', said)
    assert.matches("%-I/lib%-of%-5%.4%.6 ", said)
    for _, version in ipairs { "5.3.6", "5.5.0" } do
      assert.is_nil(host(version):find("lib-of", 1, true))
    end
  end)

  it("takes no other version's word for what lint finds", function()
    local says = { ["clang-format"] = "Debian clang-format version %s", luacheck = "Luacheck: %s",
      ["clang-tidy"] = "Debian LLVM version %s\n  Optimized build." }
    local function lint(version)
      for tool, line in pairs(says) do
        assert(fs.write(dir .. "/" .. tool, ('#!/bin/sh\n[ "$*" = --version ] || exit 1\n'
          .. "echo '%s'\n"):format(line:format(version)), { mode = 493 }))
      end
      return assert(process.run({ "tests/lint" }, { stdout = "pipe", stderr = "stdout",
        env = { PATH = dir .. ":" .. process.getenv("PATH"), LD_PRELOAD = false } }))
    end
    local other, ours = lint("19.1.7"), { lint("14.0.6"), lint("1.1.0") }
    assert.are.equal(0, other.code, other.stdout)
    for tool in pairs(says) do
      assert.matches("lint: skipped, " .. tool:gsub("%p", "%%%0")
        .. " 19%.1%.7 is not the version that counts", other.stdout)
      assert.is_truthy((ours[1].stdout .. ours[2].stdout):find(tool .. " found something", 1, true))
    end
    assert.are.equal(1, ours[1].code)
  end)

  -- With LTO the linker compiles, and whether that can be done twice is a matter of its flags.
  it("links with the flags with which it compiles", function()
    local out = run({ "make", "-n", "V=1", "B=" .. dir .. "/b", "CFLAGS=-g -flto -fmark=x",
      dir .. "/b/podman-pilot", dir .. "/b/flake-ctl", dir .. "/b/flake/fs.so",
      dir .. "/b/flake-init", dir .. "/b/sci" })
    local links = 0
    for line in out:gsub("\\\n%s*", ""):gmatch("[^\n]+") do
      if line:find(" -o " .. dir, 1, true) and not line:find(" -c ", 1, true) then
        assert.matches(" %-flto %-fmark=x ", line)
        links = links + 1
      end
    end
    assert.are.equal(5, links)
  end)

  it("takes a publisher whose name has a comma", function()
    local function debianize(name)
      return assert(process.run({ "packaging/debianize", dir, "1" }, { stderr = "pipe",
        env = { DEBFULLNAME = name, DEBEMAIL = "j@example.org" } }))
    end
    local function control(name)
      assert.are.equal(0, debianize(name).code)
      return fs.read(dir .. "/debian/control"), fs.read(dir .. "/debian/changelog")
    end
    local text, log = control("Doe, Jane & Söhne/Co")
    assert.matches('\nMaintainer: "Doe, Jane & Söhne/Co" <j@example.org>\n', text, 1, true)
    assert.matches('\n -- "Doe, Jane & Söhne/Co" <j@example.org>  ', log, 1, true)
    assert.matches("\nMaintainer: Jane Doe <j@example.org>\n", (control("Jane Doe")), 1, true)
    local r = debianize('Jane "J')
    assert.are_not.equal(0, r.code)
    assert.matches("DEBFULLNAME must not hold", r.stderr)
  end)

  it("makes the same distribution of a distribution", function()
    assert(fs.mkdir(dir .. "/t"))
    run({ "cp", "-r", "Makefile", "README.md", "src", "tests", dir .. "/t" })
    run({ "make", "dist" }, { cwd = dir .. "/t" })
    local name = run({ "sh", "-c", "echo *.tar.gz" }, { cwd = dir .. "/t" }):match("^(.*)%.tar%.gz")
    assert.matches("^flake%-pilot%-", name)
    run({ "tar", "-C", dir, "-xf", dir .. "/t/" .. name .. ".tar.gz" })
    run({ "diff", "-r", "src", dir .. "/" .. name .. "/src" })
    run({ "make", "dist" }, { cwd = dir .. "/" .. name })
    local list = { "tar", "-tf", name .. ".tar.gz" }
    assert.are.equal(run(list, { cwd = dir .. "/t" }), run(list, { cwd = dir .. "/" .. name }))
  end)
end)
