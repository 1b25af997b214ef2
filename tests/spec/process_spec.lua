-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local process = require "flake.process"

describe("flake.process", function()
  describe("run", function()
    it("captures output and exit status", function()
      local r = assert(process.run({ "sh", "-c", "echo out; echo err >&2; exit 3" },
        { stdout = "pipe", stderr = "pipe" }))
      assert.are.same({ code = 3, stdout = "out\n", stderr = "err\n", timed_out = false }, r)
    end)

    it("merges stderr into stdout", function()
      local r = process.run({ "sh", "-c", "echo a; echo b >&2" },
        { stdout = "pipe", stderr = "stdout" })
      assert.are.equal("a\nb\n", r.stdout)
    end)

    it("reports the signal that killed", function()
      assert.are.equal(9, process.run({ "sh", "-c", "kill -9 $$" }).signal)
    end)

    it("moves 64 MiB both ways", function()
      local data = ("0123456789abcdef"):rep(4 << 20)
      local r = assert(process.run({ "cat" },
        { stdin = { data = data }, stdout = "pipe", limit = 1 << 30 }))
      assert.is_true(r.stdout == data)
    end)

    it("survives a program that does not read its input", function()
      local r = assert(process.run({ "true" }, { stdin = { data = ("x"):rep(1 << 20) } }))
      assert.are.equal(0, r.code)
    end)

    it("ends at the time-out, with SIGKILL if need be", function()
      local r = process.run({ "sleep", "60" }, { timeout = 0.1 })
      assert.is_true(r.timed_out)
      assert.are.equal(15, r.signal)
      -- On a busy machine the program may not have come to its trap by then.
      local timeout = 0.03
      repeat
        timeout = timeout * 10
        r = process.run({ "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done" },
          { stdout = "pipe", timeout = timeout })
      until r.stdout == "up\n"
      assert.are.equal(9, r.signal)
    end)

    it("keeps to the output limit", function()
      local r, _, code = process.run({ "yes" }, { stdout = "pipe", limit = 100000 })
      assert.is_nil(r)
      assert.are.equal("ELIMIT", code)
    end)

    it("sets, removes and clears variables", function()
      assert(process.setenv("FLAKE_SPEC", "outer"))
      local function env(opts)
        opts.stdout = "pipe"
        return process.run({ "env" }, opts).stdout
      end
      assert.matches("FLAKE_SPEC=outer", env({}))
      assert.matches("FLAKE_SPEC=inner\n", env({ env = { FLAKE_SPEC = "inner" } }))
      assert.is_nil(env({ env = { FLAKE_SPEC = false } }):match("FLAKE_SPEC"))
      assert.are.equal("A=b\n", env({ clear_env = true, env = { A = "b" } }))
      assert.are.equal("", env({ clear_env = true }))
      process.setenv("FLAKE_SPEC", nil)
    end)

    it("runs in a directory", function()
      assert.are.equal("/usr\n", process.run({ "pwd" }, { cwd = "/usr", stdout = "pipe" }).stdout)
      local r, message, code = process.run({ "pwd" }, { cwd = "/nowhere" })
      assert.is_nil(r)
      assert.matches("in /nowhere", message)
      assert.are.equal("ENOENT", code)
    end)

    it("reads from and writes to files", function()
      local temp <close> = assert(fs.temp_dir())
      local path = temp:path() .. "/f"
      process.run({ "echo", "one" }, { stdout = { path = path, mode = 384 } })
      process.run({ "echo", "two" }, { stdout = { path = path, append = true } })
      assert.are.equal("one\ntwo\n", fs.read(path))
      assert.are.equal(384, fs.stat(path).mode)
      local r = process.run({ "cat" }, { stdin = { path = path }, stdout = "pipe" })
      assert.are.equal("one\ntwo\n", r.stdout)
    end)

    it("runs as another user", function()
      if fs.geteuid() ~= 0 then pending("needs root") return end
      local r = assert(process.run({ "id", "-un" }, { user = "nobody", stdout = "pipe" }))
      assert.are.equal("nobody\n", r.stdout)
      r = assert(process.run({ "id", "-G" }, { user = "nobody", stdout = "pipe" }))
      assert.are.equal(("%d\n"):format(fs.user("nobody").gid), r.stdout)
    end)

    it("says what is missing", function()
      local r, message, code = process.run({ "no-such-program" })
      assert.is_nil(r)
      assert.are.equal("cannot run no-such-program: no such file or directory", message)
      assert.are.equal("ENOENT", code)
      assert.are.equal("ENOENT", select(3, process.run({ "true" }, { user = "no-such-user" })))
      assert.are.equal("EACCES", select(3, process.run({ "/etc/passwd" })))
    end)

    it("never looks a program up in the current directory", function()
      local path = process.getenv("PATH")
      process.setenv("PATH", ".::/usr/bin")
      local found = process.which("Makefile")
      process.setenv("PATH", path)
      assert.is_nil(found)
    end)

    it("leaves no descriptor open", function()
      local before = #fs.list("/proc/self/fd")
      for _ = 1, 20 do
        process.run({ "true" }, { stdin = { data = "x" }, stdout = "pipe", stderr = "pipe" })
        process.run({ "no-such-program" }, { stdout = "pipe" })
        pcall(process.run, { "true" }, { stdout = "pipe", stderr = "nonsense" })
      end
      collectgarbage()
      assert.are.equal(before, #fs.list("/proc/self/fd"))
    end)

    it("gives the child default signals", function()
      local r = process.run({ "sh", "-c", "kill -PIPE $$" })
      assert.are.equal(13, r.signal)
    end)

    it("raises on wrong types and unknown options", function()
      assert.has_error(function() process.run("true") end)
      assert.has_error(function() process.run({}) end)
      assert.has_error(function() process.run({ "true", 1 }) end)
      assert.has_error(function() process.run({ "a\0b" }) end)
      assert.has_error(function() process.run({ "true" }, { tiemout = 1 }) end)
      assert.has_error(function() process.run({ "true" }, { env = { A = 1 } }) end)
      assert.has_error(function() process.run({ "true" }, { env = { A = "b\0c" } }) end)
      assert.has_error(function() process.run({ "true" }, { env = { ["A\0"] = "b" } }) end)
      assert.has_error(function() process.run({ "true" }, { cwd = "/\0x" }) end)
      assert.has_error(function() process.setenv("FLAKE_SPEC", "a\0b") end)
      assert.has_error(function() process.run({ "true" }, { env = { ["A=B"] = "c" } }) end)
    end)
  end)

  describe("spawn", function()
    it("talks to a running child", function()
      local proc <close> = assert(process.spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" }))
      assert.is_true(proc:pid() > 1)
      assert(proc:write("hello\n"))
      assert.are.equal("hello\n", proc:read("stdout"))
      assert.are.equal("ETIMEDOUT", select(3, proc:wait(0.05)))
      proc:close_stdin()
      assert.are.equal("", proc:read("stdout"))
      assert.are.same({ code = 0 }, proc:wait())
      assert.are.same({ code = 0 }, proc:wait())
    end)

    it("kills by signal", function()
      local proc <close> = assert(process.spawn({ "sleep", "60" }))
      assert(proc:kill(9))
      assert.are.same({ signal = 9 }, proc:wait())
    end)

    it("ends and reaps what is let go", function()
      local pid
      do
        local proc <close> = assert(process.spawn({ "sleep", "60" }))
        pid = proc:pid()
      end
      assert.are.equal("ESRCH", select(3, process.kill(pid, 0)))
    end)

    it("reports a closed pipe as EPIPE", function()
      local proc <close> = assert(process.spawn({ "true" }, { stdin = "pipe" }))
      proc:wait()
      assert.are.equal("EPIPE", select(3, proc:write(("x"):rep(1 << 20))))
    end)
  end)

  describe("supervise", function()
    it("gives status and usage", function()
      local r = assert(process.supervise({ "sh", "-c", "exit 4" }))
      assert.are.equal(4, r.code)
      assert.is_true(r.usage.max_rss > 100000)
    end)
  end)

  it("execs", function()
    local r = process.run({ "lua5.4", "-e", [[
      require("flake.process").exec({ "sh", "-c", "echo $0 $A", "zero" }, { env = { A = "b" } })
    ]] }, { stdout = "pipe" })
    assert.are.equal("zero b\n", r.stdout)
    assert.are.equal("ENOENT", select(3, process.exec({ "no-such-program" })))
  end)

  it("knows small things", function()
    assert.are.equal("/usr/bin/env", process.which("env"))
    assert.are.equal("SIGINT", process.signal_name(2))
    assert.are.equal("SIGSYS", process.signal_name(31))
    for _, number in ipairs { -1, 0, 32, 999 } do assert.is_nil(process.signal_name(number)) end
    assert.is_true(process.getpid() > 1)
    assert.is_nil(process.getenv("NO_SUCH_VARIABLE_HERE"))
    local began = process.clock()
    process.sleep(0.01)
    assert.is_true(process.clock() - began >= 0.01)
  end)
end)
