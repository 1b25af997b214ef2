-- SPDX-License-Identifier: MIT
local files = require "flake.studio.files"
local fs = require "flake.fs"
local process = require "flake.process"
local yaml = require "flake.yaml"
local Place = require "support.place"

local VALUES = { "--version", "1.0.0", "--description", "It works", "--license", "MIT",
  "--maintainer-name", "Ann O'Nym", "--maintainer-email", "a@b.de" }
-- An image "is there" while a file of its id is; save writes the smallest layout.
local PODMAN = [[store=%s
case "$1 $2" in
"images --all") echo sha256:000000000000aa ;;
"image inspect") cat "$store/id" 2>/dev/null || exit 1 ;;
"rmi --no-prune") rm "$store/id" ;;
"untag "*) rm "$store/id" ;;
esac]]
local ID = ("c"):rep(64)

describe("flake-studio", function()
  local place, dir

  before_each(function()
    place = Place.new()
    dir = place.root .. "/work"
    assert(fs.mkdir_p(dir))
    place:put("/etc/os-release", "ID=debian\n")
    place:stand_in("podman", PODMAN:format(place.root))
    place:stand_in("dpkg-buildpackage",
      "for f in app_1.0.0_all.deb app_1.0.0.dsc; do echo x >../$f; done")
  end)

  after_each(function() place:close() end)

  -- The current directory is the process's: the built program runs there.
  local function run(cwd, ...)
    local here = assert(fs.realpath(process.getenv("FLAKE_BUILD") or "build"))
    local link = place.root .. "/flake-studio"
    if not fs.lstat(link) then assert(fs.symlink(here .. "/flake-ctl", link)) end
    local r = assert(process.run({ link, ... }, { cwd = cwd, stdin = "null", stdout = "pipe",
      stderr = "pipe", env = { LD_PRELOAD = false, HOME = place.root } }))
    return r.code, r.stdout, r.stderr
  end

  local function new(name, ...)
    local args = table.move(VALUES, 1, #VALUES, 3, { "new", name })
    table.move({ ... }, 1, select("#", ...), #args + 1, args)
    return run(dir, table.unpack(args))
  end

  local function project()
    assert.are.equal(0, (new("app")))
    assert(fs.write(dir .. "/app/src/build.sh",
      ("#!/bin/sh\necho \"$1\" >>made; echo sha256:%s >%s/id\n"):format(ID, place.root),
      { mode = 493 }))
    return dir .. "/app"
  end

  it("answers about and help, under both names", function()
    local code, text = place:run("flake-studio", "about")
    assert.are.equal(0, code)
    assert.are.equal("Make packages of applications in projects;TOOL\n", text)
    text = select(2, place:run("flake-studio", "--help"))
    assert.matches("^Usage: flake%-studio VERB.*\n  build .*\n  clean .*\n  init .*\n  new ", text)
    text = select(2, place:ctl("studio", "build", "--help"))
    assert.matches("^Usage: flake%-ctl studio build .*%-%-keep", text)
    text = select(2, place:ctl("help", "studio"))
    assert.matches("Usage: flake%-ctl studio new", text)
    local _, _, err = place:run("flake-studio", "nonsense")
    assert.matches("^flake%-studio: studio has no verb 'nonsense'", err)
  end)

  it("completes its verbs and options", function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      local _, text = place:ctl("completion", shell)
      assert.matches("flake-studio", text, 1, true)
      assert.matches(shell == "fish" and "-l keep" or "studio build .*%-%-keep", text, 1,
        shell == "fish")
    end
  end)

  it("new makes a project from the command line", function()
    local code, text, err = new("app")
    assert.are.equal("", err)
    assert.are.equal(0, code)
    assert.matches("made the project app", text)
    assert.are.same({ "app" }, fs.list(dir))
    assert.are.same({ ".dockerignore", ".flakes", ".gitignore", ".staging", "out", "src" },
      fs.list(dir .. "/app"))
    assert.are.same({ "build.sh", "flake.yaml", "options.yaml" }, fs.list(dir .. "/app/src"))
    assert.are.equal(493, fs.stat(dir .. "/app/src/build.sh").mode & 511)
    local values = yaml.load(fs.read(dir .. "/app/.flakes/package/options.yaml"))
    assert.are.same({ name = "app", version = "1.0.0", description = "It works", license = "MIT",
      maintainer_name = "Ann O'Nym", maintainer_email = "a@b.de" }, values)
    local flake = yaml.load(fs.read(dir .. "/app/src/flake.yaml"))
    assert.are.equal("localhost/app.flake", flake.container.name)
    assert.are.equal("/usr/bin/app", flake.container.host_app_path)
  end)

  it("new says all that is missing at once, and makes nothing", function()
    local code, _, err = run(dir, "new", "app", "--maintainer-email", "nonsense")
    assert.are.equal(2, code)
    assert.matches("--version is missing", err, 1, true)
    assert.matches("--license is missing", err, 1, true)
    assert.matches("--maintainer-email: must be", err, 1, true)
    assert.are.same({}, fs.list(dir))
  end)

  it("new refuses names that no package or command has", function()
    for _, name in ipairs { "", "-x", "a b", "../x", "x/y", "$(id)", "X", "ä", "x\ny", ".x" } do
      local code = new(name)
      assert.are.equal(2, code, name)
    end
    assert.are.same({}, fs.list(dir))
  end)

  it("new takes an empty directory, and none that is in use", function()
    assert(fs.mkdir_p(dir .. "/app"))
    assert.are.equal(0, (new("app")))
    local before = fs.read(dir .. "/app/src/options.yaml")
    local code, _, err = new("app", "--version", "2.0.0")
    assert.are.equal(1, code)
    assert.matches("app is there already", err)
    assert.are.equal(before, fs.read(dir .. "/app/src/options.yaml"))
    assert(fs.write(dir .. "/file", "x"))
    assert.are.equal(1, (new("file")))
    assert.are.equal("x", fs.read(dir .. "/file"))
    assert(fs.symlink("nowhere", dir .. "/link"))
    assert.are.equal(1, (new("link")))
    assert.are.same({ "app", "file", "link" }, fs.list(dir))
  end)

  it("names of images are such that podman takes them", function()
    for name, image in pairs { app = "app", ["g++"] = "g", ["a.b--c"] = "a-b-c", ["1.0"] = "1-0",
      Foo_bar = "foo-bar" } do
      assert.are.equal(("localhost/%s.flake"):format(image), files.image(name))
    end
  end)

  it("init adds what is missing and overwrites nothing", function()
    local root = dir .. "/my-tool"
    assert(fs.mkdir_p(root .. "/src"))
    assert(fs.write(root .. "/.gitignore", "*.o"))
    assert(fs.write(root .. "/src/options.yaml", "version: 3.1 # mine\nlicense: BSD"))
    local code, text, err = run(root, "init", "--description", "It works", "--maintainer-name", "A",
      "--maintainer-email", "a@b.de")
    assert.are.equal("", err)
    assert.are.equal(0, code)
    assert.matches("src/build.sh\n", text, 1, true)
    assert.are.equal("*.o\n/out/\n/.staging/\n/.flakes/studio/*\n!/.flakes/studio/project.yaml\n",
      fs.read(root .. "/.gitignore"))
    local options = fs.read(root .. "/src/options.yaml")
    assert.matches("^version: 3.1 # mine\nlicense: BSD\nname: my%-tool\n", options)
    text = select(2, run(root, "init"))
    assert.are.equal("nothing to do\n", text)
    assert.are.equal(options, fs.read(root .. "/src/options.yaml"))
    code, text, err = run(root, "init", "--version", "4")
    assert.are.equal(2, code)
    assert.are.equal("", text)
    assert.matches("src/options.yaml:1: 'version' is '3.1': change it there", err, 1, true)
    assert.are.equal(2, (run(root .. "/src", "init")))
  end)

  it("init that fails leaves what was there", function()
    local root = dir .. "/app"
    assert(fs.mkdir_p(root))
    assert(fs.write(root .. "/src", "a file"))
    local code = run(root, table.unpack(table.move(VALUES, 1, #VALUES, 2, { "init" })))
    assert.are.equal(1, code)
    assert.are.same({ "src" }, fs.list(root))
    assert.are.equal("a file", fs.read(root .. "/src"))
  end)

  it("init says what it cannot write into options.yaml", function()
    local root = dir .. "/app"
    assert(fs.mkdir_p(root .. "/src"))
    assert(fs.write(root .. "/src/options.yaml", "{version: 1.0}\n"))
    local code, _, err = run(root, table.unpack(table.move(VALUES, 3, #VALUES, 2, { "init" })))
    assert.are.equal(1, code)
    assert.matches("options.yaml: write these into it: .*license: MIT", err)
    assert.are.same({ "src" }, fs.list(root))
  end)

  it("build says where no project is", function()
    local code, _, err = run(dir, "build")
    assert.are.equal(1, code)
    assert.matches("is in no project", err)
  end)

  it("build names file and line of what is wrong, before build.sh runs", function()
    local root = project()
    local good = fs.read(root .. "/src/options.yaml")
    for text, message in pairs { ["version: [1\n"] = "src/options.yaml:2:",
      ["version: 1-1\nname: app\n"] = "src/options.yaml:1: a version begins",
      ["name: app\n"] = "src/options.yaml: 'version' is missing" } do
      assert(fs.write(root .. "/src/options.yaml", text))
      local code, _, err = run(root, "build")
      assert.is_true(code ~= 0)
      assert.matches(message, err, 1, true)
    end
    assert(fs.write(root .. "/src/options.yaml", good))
    for text, message in pairs { ["container: [\n"] = root .. "/src/flake.yaml:2",
      ["container: {name: x, host_app_path: '/usr/bin/a b'}\n"] = "src/flake.yaml: the command",
      ["container: {name: 'x y', host_app_path: /usr/bin/a}\n"] = "src/flake.yaml: the image",
      ["version: 2\nruntime: {name: x}\nengine: {pilot: podman}\n"] = "src/flake.yaml: " } do
      assert(fs.write(root .. "/src/flake.yaml", text))
      local code, _, err = run(root, "build")
      assert.are.equal(1, code)
      assert.matches(message, err, 1, true)
    end
    assert.is_nil(fs.stat(root .. "/made"))
  end)

  it("build refuses a build.sh that cannot be called", function()
    local root = project()
    assert(fs.write(root .. "/src/build.sh", "echo x\n", { mode = 493 }))
    local code, _, err = run(root, "build")
    assert.are.equal(1, code)
    assert.matches("src/build.sh:1: must begin with #!", err, 1, true)
    assert(fs.write(root .. "/src/build.sh", "#!/bin/sh\n", { mode = 420 }))
    err = select(3, run(root, "build"))
    assert.matches("build.sh is not executable: chmod 755", err, 1, true)
    assert(fs.unlink(root .. "/src/build.sh"))
    err = select(3, run(root, "build"))
    assert.matches("build.sh: .*[Nn]o such file", err)
  end)

  it("build says how build.sh failed, and that it made no image", function()
    local root = project()
    assert(fs.write(root .. "/src/build.sh", "#!/bin/sh\necho why; exit 7\n", { mode = 493 }))
    local code, text, err = run(root, "build")
    assert.are.equal(1, code)
    assert.are.equal("why\n", text)
    assert.matches("src/build.sh failed (exit status 7)", err, 1, true)
    assert(fs.write(root .. "/src/build.sh", "#!/bin/sh\n", { mode = 493 }))
    err = select(3, run(root, "build"))
    assert.matches("podman's store has no image localhost/app.flake", err, 1, true)
    assert.are.same({}, fs.list(root .. "/out"))
  end)

  it("an image that build.sh has made goes again when what follows fails", function()
    local root = project()
    local code, _, err = run(root, "build")
    assert.are.equal(1, code)
    assert.matches("%[2/4%] image: cccccccccccc", err)
    assert.is_nil(fs.stat(place.root .. "/id"))
    assert.are.equal("localhost/app.flake\n", fs.read(root .. "/made"))
    run(root, "build", "--keep")
    assert.is_truthy(fs.stat(place.root .. "/id"))
    run(root, "build")
    assert.is_truthy(fs.stat(place.root .. "/id"))
  end)

  it("clean removes results only, from any directory of the project", function()
    local root = project()
    assert(fs.mkdir_p(root .. "/src/deep/er"))
    assert(fs.write(root .. "/out/x", "x"))
    assert.are.equal(0, (run(root .. "/src/deep/er", "clean")))
    assert.are.same({ ".dockerignore", ".flakes", ".gitignore", "src" }, fs.list(root))
    assert.are.equal(0, (run(root, "clean")))
  end)

  it("works once at a time in a project", function()
    local root = project()
    local held <close> = assert(fs.lock(root .. "/.flakes/studio/lock"))
    local code, _, err = run(root, "clean")
    assert.are.equal(1, code)
    assert.matches("flake%-studio is at work", err)
    assert.is_truthy(held)
  end)
end)
