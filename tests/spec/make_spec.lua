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
    opts.stdout, opts.stderr, opts.env = "pipe", "stdout", { LD_PRELOAD = false, MAKEFLAGS = false }
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
