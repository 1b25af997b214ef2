-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local oci = require "flake.oci"
local template = require "flake.build.template"
local tree = require "flake.build.tree"
local Place = require "support.place"

local VALUES = { "--name", "foobar", "--version", "1.0.0", "--description", "It works", "--license",
  "MIT", "--maintainer-name", "Ann O'Nym", "--maintainer-email", "a@b.de" }
-- What dpkg-buildpackage would leave beside its sources.
local BUILDS = [[for f in foobar_1.0.0_all.deb foobar_1.0.0.dsc; do echo x >../$f; done
echo x >../unrelated.txt]]

describe("flake-ctl build", function()
  local place, out

  before_each(function()
    place = Place.new()
    out = place.root .. "/out"
    place:put("/etc/os-release", 'ID=debian\n')
    place:stand_in("podman", "exit 1")
    place:stand_in("dpkg-buildpackage", BUILDS)
  end)

  after_each(function() place:close() end)

  local function build(...)
    local args = { "--ci", "-o", out, "--no-image" }
    table.move(VALUES, 1, #VALUES, #args + 1, args)
    table.move({ ... }, 1, select("#", ...), #args + 1, args)
    return place:ctl("build", table.unpack(args))
  end

  it("which follows os-release, ID before ID_LIKE", function()
    for text, name in pairs { ["ID=ubuntu\nID_LIKE=debian"] = "dpkg", ["ID=fedora"] = "rpmbuild",
      ['ID="x"\nID_LIKE="rhel fedora"'] = "rpmbuild", ["ID=y\nID_LIKE=debian"] = "dpkg",
      ["ID=unknown"] = "dpkg" } do
      place:put("/etc/os-release", text .. "\n")
      local code, text_out = place:run("flake-ctl-build", "which")
      assert.are.equal(0, code)
      assert.matches(";flake-ctl-build-" .. name .. "\n", text_out, 1, true)
    end
  end)

  it("answers about, under each of its names", function()
    local _, text = place:run("flake-ctl-build-rpmbuild", "about")
    assert.are.equal("Package flakes with rpmbuild;PACKAGER\n", text)
    _, text = place:ctl("build-dpkg", "about")
    assert.are.equal("Package flakes with dpkg-buildpackage;PACKAGER\n", text)
  end)

  it("moves what the packager made to the output, and nothing else", function()
    local code, text, err = build("-c", "img", "--target_app=/usr/bin/foo")
    assert.are.equal("", err)
    assert.are.equal(0, code)
    assert.are.same({ "foobar_1.0.0.dsc", "foobar_1.0.0_all.deb" }, fs.list(out))
    assert.matches(out .. "/foobar_1.0.0_all.deb\n", text, 1, true)
    local calls = place:calls()
    assert.are.same({ "dpkg-buildpackage", "-us", "-uc", "-d" }, calls[#calls])
  end)

  it("says when the packager fails, and leaves nothing", function()
    place:stand_in("dpkg-buildpackage", "echo reason; exit 3")
    local code, _, err = build("-c", "img", "-a", "/usr/bin/foo")
    assert.are.equal(1, code)
    assert.matches("reason\n.*dpkg%-buildpackage failed %(exit status 3%)", err)
    assert.are.same({}, fs.list(out))
  end)

  it("dry-run lists what would be installed; compile takes the bundle", function()
    local code, text = build("-c", "img", "-a", "/usr/bin/foo", "-a", "/usr/bin/bar", "--dry-run",
      "-l", place.root .. "/b", "--", "--target", "/", "--opt", "--net none")
    assert.are.equal(0, code)
    assert.are.equal("/usr/bin/bar\n/usr/bin/foo\n/usr/share/flakes/bar.yaml\n"
      .. "/usr/share/flakes/foo.yaml\n", text)
    assert.are.same({}, fs.list(out))
    assert.are.equal("podman-pilot", fs.readlink(place.root .. "/b/root/usr/bin/foo"))
    assert.matches("%-%-net none", fs.read(place.root .. "/b/root/usr/share/flakes/foo.yaml"))
    assert.are.equal(0, (place:ctl("build", "compile", place.root .. "/b", "-o", out)))
    assert.are.equal(2, #fs.list(out))
    assert.are.equal(1, (place:ctl("build", "compile", place.root .. "/out", "-o", out)))
    assert.are.equal(2, (place:ctl("build", "--compile")))
  end)

  it("writes fields that stay fields", function()
    build("-c", "img", "-a", "/usr/bin/foo", "--dry-run", "-l", place.root .. "/b",
      "--description", "One\n\nFoo: bar @name@ %post")
    local control = fs.read(place.root .. "/b/dpkg/control")
    assert.matches("\nDescription: One\n .\n Foo: bar @name@ %post\n", control, 1, true)
    assert.matches("\nMaintainer: Ann O'Nym <a@b.de>\n", control, 1, true)
    assert.is_nil(control:find("Homepage"))
    build("-c", "img", "-a", "/usr/bin/foo", "--dry-run", "-l", place.root .. "/b", "--builder",
      "rpmbuild", "--description", "One\n%post\n# x\n%(id)")
    local spec = fs.read(place.root .. "/b/rpmbuild/spec")
    assert.matches("\n> %%post\n> # x\n> %%(id)\n", spec, 1, true)
  end)

  it("names the release as the host's tools want it", function()
    for release, suite in pairs { ["ID=debian\nVERSION_CODENAME=trixie"] = "unstable",
      ["ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble"] = "noble",
      ['ID=x\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=w\nUBUNTU_CODENAME=noble'] = "noble" } do
      place:put("/etc/os-release", release .. "\n")
      build("-c", "img", "-a", "/usr/bin/foo", "--dry-run", "-l", place.root .. "/b", "--builder",
        "dpkg")
      assert.matches("^foobar %(1.0.0%) " .. suite .. "; urgency=medium\n",
        fs.read(place.root .. "/b/dpkg/changelog"))
    end
  end)

  it("refuses a maintainer whom dpkg 1.23 does not understand", function()
    for name, good in pairs { ['Ann "AJ" Joe'] = true, ['"Joe, Ann"'] = false, ['Ann "AJ'] = false,
      ['Ann "" Joe'] = false, ["Joe, Ann"] = false } do
      local code, _, err = build("-c", "img", "-a", "/usr/bin/foo", "--dry-run", "-l",
        place.root .. "/b", "--builder", "dpkg", "--maintainer-name", name)
      assert.are.equal(good and 0 or 2, code, name .. err)
      if not good then assert.matches("maintainer%-name", err) end
    end
  end)

  it("says everything that is missing at once", function()
    local code, _, err = place:ctl("build", "--ci", "-o", out)
    assert.are.equal(2, code)
    for _, what in ipairs { "--from-oci", "--app", "--name", "--version", "--description",
      "--maintainer-name", "--maintainer-email", "--license" } do
      assert.matches(what, err, 1, true)
    end
    assert.is_nil(fs.stat(out))
  end)

  it("refuses what cannot be", function()
    for _, args in ipairs { { "-c", "a", "-t", "b" }, { "-c", "-v", "-a", "/usr/bin/x" },
      { "-c", "a", "-a", "x" }, { "-c", "a", "-a", "/usr/bin/a b" },
      { "--from-flake", "a", "-a", "/b" },
      { "-c", "a", "-a", "/b", "--name", "Bad_" }, { "-c", "a", "-a", "/b", "--version", "1-1" },
      { "nonsense" }, { "-c", "a", "-a", "/b", "--builder", "none" },
      { "-c", "a", "-a", "/b", "--", "--root", place.root .. "/elsewhere" },
      { "-c", "a", "-a", "/b", "--", "--user" } } do
      assert.are.equal(2, (build(table.unpack(args))), table.concat(args, " "))
    end
    assert.is_nil(fs.stat(place.root .. "/elsewhere"))
  end)

  it("packages a flake as it is", function()
    place:ctl("podman", "register", "tools", "--container", "img", "--app", "/usr/bin/a", "--app",
      "/usr/bin/b")
    place:put("/usr/share/flakes/tools.d/10.yaml", "container: {runtime: {podman: [x]}}\n")
    place:put("/inc.tar", "tar")
    local file = place.flakes .. "/tools.yaml"
    assert(fs.write(file, (fs.read(file):gsub("tar: ~", "tar: [" .. place.root .. "/inc.tar]"))))
    local code, text, err = place:ctl("build", "--ci", "-o", out, "--no-image", "--dry-run",
      "flake", "tools", table.unpack(VALUES))
    assert.are.equal("", err)
    assert.are.equal(0, code)
    assert.are.equal("/usr/bin/a\n/usr/bin/b\n/usr/share/flakes/a.yaml\n/usr/share/flakes/b.yaml\n"
      .. "/usr/share/flakes/tools.d/10.yaml\n/usr/share/flakes/tools.include/1\n"
      .. "/usr/share/flakes/tools.yaml\n", text)
  end)

  it("shows where options come from", function()
    local _, text = place:ctl("build", "--show-options", "--format", "json", "--name", "x")
    local rows = require("dkjson").decode(text)
    assert.are.same({ option = "name", value = "x", source = "command line",
      problem = "--name: a package name has two or more of a-z, 0-9 and + - . "
        .. "and begins with a-z or 0-9" }, rows[1])
  end)

  it("takes a site's builder and its templates", function()
    place:put("/etc/flakes/builders/mine.lua", [[return { api = 1, tool = "dpkg-buildpackage",
      about = "Mine", type = "PACKAGER",
      detect = function(release) return release.ID == "mine" end,
      setup = function() return true end,
      compile = function(bundle)
        local path = bundle.work .. "/mine.pkg"
        assert(require("flake.fs").write(path, bundle.facts.name))
        return { path }
      end }]])
    place:put("/etc/os-release", "ID=mine\n")
    assert.are.equal(0, (build("-c", "img", "-a", "/usr/bin/foo")))
    assert.are.equal("foobar", fs.read(out .. "/mine.pkg"))
    place:put("/etc/flakes/builders/dpkg/control", "My: @name@ @unknown@\n")
    local code, _, err = build("-c", "img", "-a", "/usr/bin/foo", "--builder", "dpkg")
    assert.are.equal(2, code)
    assert.matches("builders/dpkg/control:1: there is no value 'unknown'", err, 1, true)
  end)
end)

describe("an archive in a definition", function()
  local pilot = require "flake.pilot"
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman", "exit 1")
  end)

  after_each(function() place:close() end)

  it("makes the launch ask for the image first", function()
    place:ctl("podman", "register", "--container", "img", "--app", "/usr/bin/foo", "--archive",
      "/a/b")
    assert.are.same({ "/a/b" }, assert(pilot.load("foo")).archives)
    local plan = assert(pilot.plan("foo", {}))
    assert.is_true(plan.composed)
    assert.are.same({ "podman", "compose", "foo" }, { table.unpack(plan.prepare, 2) })
    assert.are.same({}, pilot.load("foo").unknown)
  end)

  it("may be a list, in schema 2 too", function()
    place:put("/usr/share/flakes/foo.yaml", "version: 2\nengine: {pilot: podman}\n"
      .. "runtime: {name: img, archive: [/a, /b]}\n")
    local flake = assert(pilot.load("foo"))
    assert.are.same({ "/a", "/b" }, flake.archives)
    assert.are.same({}, flake.unknown)
  end)

  it("is a path on the host", function()
    for _, bad in ipairs { "relative", "[a]", "{a: b}" } do
      place:put("/usr/share/flakes/foo.yaml", "container: {name: img, archive: " .. bad .. "}\n")
      local flake, message = pilot.load("foo")
      assert.is_nil(flake)
      assert.matches("foo.yaml:1: 'archive' must", message, 1, true)
    end
  end)
end)

describe("pieces of build", function()
  it("templates: one pass, empty lines go, @@ is @", function()
    local values = { x = "@b@", y = "" }
    assert.are.equal("a @b@ @\n", template.render("a @x@ @@\nH: @y?@\n", values, "t"))
    assert.are.equal("H: 1\n", template.render("H: @y?@\n", { y = "1" }, "t"))
  end)

  it("links are relative within one top directory", function()
    assert.are.equal("podman-pilot", tree.link_target("/usr/bin/a", "/usr/bin/podman-pilot"))
    assert.are.equal("../../bin/p", tree.link_target("/usr/local/bin/a", "/usr/bin/p"))
    assert.are.equal("/usr/bin/p", tree.link_target("/opt/a", "/usr/bin/p"))
  end)

  it("times of images", function()
    assert.are.equal(1714979289, oci.epoch("2024-05-06T07:08:09.1234Z"))
    assert.are.equal(951782400, oci.epoch("2000-02-29T00:00:00Z"))
    assert.is_nil(oci.epoch("nonsense"))
    assert.is_nil(oci.epoch(nil))
  end)

  it("an image layout that leads elsewhere is refused", function()
    local temp <close> = assert(fs.temp_dir())
    local dir = temp:path()
    for _, index in ipairs { "{}", "[", '{"manifests":[{},{}]}',
      '{"manifests":[{"digest":"sha256:../../../etc/passwd"}]}' } do
      assert(fs.write(dir .. "/index.json", index))
      local image, message, code = oci.of_dir(dir)
      assert.is_nil(image)
      assert.is_string(message)
      assert.are.equal("EARCHIVE", code)
    end
  end)
end)
