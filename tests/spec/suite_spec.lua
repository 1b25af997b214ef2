-- SPDX-License-Identifier: MIT
-- The suite itself: topics start afresh, and one that hangs is told, ended and counted.
local fs = require "flake.fs"
local process = require "flake.process"

describe("the suite:", function()
  local temp, dir

  before_each(function()
    temp = assert(fs.temp_dir({ prefix = "flake-suite" }))
    dir = temp:path()
  end)

  after_each(function() temp:close() end)

  -- Runs bash's TEXT with $1… and returns exit code (or 128 and the signal) and output.
  local function bash(text, ...)
    local r = assert(process.run({ "bash", "-c", text, "bash", ... }, { stdout = "pipe",
      stderr = "stdout", env = { SUMMARY = dir .. "/summary", FLAKE_LIMIT = false, LABEL = false,
        WRAP = false } }))
    return r.code or 128 + r.signal, r.stdout
  end

  local function has(text, part)
    assert.is_truthy(text:find(part, 1, true), text)
  end

  -- The same with a limit so short that what hangs is soon told, yet is reached on a busy machine.
  local function hang(mark, text, ...)
    for _, limit in ipairs { 2, 20, 200 } do
      fs.unlink(dir .. "/summary")
      local code, out = bash(("FLAKE_LIMIT=%d %s"):format(limit, text), ...)
      if out:find(mark, 1, true) or limit == 200 then return code, out end
    end
  end

  local function wait_for(condition)
    local began = process.clock()
    while not condition() do
      assert.is_true(process.clock() - began < 120)
      process.sleep(0.02)
    end
  end

  local function ended(file)
    local pid = tonumber((assert(fs.read(file)):match("%d+")))
    return not process.kill(pid, 0)
  end

  describe("a topic", function()
    -- 32 and 33 are libc's own: no program can reset them.
    local STATE = [[tests/limit 60 x sh -c '
      grep -E "^Sig(Blk|Ign)" /proc/self/status | sed "s/[01][08]0000000\$/000000000/"
      readlink /proc/$$/fd/0; umask
      [ "$(cut -d" " -f7 /proc/$$/stat)" = 0 ] && echo no terminal']]
    local FRESH = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n/dev/null\n0022\n"
      .. "no terminal\n"

    it("does not inherit ignored signals", function()
      assert.are.same({ 0, FRESH }, { bash("trap '' HUP INT QUIT TERM PIPE CHLD USR1 USR2 ALRM\n"
        .. STATE) })
    end)

    it("does not inherit what nohup and a shell's background do", function()
      assert.are.same({ 0, FRESH }, { bash(([[nohup %s | cat & wait $!]]):format(STATE)) })
    end)

    it("does not inherit blocked signals, nor a mode", function()
      assert.are.same({ 0, FRESH }, { bash([=[umask 077
        python3 -c '
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execvp("bash", ["bash", "-c", sys.argv[1]])' "$1"]=], STATE) })
    end)

    it("takes neither input nor terminal from its caller", function()
      assert(fs.write(dir .. "/state", STATE))
      for _, how in ipairs { [[bash "$1" <&-]], [[yes | bash "$1"]], [[setsid -w bash "$1"]],
        [[script -qec "bash $1" /dev/null </dev/null | tr -d '\r']] } do
        assert.are.same({ 0, FRESH }, { bash(how, dir .. "/state") }, how)
      end
    end)

    it("has its status, or that of its signal", function()
      assert.are.equal(7, (bash("tests/limit 60 x sh -c 'exit 7'")))
      assert.are.equal(137, (bash("tests/limit 60 x sh -c 'kill -9 $$'")))
      assert.are.equal(127, (bash("tests/limit 60 x no-such-program")))
    end)
  end)

  it("a topic that hangs is told and ended, with all that it has started", function()
    local code, out = hang("the third check", [[tests/limit 60 topic bash -c '
      setsid bash -c "trap \"\" TERM HUP; echo \$\$ >$0/far; while :; do sleep 1; done" &
      (sleep 3600 & echo $! >$0/near)
      until [ -s $0/far ]; do sleep 0.05; done
      echo $$ >$0/self
      echo "the third check" >$FLAKE_NOW
      exec sleep 3600' "$1"]], dir)
    assert.are.equal(124, code)
    assert.matches("HUNG topic: not done after %d+ s, in: the third check\n", out)
    has(out, "sleep 3600")
    for _, name in ipairs { "far", "near", "self" } do
      assert.is_true(ended(dir .. "/" .. name), name)
    end
  end)

  it("what ends the caller ends the topic", function()
    for _, signal in ipairs { 15, 9 } do
      fs.unlink(dir .. "/pid")
      local proc <close> = assert(process.spawn({ "bash", "-c",
        [[tests/limit 60 x bash -c 'echo $$ >$0; sleep 3600' "$1"; true]], "bash", dir .. "/pid" }))
      wait_for(function() return (fs.read(dir .. "/pid") or "") ~= "" end)
      proc:kill(signal)
      wait_for(function() return ended(dir .. "/pid") end)
    end
  end)

  it("a unit test that hangs is named and counted; the others run", function()
    assert(fs.mkdir(dir .. "/unit"))
    assert(fs.write(dir .. "/unit/test_a", "#!/bin/sh\necho '[ RUN      ] one'\n"
      .. "echo '[       OK ] one'\necho '[ RUN      ] two'\nexec sleep 3600\n", { mode = 493 }))
    assert(fs.write(dir .. "/unit/test_b", "#!/bin/sh\necho '[       OK ] three'\n",
      { mode = 493 }))
    local code, out = hang("in: two", 'tests/run unit "$1"', dir)
    assert.are.equal(1, code)
    has(out, "/unit/test_a in: two\n")
    has(out, "unit: 2 passed, 1 failed, 0 skipped\n")
    assert.are.equal("unit 2 1 0\n", fs.read(dir .. "/summary"))
  end)

  it("a spec that hangs is named and counted; the others run", function()
    assert(fs.write(dir .. "/a_spec.lua", 'it("is fine", function() end)\n'
      .. 'it("never ends", function() os.execute("exec sleep 3600") end)\n'))
    assert(fs.write(dir .. "/b_spec.lua", 'it("is fine, too", function() end)\n'))
    local code, out = hang("never ends", 'SPECS=$1 tests/run spec build', dir)
    assert.are.equal(1, code)
    assert.matches("a_spec.lua: not done after %d+ s, in: line 2, never ends\n", out)
    has(out, "spec: 2 passed, 1 failed, 0 skipped\n")
  end)

  it("a topic that ends without a result is a failure", function()
    assert(fs.write(dir .. "/a_spec.lua", "os.exit(0)\n"))
    local code, out = bash("SPECS=$1 tests/run spec build", dir)
    assert.are.equal(1, code)
    has(out, "spec: 0 passed, 1 failed, 0 skipped\n")
  end)
end)
