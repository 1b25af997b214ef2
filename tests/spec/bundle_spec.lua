-- SPDX-License-Identifier: MIT
-- What a foreign bundle may not do. Honest ones are in podman_spec.lua.
local archive = require "flake.archive"
local fs = require "flake.fs"
local Place = require "support.place"

local MANIFEST = "{format: 1, name: x, engine: podman, image: localhost/good, "
  .. "apps: [{path: /usr/bin/x, target: /bin/x}], include: []}"
local FLAKE = [[
container:
  name: localhost/good
  host_app_path: /usr/bin/x
  target_app_path: /bin/x
]]

describe("a foreign bundle", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
    place:put("/evil/image", "x")
    place:put("/evil/bundle.yaml", MANIFEST)
    place:put("/evil/flake.yaml", FLAKE)
  end)

  after_each(function() place:close() end)

  local function import(...)
    assert(archive.create(place.root .. "/evil.flake", place.root .. "/evil"))
    fs.unlink(place.log)
    return place:ctl("import", place.root .. "/evil.flake", ...)
  end

  -- Refused, and nothing was done: no call of podman, no file.
  local function refused(pattern, ...)
    local before = fs.list(place.flakes)
    local code, _, err = import(...)
    assert.are.equal(1, code)
    assert.matches(pattern, err)
    assert.are.same({}, place:calls())
    local after = fs.list(place.flakes)
    if after[1] == ".lock" and before[1] ~= ".lock" then table.remove(after, 1) end
    assert.are.same(before, after)
  end

  it("is imported when it is honest", function()
    assert.are.equal(0, (import()))
    assert.are.same({ "podman", "load" }, table.move(place:calls()[1], 1, 2, 1, {}))
    assert.are.equal("/usr/bin/podman-pilot", fs.readlink(place.root .. "/usr/bin/x"))
  end)

  it("has no links, wherever they lead", function()
    for _, name in ipairs { "image", "flake.yaml", "flake.d/1.yaml", "include/1", "other" } do
      local path = place.root .. "/evil/" .. name
      local old = fs.read(path)
      fs.unlink(path)
      assert(fs.mkdir_p((path:match("^(.*)/"))))
      assert(fs.symlink("bundle.yaml", path))
      refused("refusing the symlink '" .. name .. "'")
      fs.unlink(path)
      if old then place:put("/evil/" .. name, old) end
    end
  end)

  it("has all files that it speaks of, as files", function()
    place:put("/evil/bundle.yaml", (MANIFEST:gsub("include: %[%]", "include: [/x]")))
    refused("has no file include/1")
    assert(fs.mkdir_p(place.root .. "/evil/include/1"))
    refused("has no file include/1")
    place:put("/evil/bundle.yaml", MANIFEST)
    fs.unlink(place.root .. "/evil/image")
    refused("has no file image")
  end)

  it("says in its manifest what its definition and fragments say", function()
    place:put("/evil/flake.yaml", (FLAKE:gsub("good", "evil")))
    refused("says something else than its bundle.yaml")
    place:put("/evil/flake.yaml", FLAKE)
    place:put("/evil/flake.d/1.yaml", "container: {name: localhost/evil}")
    refused("says something else than its bundle.yaml")
    place:put("/evil/flake.d/1.yaml", "container: {target_app_path: /bin/sh}")
    refused("says something else than its bundle.yaml")
    place:put("/evil/flake.d/1.yaml", "container: {path_map: {/usr/bin/x: , /usr/bin/y: }}")
    refused("says something else than its bundle.yaml")
    place:put("/evil/flake.d/1.yaml", "[")
    refused("1%.yaml:")
  end)

  it("is seen whole by the register hooks", function()
    place:put("/evil/flake.d/1.yaml", "container: {runtime: {podman: [--privileged]}}")
    place:put("/etc/flakes/hooks/register.d/1.lua", [[
      return function(event)
        for _, option in ipairs(event.merged.container.runtime.podman) do
          if option == "--privileged" then flake.deny("no " .. option) end
        end
        if event.image ~= "localhost/good" or event.definition.container.name ~= event.image then
          flake.deny("another image")
        end
      end]])
    refused("no %-%-privileged")
    place:put("/evil/flake.d/1.yaml", "container: {runtime: {podman: [--read-only]}}")
    assert.are.equal(0, (import()))
  end)

  it("changes nothing when its flake or command exists", function()
    place:put("/usr/share/flakes/x.yaml", FLAKE)
    place:put("/evil/bundle.yaml", (MANIFEST:gsub("include: %[%]", "include: [/x]")))
    place:put("/evil/include/1", "new")
    place:put("/usr/share/flakes/x.include/1", "old")
    refused("exists already")
    assert.are.equal("old", fs.read(place.flakes .. "/x.include/1"))
    place:put("/usr/bin/x", "a program")
    refused("is no flake", "--force")
    assert.are.equal("old", fs.read(place.flakes .. "/x.include/1"))
  end)

  it("leaves nothing when the engine refuses its image", function()
    place:stand_in("podman", "exit 125")
    assert.are.equal(1, (import()))
    assert.are.same({ ".lock" }, fs.list(place.flakes))
  end)

  it("leaves its includes no longer than the flake that has them", function()
    place:put("/evil/bundle.yaml", (MANIFEST:gsub("include: %[%]", "include: [/x, /y]")))
    place:put("/evil/include/1", "one")
    place:put("/evil/include/2", "two")
    assert.are.equal(0, (import()))
    assert.are.equal("two", fs.read(place.flakes .. "/x.include/2"))
    place:put("/evil/bundle.yaml", (MANIFEST:gsub("include: %[%]", "include: [/x]")))
    assert.are.equal(0, (import("--force")))
    assert.are.same({ "1" }, fs.list(place.flakes .. "/x.include"))
    assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/x")))
    assert.are.same({ ".lock" }, fs.list(place.flakes))
  end)

  it("goes below an absolute root only", function()
    assert.are.equal(2, (import("--root", "rel/dir")))
  end)
end)
