-- SPDX-License-Identifier: MIT
-- The pilot, flake-relay and flake-launch as black boxes, with stand-ins for podman, crun and sudo.
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

local build = fs.realpath(process.getenv("FLAKE_BUILD") or "build")

describe("podman-pilot", function()
  local place

  before_each(function()
    place = Place.new()
    assert(fs.mkdir_p(place.root .. "/usr/bin"))
  end)

  after_each(function() place:close() end)

  -- A command of that name, and its definition.
  local function flake(name, yaml)
    if yaml then place:put("/usr/share/flakes/" .. name .. ".yaml", yaml) end
    local path = place.root .. "/usr/bin/" .. name
    assert(fs.symlink(build .. "/podman-pilot", path))
    return path
  end

  local function run(argv, opts)
    opts = opts or {}
    opts.stdin, opts.stdout, opts.stderr = "null", "pipe", "pipe"
    opts.timeout = 60
    local r = assert(process.run(argv, opts))
    assert.is_false(r.timed_out)
    return r.code, r.stdout, r.stderr
  end

  it("has standard descriptors though the caller closed them", function()
    place:stand_in("podman", [[
for fd in 0 1 2; do
  file=$(readlink /proc/$$/fd/$fd)
  echo "$file" >>"$REPORT"
done]])
    local foo = flake("foo", "container: {name: img}\n")
    for i, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&- 2>&-" } do
      assert.are.equal(0, (run({ "sh", "-c", '"$1" ' .. closed, "sh", foo },
        { env = { REPORT = place.root .. "/report" } })))
      local fds = {}
      for line in fs.read(place.root .. "/report"):gmatch("[^\n]+") do table.insert(fds, line) end
      assert.are.equal(3, #fds)
      assert.are.equal("/dev/null", fds[i == 4 and 3 or i], closed)
      assert(fs.unlink(place.root .. "/report"))
    end
  end)
end)

describe("flake-ctl", function()
  it("says that its output is lost", function()
    for _, lost in ipairs { ">/dev/full", ">&-" } do
      local r = assert(process.run({ "sh", "-c", '"$1" --help ' .. lost, "sh",
        build .. "/flake-ctl" }, { stderr = "pipe" }))
      assert.are.equal(1, r.code)
      assert.matches("^flake%-ctl: cannot write to standard output: ", r.stderr)
    end
  end)
end)
