-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local yaml = require "flake.yaml"
local Place = require "support.place"

-- A podman that has images of the ids b…, l…, c…; what it "builds" it lists from then on.
local PODMAN = [[
cd "$FLAKE_ROOT"
case "$*" in
"info "*Controllers*) echo "[cpu memory pidsx]" ;;
"info "*) echo "$FLAKE_ROOT/images.json" ;;
"image inspect"*"{{json .Config}}"*) cat copy.json ;;
"image inspect"*) cat inspect.json ;;
"images "*) cat built 2>/dev/null || true ;;
"create "*) ;;
"export "*)
	mkdir -p tree/bin tree/opt && : >tree/bin/joe
	tar -C tree -cf "$3" bin opt ;;
"cp "*) echo "Error: no such file or directory" >&2; exit 125 ;;
"rmi "*/base-*) ;;
"rmi "*) grep -v " ${2##*:}$" built >left; mv left built; echo x >>images.json ;;
"build "*)
	[ -z "$FAIL_BUILD" ] || exit 1
	for arg in "$@"; do
		case "$arg" in
		--file=*) cp "${arg#--file=}" Containerfile ;;
		*/context) tar -tf "$arg/part-2.tar" >members 2>/dev/null || true ;;
		--tag=*:*)
			tag=${arg#--tag=}
			echo "$(echo "$tag" | cksum | tr -d ' ')ffff ${tag%:*} ${tag##*:}" >>built ;;
		esac
	done
	echo x >>images.json ;;
esac
]]

local function ids(...)
  local images = {}
  for i, config in ipairs { ... } do
    images[i] = ('{"Id":"%s","Config":%s}'):format(("%x"):format(i):rep(64), config)
  end
  return "[" .. table.concat(images, ",") .. "]"
end

describe("flake-ctl podman compose", function()
  local place

  before_each(function()
    place = Place.new()
    place:stand_in("podman", PODMAN)
    place:put("/images.json", "{}")
    place:put("/inspect.json", ids("{}", "{}"))
    place:put("/copy.json", "{}")
  end)

  after_each(function() place:close() end)

  local function define(keys)
    place:put("/usr/share/flakes/joe.yaml",
      "container:\n  name: img\n" .. (keys or "  base_container: base\n"))
  end

  local function compose(...)
    return place:ctl("podman", "compose", "joe", ...)
  end

  local function calls(verb)
    local found = {}
    for _, call in ipairs(place:calls()) do
      -- The copy of the lowest part comes and goes with every build.
      local of_copy = verb == "rmi" and call[3]:find("/base-", 1, true)
      if call[2] == verb and not of_copy then table.insert(found, call) end
    end
    return found
  end

  local function recipe()
    return assert(fs.read(place.root .. "/Containerfile"))
  end

  it("builds once, and not again while nothing changes", function()
    define()
    local code, out, err = compose()
    assert.are.equal(0, code, err)
    local id = pilot.composed_image("joe")
    assert.are.equal(id .. "\n", out)
    assert.are.equal(1, #calls("build"))
    fs.unlink(place.log)
    assert.are.equal(id .. "\n", select(2, compose()))
    assert.are.same({}, place:calls())
  end)

  it("has the parts in order", function()
    place:put("/inspect.json", ids("{}", "{}", "{}"))
    define("  base_container: base\n  layers: [layer]\n")
    compose()
    assert.are.equal([[
FROM localhost/flake-pilot/base-fjoe
ENTRYPOINT []
CMD []
ADD ["part-2.tar", "/"]
ADD ["part-3.tar", "/"]
]], recipe())
  end)

  it("builds over a copy of the lowest part, which has no triggers, and is the part otherwise",
    function()
    place:put("/inspect.json", ids('{"Env":["A=x\\ny","B=1"],"Cmd":["c"],"Volumes":{"/v":{}}}',
      '{"Env":["TERM=dumb"]}'))
    place:put("/copy.json", '{"Env":["B=1","container=podman","TERM=xterm"],"Cmd":["/x"]}')
    define()
    assert.are.equal(0, (compose()))
    assert.are.same({ { "podman", "commit", "--quiet", "--format=oci", "flake-compose-fjoe-1",
      "localhost/flake-pilot/base-fjoe" } }, calls("commit"))
    local text, build = recipe(), table.concat(calls("build")[1], "\n")
    assert.matches('^FROM localhost/flake%-pilot/base%-fjoe\nARG [%w_]+\nENV A="%${[%w_]+}"\n'
      .. 'ENTRYPOINT %[%]\nCMD %["c"%]\nARG [%w_]+\nVOLUME %["%${[%w_]+}"%]\n', text)
    assert.is_truthy(build:find("\n--unsetenv=container\n", 1, true))
    assert.is_nil(build:find("unsetenv=TERM", 1, true))
    local copies = 0
    for _, call in ipairs(place:calls()) do
      if call[2] == "rmi" and call[3] == "localhost/flake-pilot/base-fjoe" then
        copies = copies + 1
      end
    end
    -- What a killed build left, and its own.
    assert.are.equal(2, copies)
  end)

  it("copies included directories and mounts none", function()
    place:put("/data/sub/f", "x")
    place:put("/empty/x/f", "x")
    define(("  base_container: base\ninclude: {path: [%s/data, %s/none]}\n")
      :format(place.root, place.root))
    assert(fs.mkdir(place.root .. "/none"))
    assert.are.equal(0, (compose()))
    local build = table.concat(calls("build")[1], "\n")
    assert.is_nil(build:find("build-context", 1, true))
    assert.matches('\nADD %["path%-1.tar", "%${[%w_]+}"%]\n', recipe())
    assert.matches('\nCOPY %["path%-2/", "%${[%w_]+}"%]\n', recipe())
  end)

  it("leaves links of the base where a part has directories", function()
    define()
    compose()
    assert.are.equal("bin/joe\nopt/\n", fs.read(place.root .. "/members"))
  end)

  it("never makes text of an image an instruction", function()
    place:put("/inspect.json", ids("{}", [[{"Env":["A=x\nRUN evil","$B\nRUN evil=1","C"],
      "Cmd":["a\nRUN evil","${X}"],"WorkingDir":"/w\nRUN evil","User":"u\nRUN evil",
      "Volumes":{"/v\"]\nRUN evil":{}},"ExposedPorts":{"80\nRUN evil":{},"81/tcp":{}},
      "StopSignal":"SIGINT\nRUN evil","Labels":{"l\nRUN evil":"v","flake-pilot.key":"x"}}]]))
    define()
    compose()
    assert.is_nil(recipe():find("\nRUN", 1, true))
    local arg = recipe():match('\nENV A="${(FLAKE_PILOT_[%w_]+)}"\n')
    assert.is_string(arg)
    assert.matches('\nEXPOSE 81/tcp\n', recipe(), 1, true)
    assert.is_nil(recipe():find("STOPSIGNAL", 1, true))
    local build = table.concat(calls("build")[1], "\n")
    assert.is_truthy(build:find(("--build-arg=%s=x\nRUN evil"):format(arg), 1, true))
  end)

  it("names its arguments as no image's environment can", function()
    place:put("/inspect.json", ids('{"Env":["FLAKE_PILOT_1=/evil"]}'))
    define("include: {path: [" .. place:put("/data/f", "x") .. "]}\n")
    compose()
    local first = recipe():match("ARG ([%w_]+)")
    assert.matches("^FLAKE_PILOT_%x+_1$", first)
    place:put("/inspect.json", (ids("{}"):gsub("1", "4")))
    compose("--force")
    assert.are_not.equal(first, recipe():match("ARG ([%w_]+)"))
  end)

  it("takes the container's command where it has one, else the base's", function()
    place:put("/inspect.json", ids('{"Entrypoint":["base"]}', '{"Cmd":["own"]}'))
    define()
    compose()
    assert.is_truthy(recipe():find('ENTRYPOINT []\nCMD ["own"]\n', 1, true))
    place:put("/inspect.json", ids('{"Entrypoint":["base"]}', "{}"))
    compose("--force")
    assert.is_truthy(recipe():find('ENTRYPOINT ["base"]\nCMD []\n', 1, true))
    assert.is_nil(recipe():find('CMD ["own"]', 1, true))
  end)

  it("makes a new image when a part or include changes, and collects the old", function()
    place:put("/data/f", "one")
    define("  base_container: base\ninclude: {path: [" .. place.root .. "/data]}\n")
    compose()
    local first = pilot.composed_image("joe")
    place:put("/data/f", "other")
    assert.is_nil(pilot.composed_image("joe"))
    compose()
    local second = pilot.composed_image("joe")
    assert.are_not.equal(first, second)
    assert.are.equal(1, #calls("rmi"))
    place:put("/inspect.json", (ids("{}", "{}"):gsub("2", "4")))
    place:put("/images.json", "changed")
    compose()
    assert.are_not.equal(second, pilot.composed_image("joe"))
  end)

  it("only looks when the store changed, but none of its parts", function()
    define()
    compose()
    local id = pilot.composed_image("joe")
    place:put("/images.json", "another image")
    assert.is_nil(pilot.composed_image("joe"))
    compose()
    assert.are.equal(id, pilot.composed_image("joe"))
    assert.are.equal(1, #calls("build"))
    assert.are.equal(4, #calls("create"))
  end)

  it("cleans up after a failure and says what failed", function()
    define()
    require("flake.process").setenv("FAIL_BUILD", "1")
    local code, _, err = compose()
    require("flake.process").setenv("FAIL_BUILD", nil)
    assert.are.equal(1, code)
    assert.matches("could not build the image of flake 'joe'", err)
    assert.is_nil(pilot.composed_image("joe"))
    local all = place:calls()
    assert.are.same({ "build", "rm", "rmi" },
      { all[#all - 2][2], all[#all - 1][2], all[#all][2] })
  end)

  it("refuses flakes without parts, and includes that are not there", function()
    define("")
    assert.are.equal(2, (compose()))
    place:put("/inspect.json", ids("{}"))
    define("include: {tar: [/not/there.tar]}\n")
    local code, _, err = compose()
    assert.are.equal(1, code)
    assert.matches("include.tar: cannot find /not/there.tar", err)
    assert.are.equal(1, (place:ctl("podman", "compose", "nobody")))
  end)

  it("makes an image without files of the host for no call but those that ask", function()
    place:put("/inspect.json", ids("{}", "{}"))
    place:stand_in("podman", PODMAN:gsub('"cp "%*%)', '"cp flake-compose-fjoe-1:/systemfiles "*)\n'
      .. '\tmkdir -p s && echo x >s/systemfiles; tar -C s -cf - systemfiles ;;\n'
      .. '"run "*) echo /not/there/at/all ;;\n%0'))
    define()
    assert.are.equal(1, (compose()))
    local code, id = compose("--ignore-missing")
    assert.are.equal(0, code)
    assert.is_nil(pilot.composed_image("joe"))
    local again, _, err = compose()
    assert.are.equal(1, again)
    assert.matches("needs /not/there/at/all of this host", err)
    assert.are.equal(id, select(2, compose("--ignore-missing")))
    assert.are.equal(1, #calls("build"))
    -- With those limits that the caller's cgroups know.
    local run = "\n" .. table.concat(calls("run")[1], "\n")
    assert.is_truthy(run:find("\n--memory=", 1, true))
    assert.is_nil(run:find("pids-limit", 1, true))
  end)

  it("leaves old images if asked to, and no record, so that the next call removes them", function()
    place:put("/data/f", "one")
    define("  base_container: base\ninclude: {path: [" .. place.root .. "/data]}\n")
    compose()
    place:put("/data/f", "other")
    assert.are.equal(0, (compose("--keep-old")))
    assert.is_nil(pilot.composed_image("joe"))
    assert.are.equal(0, #calls("rmi"))
    assert.are.equal(0, (compose()))
    assert.are.same({ 2, 1 }, { #calls("build"), #calls("rmi") })
  end)

  it("notices a definition that takes the place of another", function()
    define()
    compose()
    assert.is_truthy(pilot.composed_image("joe"))
    place:put("/usr/share/flakes/joe.d/10.yaml", "container: {layers: [more]}")
    assert.is_nil(pilot.composed_image("joe"))
  end)

  it("is what a launch prepares", function()
    define("  base_container: base\n  check_host_dependencies: true\n")
    local plan = assert(pilot.plan("joe", {}, { tty = false }))
    assert.are.same({ "podman", "compose", "joe" }, { table.unpack(plan.prepare, 2) })
    plan = assert(pilot.plan("joe", { "%ignore_sync_error" }, { tty = false }))
    assert.are.same({ "podman", "compose", "--ignore-missing", "joe" },
      { table.unpack(plan.prepare, 2) })
    compose()
    plan = assert(pilot.plan("joe", {}, { tty = false }))
    assert.are.same({}, plan.prepare)
    assert.are.equal(pilot.composed_image("joe"), plan.image)
  end)

  describe("register", function()
    local function register(...)
      return place:ctl("podman", "register", "--force", "--container", "img",
        "--app", "/usr/bin/joe", ...)
    end

    local function definition()
      return yaml.load(assert(fs.read(place.flakes .. "/joe.yaml")))
    end

    it("writes base, layers and includes", function()
      local file = place:put("/a b/f", "x")
      assert.are.equal(0, (register("--base", "base", "--layer", "one", "--layer", "two",
        "--check-host-dependencies", "--include-path", place.root .. "/a b/./../a b/f")))
      local def = definition()
      assert.are.equal("base", def.container.base_container)
      assert.are.same({ "one", "two" }, def.container.layers)
      assert.is_truthy(def.container.check_host_dependencies)
      assert.are.same({ file }, def.include.path)
    end)

    it("checks them", function()
      assert.are.equal(2, (register("--layer", "one")))
      local code, _, err = register("--include-tar", place:put("/no.tar", "no archive"))
      assert.are.equal(1, code)
      assert.matches("%-%-include%-tar: .*no.tar", err)
      assert.are.equal(1, (register("--include-path", "/not/there")))
      assert.are.equal(2, (register("--include-path", "/dev/null")))
      assert.are.equal(2, (register("--include-path", "/")))
      assert.are.equal(0, (register("--root", place.root, "--include-path", "/not/there")))
    end)

    it("takes composed images away with the flake, or when it has no parts any more", function()
      register("--base", "base")
      compose()
      assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/joe")))
      assert.are.equal(1, #calls("rmi"))
      register("--base", "base")
      compose()
      register()
      assert.are.equal(2, #calls("rmi"))
    end)
  end)
end)
