-- SPDX-License-Identifier: MIT
-- What the design promises about the programs themselves.
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

local build = process.getenv("FLAKE_BUILD") or "build"

-- Sanitizers bring their own libraries.
local plain = build == "build"

local function libraries(program)
  local r = assert(process.run({ "ldd", build .. "/" .. program }, { stdout = "pipe" }))
  local names = {}
  for name in r.stdout:gmatch("\n?%s*([%w_.+-]+)%.so") do names[name] = true end
  return names
end

describe("programs", function()
  it("pilots link libc and libyaml, nothing else", function()
    if not plain then pending("sanitizers link more") return end
    local names = libraries("podman-pilot")
    for name in pairs(names) do
      assert.is_truthy(({ ["libyaml-0"] = 1, libc = 1, ["linux-vdso"] = 1 })[name]
        or name:match("^ld%-linux"), name)
    end
    assert.is_true(names.libc)
  end)

  it("the host links neither libcurl nor libarchive", function()
    local names = libraries("flake-ctl")
    assert.is_nil(names.libcurl)
    assert.is_nil(names.libarchive)
  end)

  describe("a launch", function()
    local place

    before_each(function()
      place = Place.new()
      place:stand_in("podman", "exit 4")
      place:ctl("podman", "register", "--container", "img", "--app", "/usr/bin/foo")
      fs.unlink(place.root .. "/usr/bin/foo")
      assert(fs.symlink(fs.realpath(build .. "/podman-pilot"), place.root .. "/usr/bin/foo"))
      fs.unlink(place.log)
    end)

    after_each(function() place:close() end)

    local function execs(...)
      local trace = place.root .. "/trace"
      local r = assert(process.run({ "strace", "-f", "-qq", "-e", "trace=execve,openat",
        "-o", trace, place.root .. "/usr/bin/foo", ... }, { stdin = "null", stderr = "null" }))
      return r.code, fs.read(trace)
    end

    it("without hook starts no flake-launch and opens no Lua", function()
      if not plain then pending("strace and the leak checker exclude each other") return end
      local code, trace = execs("a", "b")
      assert.are.equal(4, code)
      assert.is_nil(trace:find("flake-launch", 1, true))
      assert.is_nil(trace:find("liblua", 1, true))
      assert.matches("img", table.concat(place:calls()[1], " "))
    end)

    it("with a hook goes through flake-launch", function()
      if not plain then pending("strace and the leak checker exclude each other") return end
      place:put("/etc/flakes/hooks/launch.d/x.lua",
        "return function(event) event.args = { 'changed' } end")
      local code, trace = execs("a")
      assert.are.equal(4, code)
      assert.is_truthy(trace:find("flake-launch", 1, true))
      assert.matches("img changed$", table.concat(place:calls()[1], " "))
    end)
  end)

  it("the core changes owners and modes by descriptor only", function()
    for _, name in ipairs(assert(fs.list("src"))) do
      local text = name:match("%.c$") and fs.read("src/" .. name) or ""
      -- "self": what /proc has for a descriptor.
      for call, path in text:gmatch("%f[%w_](ch%w+)%s*%(%s*([^,]*)") do
        local by_path = (call == "chmod" or call == "chown") and path ~= "self"
        assert.is_false(by_path, name .. ": " .. call)
      end
    end
  end)

  it("the host ignores LUA_PATH, LUA_CPATH and LUA_INIT", function()
    local temp <close> = assert(fs.temp_dir())
    local dir = temp:path()
    assert(fs.mkdir_p(dir .. "/flake"))
    assert(fs.write(dir .. "/flake/main.lua", "error('from LUA_PATH')"))
    local r = assert(process.run({ build .. "/flake-ctl", "--version" }, { stdout = "pipe",
      env = { LUA_PATH = dir .. "/?.lua", LUA_CPATH = dir .. "/?.so", LUA_INIT = "error('x')",
        LD_PRELOAD = false } }))
    assert.are.equal(0, r.code)
    assert.matches("^flake%-ctl %d", r.stdout)
  end)
end)
