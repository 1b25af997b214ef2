-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

describe("flake-ctl", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman")
  end)

  after_each(function() place:close() end)

  it("prints its version and usage", function()
    assert.are.same({ 0, "flake-ctl 1.2.3\n", "" }, { place:ctl("--version") })
    assert.are.same({ 0, "flake-ctl 1.2.3\n", "" }, { place:ctl("-V") })
    local code, out = place:ctl("--help")
    assert.are.equal(0, code)
    assert.matches("^Usage: flake%-ctl", out)
    local err
    code, out, err = place:ctl()
    assert.are.same({ 2, "" }, { code, out })
    assert.matches("^Usage:", err)
  end)

  it("exits 2 on wrong usage, with one clear line", function()
    for _, args in ipairs { { "--nonsense" }, { "nonsense" }, { "../x" }, { "podman", "nonsense" },
      { "podman" }, { "list", "--nonsense" }, { "list", "--format", "xml" }, { "podman", "pull" },
      { "podman", "register", "--container", "x", "--app", "rel" },
      { "podman", "register", "--container", "x" }, { "podman", "remove" },
      { "podman", "remove", "--app", "/a", "--container", "b" },
      { "podman", "register", "--container", "x", "--app", "/a/../b" } } do
      local code, _, err = place:ctl(table.unpack(args))
      assert.are.equal(2, code, table.concat(args, " "))
      if args[2] or args[1] ~= "podman" then assert.matches("^flake%-ctl: ", err) end
    end
  end)

  it("does not take definitions that it cannot read for none", function()
    assert(fs.rmdir(place.flakes))
    assert.are.equal(0, (place:ctl("list")))
    place:put("/usr/share/flakes", "no directory")
    local code, _, err = place:ctl("list")
    assert.are.equal(1, code)
    assert.matches("flakes: not a directory", err)
  end)

  it("is every command under its own name", function()
    local code, out = place:run("/usr/bin/flake-ctl-podman", "about")
    assert.are.equal(0, code)
    assert.are.equal("Manage podman/oci based flakes;ENGINE\n", out)
    assert.matches("Verbs:", select(2, place:run("flake-ctl-podman", "--help")))
    assert.matches("1%.2%.3", select(2, place:run("flake-ctl-podman", "--version")))
  end)

  it("helps with every command and verb", function()
    for _, args in ipairs { { "list" }, { "explain" }, { "doctor" }, { "import" }, { "help" },
      { "completion" }, { "init" }, { "podman", "update" }, { "podman", "pull" },
      { "podman", "load" }, { "podman", "register" },
      { "podman", "export" }, { "podman", "remove" }, { "podman", "show" } } do
      table.insert(args, "--help")
      local code, out = place:ctl(table.unpack(args))
      assert.are.equal(0, code)
      assert.matches("^Usage: flake%-ctl " .. args[1], out)
    end
    local code, out = place:ctl("podman", "--help")
    assert.are.equal(0, code)
    assert.matches("register", out)
  end)

  it("groups what there is by type", function()
    place:stand_in("flake-ctl-count", 'echo "Counts things;STATISTICS"')
    place:stand_in("flake-ctl-plain", 'echo "Says no type"')
    place:stand_in("flake-ctl-hang", "exec sleep 3600")
    place:put("/etc/flakes/commands/mine.lua",
      'return { api = 1, about = "Mine.", type = "TOOL", options = {}, run = function() end }')
    place:put("/etc/flakes/commands/broken.lua", "return {")
    local code, out = place:ctl("help")
    assert.are.equal(0, code)
    assert.matches("Engines:\n  firecracker [^\n]+\n  podman", out)
    assert.matches("Statistics:\n  count%s+Counts things", out)
    assert.matches("plain%s+Says no type", out)
    assert.matches("hang%s+%(gives no answer%)", out)
    assert.matches("mine%s+Mine%.", out)
    assert.matches("broken%s+broken: ", out)
  end)

  it("explains one command or all verbs of an engine", function()
    assert.matches("Usage: flake%-ctl list", select(2, place:ctl("help", "list")))
    assert.matches("flake%-ctl podman remove", select(2, place:ctl("help", "podman")))
    assert.are.equal(2, (place:ctl("help", "nonsense")))
    place:put("/etc/flakes/commands/broken.lua", "return {")
    assert.are.equal(1, (place:ctl("help", "broken")))
  end)

  it("explains one verb of an engine, and lets executables explain themselves", function()
    local _, out = place:ctl("help", "podman", "register")
    assert.matches("^Usage: flake%-ctl podman register", out)
    assert.is_nil(out:find("podman pull", 1, true))
    local code, _, err = place:ctl("help", "podman", "nonsense")
    assert.are.equal(2, code)
    assert.matches("podman has no verb 'nonsense'", err)
    place:stand_in("flake-ctl-frob", 'echo "frob: $1"; exit 3')
    local ctl = (process.getenv("FLAKE_BUILD") or "build") .. "/flake-ctl"
    local result = process.run({ ctl, "help", "frob" }, { stdout = "pipe" })
    assert.are.same({ 3, "frob: --help\n" }, { result.code, result.stdout })
  end)

  describe("overrides", function()
    it("are refused without the parts of a driver, which are named", function()
      local verb = "{ about = 'It.', run = function() end }"
      for text, what in pairs {
        ["return { api = 1 }"] = "the driver has no about text",
        ["return { api = 1, about = 'x' }"] = "the driver has no commands",
        ["return { api = 1, about = 'x', commands = { register = " .. verb .. " } }"] =
          "the driver has no command 'export'",
        ["return { api = 1, about = 'x', commands = { export = {}, register = " .. verb .. " } }"] =
          "command 'export' has no run function",
      } do
        local file = place:put("/etc/flakes/runtimes/mine.lua", text)
        for _, args in ipairs { { "mine" }, { "mine", "about" }, { "mine", "x" } } do
          local code, _, err = place:ctl(table.unpack(args))
          assert.are.equal(1, code)
          assert.matches(file .. ": " .. what, err, 1, true)
        end
        assert.are.equal(0, (place:ctl("help")))
      end
      place:put("/etc/flakes/commands/mine.lua", "return { api = 1 }")
      assert.matches("the command has no run function", select(3, place:ctl("mine")))
    end)

    it("replace and extend drivers", function()
      place:put("/etc/flakes/runtimes/podman.lua", [[
        local podman = require "shipped.runtimes.podman"
        podman.about = "Ours"
        return podman
      ]])
      assert.are.equal("Ours;ENGINE\n", select(2, place:ctl("podman", "about")))
      package.loaded["shipped.runtimes.podman"] = nil
    end)

    it("are refused for another api, with file and both numbers", function()
      local file = place:put("/etc/flakes/commands/old.lua", "return { api = 7 }")
      local code, _, err = place:ctl("old")
      assert.are.equal(1, code)
      assert.matches(file .. ": written for api 7, this is api 1", err, 1, true)
    end)

    it("are loud when broken", function()
      for _, text in ipairs { "return {", "error('oops')", "return 1", "return {}" } do
        place:put("/etc/flakes/commands/list.lua", text)
        local code, _, err = place:ctl("list")
        assert.are.equal(1, code)
        assert.matches("list.lua", err, 1, true)
      end
    end)

    it("are not loaded by root when others can write them", function()
      if fs.geteuid() ~= 0 then pending("needs root") return end
      place:put("/etc/flakes/commands/open.lua", "return {}", 438)
      local code, _, err = place:ctl("open")
      assert.are.equal(1, code)
      assert.matches("refusing to load", err)
    end)

    it("may bring Lua modules", function()
      place:put("/etc/flakes/lua/site/words.lua", 'return { word = "from the site" }')
      place:put("/etc/flakes/commands/word.lua", [[
        return { api = 1, about = "A word.", options = {}, run = function(_, ctx)
          ctx.out:write(require("site.words").word)
        end }
      ]])
      assert.are.same({ 0, "from the site", "" }, { place:ctl("word") })
      place:put("/etc/flakes/lua/site/bad.lua", "return (")
      place:put("/etc/flakes/commands/word.lua", 'require "site.bad"')
      assert.are.equal(1, (place:ctl("word")))
      assert.has_error(function() require "shipped.no.such" end)
    end)
  end)

  it("reports an error in a command as one line, with a traceback only on request", function()
    place:put("/etc/flakes/commands/crash.lua", [[
      return { api = 1, about = "x", options = {}, run = function() error("boom") end }
    ]])
    local code, _, err = place:ctl("crash")
    assert.are.equal(1, code)
    assert.matches("boom", err)
    assert.is_nil(err:find("traceback"))
    assert.matches("traceback", select(3, place:ctl("--debug", "crash")))
  end)

  it("says that it was interrupted, and nothing of where", function()
    place.silent = true
    place:stand_in("podman", "kill -INT $PPID; exec sleep 3600")
    local build = process.getenv("FLAKE_BUILD") or "build"
    local r = assert(process.run({ build .. "/flake-ctl", "podman", "pull", "--uri", "x" },
      { stdout = "null", stderr = "pipe" }))
    assert.are.equal("flake-ctl: interrupted\n", r.stderr)
  end)

  it("installs completions that everybody can read", function()
    local r = assert(process.run({ "sh", "-c", 'umask 077; packaging/completions "$1" "$2"', "sh",
      process.getenv("FLAKE_BUILD") or "build", place.root .. "/share" }))
    assert.are.equal(0, r.code)
    assert.are.equal(420,
      fs.stat(place.root .. "/share/bash-completion/completions/flake-ctl").mode)
  end)

  it("prints completions that name every command and option", function()
    local _, bash = place:ctl("completion", "bash")
    assert.matches("podman register", bash)
    assert.matches("%-%-container", bash)
    local _, zsh = place:ctl("completion", "zsh")
    assert.matches("^#compdef", zsh)
    local _, fish = place:ctl("completion", "fish")
    assert.matches("complete %-c flake%-ctl", fish)
    assert.are.equal(2, (place:ctl("completion", "tcsh")))
  end)
end)
