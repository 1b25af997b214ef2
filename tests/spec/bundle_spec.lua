-- SPDX-License-Identifier: MIT
-- What a foreign bundle may do, and what of it is said. Honest ones are in podman_spec.lua.
local archive = require "flake.archive"
local fs = require "flake.fs"
local oci_image = require "support.oci_image"
local pilot = require "flake.pilot"
local Place = require "support.place"

local MANIFEST = "{format: 2, name: x, engine: podman, image: localhost/good, "
  .. "apps: [{path: /usr/bin/x, target: /bin/x}]%s}"

describe("a foreign bundle", function()
  local place, id

  -- more: further keys of the manifest.
  local function manifest(more)
    place:put("/evil/bundle.yaml", MANIFEST:format(more and ", " .. more or ""))
  end

  before_each(function()
    place = Place.new()
    oci_image.stand_in(place)
    assert(fs.mkdir(place.root .. "/evil"))
    id = oci_image.write(place.root .. "/evil/image", "good", "localhost/good:latest")
    manifest()
  end)

  after_each(function() place:close() end)

  local function import(...)
    assert(archive.create(place.root .. "/evil.flake", place.root .. "/evil"))
    fs.unlink(place.log)
    return place:ctl("import", place.root .. "/evil.flake", ...)
  end

  -- Refused, and nothing was done: no call of podman that changes its store, no file.
  local function refused(pattern, ...)
    local before = fs.list(place.flakes)
    local code, out, err = import(...)
    assert.are.equal("", out)
    assert.is_true(code ~= 0)
    assert.matches(pattern, err)
    for _, call in ipairs(place:calls()) do assert.are.equal("image", call[2]) end
    local after = fs.list(place.flakes)
    if after[1] == ".lock" and before[1] ~= ".lock" then table.remove(after, 1) end
    assert.are.same(before, after)
    return code, err
  end

  local function imported(...)
    local code, out, err = import(...)
    assert.are.equal(0, code, err)
    assert.are.equal("imported flake x\n", out)
    return err
  end

  it("is imported when it is honest", function()
    imported()
    assert.are.equal(id, oci_image.id_of(place, "localhost/good:latest"))
    assert.are.equal("/usr/bin/podman-pilot", fs.readlink(place.root .. "/usr/bin/x"))
    local flake = assert(pilot.load("x"))
    assert.are.same({ "localhost/good", {}, {} }, { flake.image, flake.options, flake.unknown })
  end)

  it("has no links, wherever they lead, and no file twice", function()
    for _, name in ipairs { "image", "bundle.yaml", "include/1", "other" } do
      local path = place.root .. "/evil/" .. name
      local old = fs.read(path)
      fs.unlink(path)
      assert(fs.mkdir_p((path:match("^(.*)/"))))
      assert(fs.symlink("bundle.yaml", path))
      refused("refusing the symlink '" .. name .. "'")
      fs.unlink(path)
      if old then place:put("/evil/" .. name, old) end
    end
    local file, member = place.root .. "/evil.flake", place.root .. "/more"
    assert(archive.create(file, place.root .. "/evil"))
    place:put("/more/bundle.yaml", (MANIFEST:format(", options: [--privileged]")))
    assert.are.equal(0, require("flake.process").run({ "tar", "-C", member, "-rf", file,
      "bundle.yaml" }).code)
    local code, _, err = place:ctl("import", "--yes", file)
    assert.are.equal(1, code)
    assert.matches("refusing 'bundle.yaml', which is there twice", err, 1, true)
  end)

  it("has all files that it speaks of, as files", function()
    manifest("include: [/x]")
    refused("has no file include/1")
    assert(fs.mkdir_p(place.root .. "/evil/include/1"))
    refused("has no file include/1")
    manifest("parts: [localhost/base]")
    refused("has no file part/1")
    manifest()
    fs.unlink(place.root .. "/evil/image")
    refused("has no file image")
  end)

  it("has no keys but known ones, of the right kind", function()
    for key, why in pairs {
      ["archive: /etc/shadow"] = "no right 'archive'", ["tap: lo"] = "no right 'tap'",
      ["container: {archive: /etc/shadow}"] = "no right 'container'",
      ["include: {path: [/etc/shadow]}"] = "no right 'include'", ["include: x"] = "'include'",
      ["options: --privileged"] = "'options'", ["options: [[x]]"] = "'options'",
      ["check_host_dependencies: maybe"] = "'check_host_dependencies'",
      ["machine: {initrd_path: /etc/shadow}"] = "'machine'", ["machine: {tap: lo}"] = "'machine'",
      ["machine: {rootfs_image_path: /dev/sda}"] = "'machine'", ["share: [everything]"] = "share",
      ["parts: [--all]"] = "'parts'", ['parts: ["a\\nb"]'] = "'parts'", ["user: root"] = "'user'",
    } do
      manifest(key)
      refused(why)
    end
    for _, text in ipairs { "format: 3", "[", "x", "{format: 2}", "{format: 2, engine: podman}",
      MANIFEST:format(""):gsub("name: x", "name: ../x"), MANIFEST:format(""):gsub("2,", "9,"),
      MANIFEST:format(""):gsub("/usr/bin/x", "usr/bin/x"),
      MANIFEST:format(""):gsub("/usr/bin/x", "/usr/bin/../../etc/cron.d/x"),
      MANIFEST:format(""):gsub("target: /bin/x", "exports: /bin/x"),
      MANIFEST:format(""):gsub("{path.*}%]", "x]"), MANIFEST:format(""):gsub("%[.*%]", "[]"),
      MANIFEST:format(""):gsub("podman", "bwrap"),
      MANIFEST:format(""):gsub("localhost/good", "-v") } do
      place:put("/evil/bundle.yaml", text)
      refused("bundle")
    end
  end)

  it("gives its images no names but those of the manifest", function()
    local victim = oci_image.write(place.root .. "/victim", "victim")
    oci_image.name(place, "localhost/victim:latest", victim)
    local note = '"org.opencontainers.image.ref.name":"localhost/victim:latest"'
    local function try(what, change)
      oci_image.write(place.root .. "/evil/image", what, "localhost/good:latest", change)
      local code = import("--force", "--yes")
      assert.are.equal(victim, oci_image.id_of(place, "localhost/victim:latest"), what)
      return code
    end
    -- What podman would be told, and what is told twice.
    assert.are.equal(0, try("plain", function(index)
      return (index:gsub('"org.opencontainers.image.ref.name":"[^"]*"', note))
    end))
    assert.are.equal(0, try("containerd", function(index)
      return (index:gsub('"annotations":{',
        '%0"io.containerd.image.name":"localhost/victim:latest",'))
    end))
    assert.are.equal(1, try("case", function(index)
      return (index:gsub("manifests", "Manifests"))
    end))
    assert.are.equal(1, try("case2", function(index)
      return (index:gsub("annotations", "Annotations"))
    end))
    assert.are.equal(1, try("twice", function(index)
      return (index:gsub("}$", ',"Manifests":[{"annotations":{' .. note .. "}}]}"))
    end))
    assert.are.equal(0, try("qualified", function(index)
      return (index:gsub("localhost/good", "evil.com/localhost/good"))
    end))
    assert.is_nil(oci_image.id_of(place, "evil.com/localhost/good:latest"))
    oci_image.write(place.root .. "/evil/image", "member", "localhost/good:latest")
    place:put("/more/index.json", '{"manifests":[{"annotations":{' .. note .. "}}]}")
    assert.are.equal(0, require("flake.process").run({ "tar", "-C", place.root .. "/more", "-rf",
      place.root .. "/evil/image", "index.json" }).code)
    refused("'index.json', which is there twice", "--force")
    assert.are.equal(victim, oci_image.id_of(place, "localhost/victim:latest"))
  end)

  it("keeps the registry of a short name, and no other", function()
    for noted, name in pairs { ["docker.io/amazon/good:latest"] = "docker.io/amazon/good:latest",
      ["docker.io/library/amazon/good:latest"] = "docker.io/library/amazon/good:latest",
      ["quay.io/x/amazon/good:latest"] = "amazon/good:latest",
      ["docker.io/amazon/good:2"] = "amazon/good:latest",
      ["--x/amazon/good:latest"] = "amazon/good:latest" } do
      place:put("/evil/bundle.yaml", (MANIFEST:format(""):gsub("localhost/good", "amazon/good")))
      id = oci_image.write(place.root .. "/evil/image", noted, noted)
      imported("--force", "--yes")
      assert.are.equal(id, oci_image.id_of(place, name), noted)
    end
  end)

  it("replaces no image of others, unless told to, and says whose", function()
    local other = oci_image.write(place.root .. "/other", "other")
    oci_image.name(place, "localhost/good:latest", other)
    place:put("/usr/share/flakes/a.yaml", "container: {name: localhost/good}")
    refused("image 'localhost/good:latest' exists already, and is not the bundle's")
    local _, err = refused("there is no terminal to ask", "--force")
    assert.matches("weak: replaces the image 'localhost/good:latest', which these flakes use: a",
      err, 1, true)
    imported("--force", "--yes")
    assert.are.equal(id, oci_image.id_of(place, "localhost/good:latest"))
    for _, name in ipairs { "localhost/flake-pilot/f0:1", "localhost/flake-pilot-keep/x" } do
      place:put("/evil/bundle.yaml", (MANIFEST:format(""):gsub("localhost/good", name)))
      refused("refusing the image name '" .. name:gsub("%-", "%%-"))
    end
  end)

  it("is not believed where podman loads another image than it says", function()
    oci_image.stand_in(place, "[ \"$1\" = load ] && exit 0")
    local code, _, err = import()
    assert.are.equal(1, code)
    assert.matches("podman loaded another image than the bundle's", err)
    assert.are.same({ ".lock" }, fs.list(place.flakes))
  end)

  it("says in plain words what it may do, and does it only when told to", function()
    manifest("options: [--privileged, '--volume /:/host', '--net host'], share: [ssh-agent], "
      .. "include: [/etc/jq]")
    place:put("/evil/include/1", "a tar")
    place:put("/evil/bundle.yaml", (fs.read(place.root .. "/evil/bundle.yaml"):gsub("{path.-}",
      "{path: /usr/local/sbin/tool, target: /, user: root}")))
    place:put("/usr/bin/tool", "a program")
    local code, err = refused("there is no terminal to ask: %-%-yes imports it")
    assert.are.equal(2, code)
    assert.are.equal([[
flake 'x' of engine podman, image localhost/good
  command /usr/local/sbin/tool: runs the image's entry point
  open: --privileged: no isolation: all capabilities, all devices, no filter of system calls
  open: --volume /:/host: / of the host, writable at /host: all of the host
  weak: --net host: shares the host's network: what listens on loopback only, and as which address]]
      .. [[ others see it
  weak: runs as user root, whoever calls: sudo decides who may
  weak: the command /usr/local/sbin/tool hides /usr/bin/tool
  gets: share ssh-agent: the caller's SSH agent: it can log in as the caller
  note: brings /etc/jq
]], err:match("^(.-)flake%-ctl: "))
    local out
    code, out = import("--show")
    assert.are.equal(0, code)
    assert.are.equal(err:match("^(.-)flake%-ctl: "), out)
    assert.is_nil(fs.stat(place.flakes .. "/x.yaml"))
    assert.are.equal(err:match("^(.-)flake%-ctl: "), imported("--yes"))
    local flake = assert(pilot.load("x"))
    assert.are.same({ "--privileged", "--volume /:/host", "--net host" }, flake.options)
    assert.are.same({ "root", "ssh-agent", place.flakes .. "/x.include/1" },
      { flake.apps[1].user, flake.share[1], flake.include.tar[1] })
  end)

  it("prints nothing raw of what it says", function()
    manifest([[options: ["--env A=\e[31m\x9b"], include: []
      ]])
    local err = imported()
    manifest([[share: [locale], options: ["--label a=b", "--new\e]0;x"] ]])
    err = err .. select(2, refused("to ask", "--force"))
    assert.is_nil(err:find("[\1-\9\11-\31]"))
  end)

  it("has commands where commands are, unless told otherwise", function()
    for _, path in ipairs { "/etc/cron.d/job", "/etc/profile.d/x.sh", "/boot/x", "/root/x",
      "/lib/modules-load.d/x.conf", "/usr/bin//x" } do
      place:put("/evil/bundle.yaml", (MANIFEST:format(""):gsub("/usr/bin/x", path)))
      refused("its command " .. path:gsub("%-", "%%-") .. " is in no directory of commands",
        "--yes")
    end
    local _, err = refused("to ask", "--commands-anywhere")
    assert.matches("weak: the command /usr/bin//x is in no directory", err)
    imported("--commands-anywhere", "--yes")
  end)

  it("runs no other image by what it calls an option", function()
    for _, option in ipairs { "localhost/other", "--", "-", '"--rm "' } do
      manifest("options: [--rm, " .. option .. "]")
      refused("is no option of podman")
    end
  end)

  it("is seen whole by the register hooks", function()
    manifest("options: [--privileged]")
    place:put("/etc/flakes/hooks/register.d/1.lua", [[
      return function(event)
        for _, option in ipairs(event.merged.container.runtime.podman) do
          if option == "--privileged" then flake.deny("no " .. option) end
        end
        if event.image ~= "localhost/good" or event.definition.container.name ~= event.image then
          flake.deny("another image")
        end
      end]])
    refused("no %-%-privileged", "--yes")
    manifest("options: [--read-only]")
    imported()
  end)

  it("changes nothing when its flake or command exists", function()
    place:put("/usr/share/flakes/x.yaml", "container: {name: localhost/good}")
    manifest("include: [/x]")
    place:put("/evil/include/1", "new")
    place:put("/usr/share/flakes/x.include/1", "old")
    refused("exists already")
    assert.are.equal("old", fs.read(place.flakes .. "/x.include/1"))
    place:put("/usr/bin/x", "a program")
    refused("is no flake", "--force")
    assert.are.equal("old", fs.read(place.flakes .. "/x.include/1"))
  end)

  it("leaves nothing when the engine refuses its image", function()
    oci_image.stand_in(place, '[ "$1" = load ] && { echo "Error: disk full" >&2; exit 125; }')
    local code, _, err = import()
    assert.are.equal(1, code)
    assert.matches("could not load the bundle's image: disk full", err)
    assert.are.same({ ".lock" }, fs.list(place.flakes))
  end)

  it("leaves its includes no longer than the flake that has them", function()
    manifest("include: [/x, /y]")
    place:put("/evil/include/1", "one")
    place:put("/evil/include/2", "two")
    imported()
    assert.are.equal("two", fs.read(place.flakes .. "/x.include/2"))
    manifest("include: [/x]")
    imported("--force")
    assert.are.same({ "1" }, fs.list(place.flakes .. "/x.include"))
    assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/x")))
    assert.are.same({ ".lock" }, fs.list(place.flakes))
  end)

  it("goes below an absolute root only", function()
    assert.are.equal(2, (import("--root", "rel/dir")))
    manifest("include: [/x]")
    place:put("/evil/include/1", "one")
    imported("--root", place.root .. "/other")
    local dir = place.root .. "/other/usr/share/flakes"
    assert.are.equal("one", fs.read(dir .. "/x.include/1"))
    assert.are.same({ "/usr/share/flakes/x.include/1" }, pilot.load("x", { dir = dir }).include.tar)
  end)

  describe("of format 1", function()
    local OLD = "{format: 1, name: x, engine: podman, image: localhost/good, "
      .. "apps: [{path: /usr/bin/x, target: /bin/x}], include: []}"
    local FLAKE = "container: {name: localhost/good, host_app_path: /usr/bin/x, "
      .. "target_app_path: /bin/x}"

    before_each(function()
      place:put("/evil/bundle.yaml", OLD)
      place:put("/evil/flake.yaml", FLAKE)
    end)

    it("is read like one of today", function()
      place:put("/evil/flake.d/1.yaml", "container: {archive: /etc/shadow, runtime: "
        .. "{runas: null, podman: [--read-only], share: [locale]}, layers: []}")
      place:put("/evil/flake.d/launch.lua", "return function() end")
      imported()
      local flake = assert(pilot.load("x"))
      assert.are.same({ { "--read-only" }, { "locale" }, {}, {} },
        { flake.options, flake.share, flake.archives, flake.include.path })
      assert.is_nil(fs.stat(place.flakes .. "/x.d/launch.lua"))
      place:put("/evil/flake.d/1.yaml", "container: {runtime: {podman: [--privileged]}}")
      refused("to ask", "--force")
    end)

    it("says in its manifest what its definition and fragments say", function()
      place:put("/evil/flake.yaml", (FLAKE:gsub("good", "evil")))
      refused("says something else than its bundle.yaml")
      place:put("/evil/flake.yaml", FLAKE)
      for _, fragment in ipairs { "container: {name: localhost/evil}",
        "container: {target_app_path: /bin/sh}", "include: {path: [/etc/shadow]}",
        "include: {tar: [/etc/shadow]}", "container: {base_container: localhost/evil}",
        "container: {path_map: {/usr/bin/x: , /usr/bin/y: }}" } do
        place:put("/evil/flake.d/1.yaml", fragment)
        refused("says something else than its bundle.yaml")
      end
      place:put("/evil/flake.d/1.yaml", "[")
      refused("1%.yaml:")
    end)

    it("has a definition", function()
      fs.unlink(place.root .. "/evil/flake.yaml")
      refused("has no file flake.yaml")
    end)
  end)
end)
