-- SPDX-License-Identifier: MIT
-- The pilot, flake-relay and flake-launch as black boxes, with stand-ins for podman, crun and sudo.
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

local build = fs.realpath(process.getenv("FLAKE_BUILD") or "build")

-- podman that runs and finds containers. Their process 1 is a sleep, whose number is in
-- $PIDS; ID is that of the container.
local ENGINE = [[
hold() {
  sleep 3600 </dev/null >/dev/null 2>&1 &
  echo $! >>"$PIDS"
  [ -z "$pidfile" ] || echo $! >"$pidfile"
}
for arg; do
  case "$arg" in
  --pidfile=*) pidfile=${arg#*=} ;;
  --detach) detach=1 ;;
  esac
done
case "$1 $2" in
"run "*)
  [ -z "$FAIL_RUN" ] || exit 125
  [ -z "$DEAD" ] || { echo 999999 >"$pidfile"; echo ID; exit 0; }
  [ -z "$pidfile" ] || hold
  [ -z "$detach" ] || { echo ID; exit 0; }
  echo app
  [ -z "$WAIT" ] || until [ -e "$WAIT" ]; do sleep 0.05; done
  exit 7 ;;
"container inspect") [ -n "$FOUND" ] && echo "$FOUND" ;;
"image inspect") [ -z "$ENTRY" ] && exit 1; echo "$ENTRY" ;;
"exec "*) exit 8 ;;
"attach "*) exit 9 ;;
"rm "*) [ -z "$FAIL_RM" ] || exit 1 ;;
esac]]

describe("podman-pilot", function()
  local place, pids

  before_each(function()
    place = Place.new()
    place.silent = true
    assert(fs.mkdir_p(place.root .. "/usr/bin"))
    pids = place.root .. "/pids"
    process.setenv("PIDS", pids)
    place:stand_in("podman", ENGINE)
    place:stand_in("crun", ([[
for arg; do case "$arg" in --process=*) cat "${arg#*=}" >"%s/process" ;; esac; done
exit 10]]):format(place.root))
    -- The other user's environment: the pilot gives sudo a minimal one.
    place:stand_in("sudo", ([[
[ -z "$LEAK" ] || exit 99
export PATH="%s:$PATH" FLAKE_ROOT="%s" PIDS="%s"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"]]):format(place.bin, place.root, pids))
  end)

  after_each(function()
    for pid in (fs.read(pids) or ""):gmatch("%d+") do process.kill(tonumber(pid), 9) end
    place:close()
  end)

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
    opts.timeout = 300
    local r = assert(process.run(argv, opts))
    assert.is_false(r.timed_out)
    return r.code, r.stdout, r.stderr
  end

  -- The calls of a stand-in since the last look, as lines of words.
  local function calls(of)
    local lines = {}
    for _, call in ipairs(place:calls()) do
      if not of or call[1] == of then table.insert(lines, table.concat(call, " ")) end
    end
    fs.unlink(place.log)
    return lines
  end

  local function first_pid()
    return assert(fs.read(pids)):match("%d+")
  end

  it("explains itself under its own name, and without one", function()
    for _, name in ipairs { "/x/podman-pilot", "" } do
      local code, _, err = run({ "bash", "-c", 'exec -a "$2" "$1"', "bash",
        build .. "/podman-pilot", name })
      assert.are.equal(1, code)
      assert.matches("flake%-ctl podman register", err)
    end
  end)

  it("becomes podman, with its status", function()
    local code, out = run({ flake("foo", "container: {name: img}\n"), "a b", "%x" })
    assert.are.equal(7, code)
    assert.are.equal("app\n", out)
    local call = calls()[1]
    assert.matches("^podman run %-%-rm %-i ", call)
    assert.matches(" img a b %%x$", call)
  end)

  it("shows what it runs when asked to", function()
    local foo = flake("foo", "container: {name: img}\n")
    for _, asked in ipairs { { argv = { foo, "%debug" } }, { argv = { foo },
      env = { PILOT_DEBUG = "1" } } } do
      local _, _, err = run(asked.argv, { env = asked.env })
      assert.matches("^%+ podman run .* img\n$", err)
    end
  end)

  it("names what stops a launch, by exit code and message", function()
    local function refused(code, message, name, yaml)
      local got, _, err = run({ flake(name, yaml) })
      assert.are.equal(code, got, err)
      assert.matches("^" .. name .. ": ", err)
      assert.is_truthy(err:find(message, 1, true), err)
    end
    refused(127, "nothing.yaml: no such file", "nothing")
    refused(126, "broken.yaml:2:1: ", "broken", "container: [\n")
    refused(126, "is for engine 'firecracker'", "vm", "vm: {name: x}\n")
    refused(126, "no such user", "who", "container: {name: x, runtime: {runas: no-such-user}}\n")
  end)

  it("says when podman is not there", function()
    assert(fs.unlink(place.bin .. "/podman"))
    local code, _, err = run({ flake("foo", "container: {name: img}\n") },
      { env = { PATH = place.bin } })
    assert.are.equal(125, code)
    assert.matches("^foo: cannot run podman: no such file", err)
  end)

  it("launches the flake behind a link to its command", function()
    flake("foo", "container: {name: img, target_app_path: /bin/foo}\n")
    assert(fs.symlink("foo", place.root .. "/usr/bin/other"))
    assert.are.equal(7, (run({ place.root .. "/usr/bin/other", "x" })))
    assert.matches("%-%-entrypoint=/bin/foo img x$", calls()[1])
    assert(fs.symlink("nothing", place.root .. "/usr/bin/lost"))
    local code = run({ "bash", "-c", 'exec -a "$2" "$1"', "bash", build .. "/podman-pilot",
      place.root .. "/usr/bin/lost" })
    assert.are.equal(127, code)
  end)

  describe("with hooks", function()
    local function hook(kind, text)
      place:put("/etc/flakes/hooks/" .. kind .. ".d/x.lua", text)
    end

    it("lets flake-launch run them", function()
      hook("launch", "return function(event) event.env.A = 'b c'; event.args = { 'changed' } end")
      assert.are.equal(7, (run({ flake("foo", "container: {name: img}\n"), "x" })))
      local call = calls()[1]
      assert.matches(" %-%-env=A=b c ", call)
      assert.matches(" img changed$", call)
    end)

    it("is refused by them", function()
      hook("launch", "return function() flake.deny('not today') end")
      local code, _, err = run({ flake("foo", "container: {name: img}\n") })
      assert.are.equal(126, code)
      assert.matches("not today", err)
      assert.are.same({}, calls())
    end)

    it("tells them the end, and of instances too", function()
      hook("exit", "return function(event) io.stderr:write('ended ', event.status, '\\n') end")
      local code, _, err = run({ flake("foo", "container: {name: img}\n") })
      assert.are.same({ 7, "ended 7\n" }, { code, err })
      code, _, err = run({ flake("bar", "container: {name: img, runtime: {resume: true}}\n"),
        "%remove" })
      assert.are.same({ 8, "ended 8\n" }, { code, err })
      assert.matches("^podman rm %-%-force .*flake%-bar$", table.remove(calls()))
    end)

    it("fails closed without flake-launch", function()
      hook("launch", "return function() end")
      assert(fs.mkdir(place.root .. "/alone"))
      assert(fs.copy(build .. "/podman-pilot", place.root .. "/alone/foo", { mode = 493 }))
      place:put("/usr/share/flakes/foo.yaml", "container: {name: img}\n")
      local code, _, err = run({ place.root .. "/alone/foo" })
      assert.are.equal(126, code)
      assert.matches("cannot run the hooks with .*/flake%-launch: no such file", err)
    end)
  end)

  describe("of a flake with resume", function()
    local foo

    before_each(function()
      foo = flake("foo", "container: {name: img, target_app_path: /bin/foo, "
        .. "runtime: {resume: true}}\n")
    end)

    it("starts the instance once and calls into it", function()
      assert.are.equal(8, (run({ foo, "a" })))
      local lines = calls()
      assert.matches("^podman container inspect .* flake%-foo$", lines[1])
      assert.matches("^podman run %-%-rm %-%-detach .* %-%-name=flake%-foo ", lines[2])
      assert.matches("^podman exec %-i ID /run/podman%-init %-%- /bin/foo a$", lines[3])
      assert.are.equal(8, (run({ foo, "b" })))
      assert.matches("^podman exec .* b$", table.concat(calls(), "\n"))
      assert.are.equal(8, (run({ foo, "@one", "%debug" })))
      assert.matches("flake%-pilot.instance=one .*%-%-name=flake%-foo__one",
        (calls()[2]:gsub("(.*)(%-%-name=%S+)(.*)", "%1%3 %2")))
    end)

    -- Root's podman keeps crun's state in /run, others' where these variables say. In a user
    -- namespace root is one of the others.
    describe("which the OCI runtime may enter", function()
      local UID = fs.geteuid() == 0 and 4711 or fs.geteuid()
      local dir, env

      local function as_user(...)
        if fs.geteuid() ~= 0 then return { ... } end
        return { "unshare", "--user", "--map-user=" .. UID, "--", ... }
      end

      -- crun's state in the directory `at` of the place.
      local function put_state(at)
        dir = place.root .. at
        place:put(at .. "/ID/status", "{}", 384)
        place:put(at .. "/ID/config.json",
          [[{"process":{"cwd":"/w","user":{"uid":7},"env":["A=1"],"terminal":true}}]], 384)
        env = { XDG_RUNTIME_DIR = place.root .. "/xdg", TMPDIR = place.root .. "/temp" }
      end

      -- Calls twice: the first call looks for the runtime, the second goes by what it found.
      local function entered_by()
        run(as_user(foo, "first"), { env = env })
        run(as_user(foo, "a\xff"), { env = env })
        return table.remove(calls()):match("^(%w+)")
      end

      before_each(function() assert(fs.mkdir_p(place.root .. "/xdg")) end)

      it("is entered by crun alone where podman uses that", function()
        put_state("/xdg/crun")
        assert.are.equal(10, (run(as_user(foo, "a\xff"), { env = env })))
        assert.matches("^crun %-%-root=.*/xdg/crun exec %-%-process=/proc/self/fd/%d+ ID$",
          calls("crun")[1])
        local json = require("dkjson").decode(fs.read(place.root .. "/process"))
        assert.are.same({ cwd = "/w", user = { uid = 7 }, env = { "A=1" }, terminal = false,
          args = { "/run/podman-init", "--", "/bin/foo", "\1flake-bytes:a\u{ff}" } }, json)
      end)

      it("has its state where podman 4 and 5 have it without a session", function()
        for _, name in ipairs { "podman", "storage" } do
          put_state(("/temp/%s-run-%d/crun"):format(name, UID))
          assert.are.equal("crun", entered_by(), name)
          fs.remove_tree(place.root .. "/temp")
          fs.remove_tree(place.root .. "/run")
        end
      end)

      it("is podman's where others can change the runtime's state", function()
        local spoilt = {
          directory = function() assert(fs.chmod(dir, 511)) end,
          container = function() assert(fs.chmod(dir .. "/ID", 511)) end,
          ["what leads there"] = function() assert(fs.chmod(place.root .. "/xdg", 511)) end,
          link = function()
            assert(fs.rename(dir, place.root .. "/elsewhere"))
            assert(fs.symlink(place.root .. "/elsewhere", dir))
          end,
          ["link to the container"] = function()
            assert(fs.rename(dir .. "/ID", place.root .. "/there"))
            assert(fs.symlink(place.root .. "/there", dir .. "/ID"))
          end,
          ["another's"] = fs.geteuid() == 0 and function()
            for below, mode in pairs { [""] = 493, ["/ID"] = 493, ["/ID/status"] = 420,
              ["/ID/config.json"] = 420 } do
              assert(fs.chown(dir .. below, 65534, 65534))
              assert(fs.chmod(dir .. below, mode))
            end
          end or nil,
        }
        for name, spoil in pairs(spoilt) do
          put_state("/xdg/crun")
          spoil()
          assert.are.equal("podman", entered_by(), name)
          for _, left in ipairs { "/xdg", "/elsewhere", "/there", "/run" } do
            fs.remove_tree(place.root .. left)
          end
          assert(fs.mkdir_p(place.root .. "/xdg"))
        end
      end)

      it("is podman's once others can change it", function()
        put_state("/xdg/crun")
        assert.are.equal("crun", entered_by())
        assert(fs.chmod(dir, 511))
        assert.are.equal("podman", entered_by())
      end)

      it("has no state of root's but in /run", function()
        if fs.geteuid() ~= 0 then pending("needs root") return end
        for _, at in ipairs { "/xdg", "/temp/podman-run-0", "/temp/storage-run-0" } do
          put_state(at .. "/crun")
          run({ foo, "first" }, { env = env })
          run({ foo, "second" }, { env = env })
          assert.matches("^podman exec ", (table.remove(calls())))
          fs.remove_tree(place.root .. "/run")
        end
      end)
    end)

    it("is no other where podman warns at every call", function()
      place.silent = false
      place:stand_in("podman", ENGINE)
      assert.are.equal(8, (run({ foo, "a" })))
      assert.matches("^podman run ", calls()[2])
      assert.are.equal(8, (run({ foo, "b" })))
      assert.matches("^podman exec %-i ID .* b$", table.concat(calls(), "\n"))
      assert.are.equal(8, (run({ foo, "%remove" })))
    end)

    it("ends it after %remove, with the call's status", function()
      assert.are.equal(8, (run({ foo, "%remove" })))
      assert.matches("^podman rm %-%-force %-%-ignore %-%-time=2 flake%-foo$",
        table.remove(calls()))
      local code, _, err = run({ foo, "%remove" }, { env = { FAIL_RM = "1" } })
      assert.are.equal(125, code)
      assert.matches("cannot end the instance", err)
    end)

    it("takes over one that it does not know of, and removes a dead one", function()
      run({ foo, "@seed" })
      calls()
      -- The label of a container tells what definition it is of.
      run({ foo, "@own" })
      local label = calls()[2]:match("flake%-pilot%.definition=(%x+)")
      run({ foo, "@other" }, { env = { FOUND = "true " .. first_pid() .. " ID1 0123" } })
      assert.are.equal("podman rm --force --ignore flake-foo__other", calls()[2])
      run({ foo }, { env = { FOUND = "true " .. first_pid() .. " ID2 " .. label } })
      local lines = calls()
      assert.are.equal(2, #lines)
      assert.matches("^podman exec %-i ID2 ", lines[2])
      run({ foo, "@two" }, { env = { FOUND = "false 0 ID3" } })
      lines = calls()
      assert.are.equal("podman rm --force --ignore flake-foo__two", lines[2])
      assert.matches("^podman run ", lines[3])
    end)

    it("says why an instance does not start", function()
      local code, _, err = run({ foo }, { env = { FAIL_RUN = "1" } })
      assert.are.same({ 125, "foo: the instance of flake 'foo' did not start\n" }, { code, err })
      code, _, err = run({ foo }, { env = { DEAD = "1" } })
      assert.are.same({ 125, "foo: the instance of flake 'foo' ended at once\n" }, { code, err })
    end)

    it("runs the image's entry point for a target of /", function()
      local root = flake("root", "container: {name: img, target_app_path: /, "
        .. "runtime: {resume: true}}\n")
      local env = { ENTRY = '[["/bin/a b"],["c"]]' }
      run({ root }, { env = env })
      assert.matches("%-%- /bin/a b c$", table.remove(calls()))
      run({ root, "x" }, { env = env })
      assert.matches("%-%- /bin/a b x$", table.remove(calls()))
      local code, _, err = run({ root, "@new" })
      assert.are.equal(125, code)
      assert.matches("cannot read the entry point", err)
    end)
  end)

  it("attaches to the application that runs", function()
    local foo = flake("foo", "container: {name: img, runtime: {attach: true}}\n")
    local proc <close> = assert(process.spawn({ foo, "a" }, { stdin = "null", stdout = "pipe",
      env = { WAIT = place.root .. "/go" } }))
    assert.are.equal("app\n", proc:read("stdout"))
    assert.are.equal(9, (run({ foo, "b" })))
    place:put("/go", "")
    assert.are.same({ code = 7 }, proc:wait(300))
    local lines = calls()
    assert.matches("^podman run %-%-rm %-i .* %-%-name=flake%-foo____foo %-%-pidfile=.* img a$",
      lines[2])
    assert.are.equal("podman attach flake-foo____foo", table.remove(lines))
  end)

  describe("as another user", function()
    it("goes through sudo", function()
      local foo = flake("foo", "container: {name: img, runtime: {runas: nobody}}\n")
      assert.are.equal(7, (run({ foo, "x" }, { env = { LEAK = "1" } })))
      local lines = calls()
      assert.matches("^sudo %-%-user=nobody %-%- podman run .* img x$", lines[1])
      assert.matches("^podman run .* img x$", lines[2])
    end)

    it("has instances through flake-relay", function()
      local foo = flake("foo", "container: {name: img, runtime: {runas: nobody, resume: true}}\n")
      assert.are.equal(8, (run({ foo, "x" })))
      local lines = calls()
      assert.matches("^sudo %-%-user=nobody %-%- .*/flake%-relay flake=foo ", lines[1])
      assert.matches("^podman exec .* x$", table.remove(lines))
    end)
  end)

  it("has its image composed first", function()
    local alone = place.root .. "/alone"
    assert(fs.mkdir(alone))
    assert(fs.copy(build .. "/podman-pilot", alone .. "/foo", { mode = 493 }))
    place:put("/usr/share/flakes/foo.yaml",
      "container: {name: img, base_container: base, layers: [one]}\n")
    place:stand_in("flake-ctl", 'exec lua5.4 -e "$COMPOSE"')
    assert(fs.symlink(place.bin .. "/flake-ctl", alone .. "/flake-ctl"))
    local function compose(lua)
      return run({ alone .. "/foo", "x" }, { env = { COMPOSE = lua } })
    end
    local code, _, err = compose("os.exit(3)")
    assert.are.same({ 125, "foo: cannot compose the image of flake 'foo'\n" }, { code, err })
    code, _, err = compose("os.exit(0)")
    assert.are.equal(125, code)
    assert.matches("was not recorded", err)
    calls()
    assert.are.equal(7, (compose("require('flake.pilot').record_composed('foo', 'composed', {})")))
    assert.matches("^flake%-ctl podman compose foo$", calls("flake-ctl")[1])
    assert.are.equal(7, (compose("os.exit(3)")))
    assert.matches(" composed x$", calls()[1])
  end)

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

describe("flake-relay", function()
  local function relay(...)
    local r = assert(process.run({ build .. "/flake-relay", ... },
      { stdin = "null", stdout = "pipe", stderr = "pipe" }))
    return r.code, r.stderr
  end

  it("carries whole plans of known engines only", function()
    local code, err = relay()
    assert.are.equal(1, code)
    assert.matches("started by the pilots", err)
    assert.are.same({ 125, "flake-relay: 'nonsense' is no part of a plan\n" },
      { relay("nonsense") })
    assert.are.same({ 125, "c: there is no engine 'none' here\n" },
      { relay("flake=f", "command=c", "engine=none", "image=i", "target=t", "--") })
    assert.matches("no usable image",
      select(2, relay("flake=f", "engine=podman", "image=-i", "target=t", "--")))
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
