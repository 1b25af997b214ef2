-- SPDX-License-Identifier: MIT
-- The completion scripts, run by the shells that are here.
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

describe("completions", function()
  local place

  before_each(function() place = Place.new() end)
  after_each(function() place:close() end)

  local function script(shell, name)
    return place:put("/" .. name, (select(2, place:ctl("completion", shell))))
  end

  it("of bash offer commands, verbs, options and their values", function()
    local file = script("bash", "flake-ctl")
    local function offers(...)
      local result = assert(process.run({ "bash", "-c", [[
        source "$1"; shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _flake_ctl
        echo "${COMPREPLY[*]}"]], "bash", file, ... }, { stdout = "pipe" }))
      return (result.stdout:gsub("\n$", ""))
    end
    assert.are.equal("list", offers("flake-ctl", "li"))
    assert.are.equal("bash", offers("flake-ctl", "completion", "b"))
    assert.are.equal("podman", offers("flake-ctl", "help", "po"))
    assert.are.equal("register", offers("flake-ctl", "help", "podman", "reg"))
    assert.are.equal("json", offers("flake-ctl", "list", "--format", "j"))
    assert.are.equal("json", offers("flake-ctl", "list", "--format", "=", "j"))
    assert.are.equal("table json csv", offers("flake-ctl", "list", "--format", "="))
    assert.are.equal("shell json", offers("flake-ctl", "explain", "--format", ""))
    assert.are.equal("--format=json", offers("flake-ctl", "list", "--format=j"))
    assert.are.equal("register remove", offers("/usr/bin/flake-ctl-podman", "re"))
  end)

  it("of fish offer the same", function()
    if not process.which("fish") then pending("fish is not installed") return end
    local file = script("fish", "flake-ctl.fish")
    local function offers(line)
      local result = assert(process.run({ "fish", "--no-config", "-c",
        'source $argv[1]; complete -C $argv[2]', file, line },
        { stdout = "pipe", env = { HOME = place.root } }))
      local words = {}
      for word in result.stdout:gmatch("([^\t\n]+)[^\n]*\n") do table.insert(words, word) end
      return table.concat(words, " ")
    end
    assert.are.equal("register remove", offers("flake-ctl-podman re"))
    assert.are.equal("register remove", offers("flake-ctl podman re"))
    assert.are.equal("csv json table", offers("flake-ctl list --format "))
    assert.are.equal("csv json table", offers("flake-ctl-podman show --format "))
    assert.are.equal("bash fish zsh", offers("flake-ctl completion "))
    assert.are.equal("podman", offers("flake-ctl help po"))
  end)

  it("of zsh answer the first time", function()
    if not process.which("zsh") then pending("zsh is not installed") return end
    script("zsh", "_flake-ctl")
    local result = assert(process.run({ "zsh", "-f", "-c", [[
      zmodload zsh/zpty
      zpty z zsh -f -i
      zpty -w z "PS1=; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; echo REA''DY"
      zpty -r z out '*READY*'
      zpty -w -n z $'flake-ctl-podman regis\t'
      zpty -r z out '*regis*ter*'
      print -r -- $out]], "zsh", place.root }, { stdout = "pipe", timeout = 300 }))
    assert.matches("register", result.stdout)
  end)

  it("are installed under the name of every program", function()
    local build = process.getenv("FLAKE_BUILD") or "build"
    assert.are.equal(0, process.run({ "packaging/completions", build, place.root }).code)
    for _, file in ipairs { "bash-completion/completions/flake-ctl-podman",
      "fish/vendor_completions.d/flake-ctl-podman.fish" } do
      assert.is_truthy(fs.stat(place.root .. "/" .. file))
    end
  end)
end)
