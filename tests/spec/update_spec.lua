-- SPDX-License-Identifier: MIT
-- flake-ctl podman update with a podman that is a folder: images/NAME holds the id of NAME.
local fs = require "flake.fs"
local process = require "flake.process"
local references = require "flake.references"
local registry = require "flake.registry"
local Place = require "support.place"
local User = require "support.user"

local json = require "dkjson"

-- Names become file names; $next is what a pull brings, $broken an id that does not work.
local PODMAN = [[
cd "%s/images" || exit 1
key() { echo "$1" | tr / +; }
id() {
	[ ! -e "$(key "$1")" ] || { cat "$(key "$1")"; return; }
	grep -lx "$1" -- * >/dev/null 2>&1 && echo "$1"
}
names() {
	for n in *; do
		[ "$(cat "$n")" = "$1" ] || continue
		printf '%%s"%%s"' "$sep" "$(echo "$n" | tr + /)"
		sep=,
	done
}
case $1 in
image)
	i=$(id "$3")
	[ -n "$i" ] || exit 1
	[ "$2" = exists ] && exit 0
	printf '[{"Id":"%%s","Digest":"sha256:d%%s","RepoDigests":["r@sha256:d%%s"],' "$i" "$i" "$i"
	printf '"RepoTags":[%%s],"Config":{"Entrypoint":[],"Cmd":["/cmd"]}}]' "$(names "$i")" ;;
pull)
	for last; do :; done
	[ -e ../next ] || { echo "Error: no route to $last" >&2; exit 125; }
	cat ../next >"$(key "$last")" ;;
tag) id "$2" >../tmp && mv ../tmp "$(key "$3")" ;;
untag) rm "$(key "$3")" ;;
images)
	echo "["
	for i in one two; do
		[ ! -e ../gone.$i ] || continue
		[ -z "$some" ] || echo ,
		printf '{"Id":"%%s","Names":[%%s]}' $i "$(names $i)"
		some=1
	done
	echo "]" ;;
rmi)
	[ ! -e ../used ] || { echo "Error: image used by a container" >&2; exit 2; }
	touch "../gone.$2" ;;
ps) cat ../ps 2>/dev/null ;;
run)
	case "$*" in
	*"--volume /a:/b"*) [ ! -e ../no-volume ] || { echo "Error: no /a" >&2; exit 125; } ;;
	esac
	case "$*" in
	*" two --check "*) [ ! -e ../fragile ] || { echo "Error: two and /a" >&2; exit 125; } ;;
	esac
	case "$*" in
	*"$(cat ../broken 2>/dev/null || echo none) --check"*)
		echo "flake-init: cannot run /bin/x: No such file or directory" >&2
		exit 127 ;;
	esac ;;
esac]]

local REF = "reg.example.org/x:1"

describe("podman update", function()
  local place

  local function image(name, id)
    place:put("/images/" .. name:gsub("/", "+"), id .. "\n")
  end

  local function id_of(name)
    local text = fs.read(place.root .. "/images/" .. name:gsub("/", "+"))
    return text and text:match("%w+")
  end

  local function update(...)
    local code, out, err = place:ctl("podman", "update", "--format", "json", ...)
    local rows = {}
    for _, row in ipairs(json.decode(out) or {}) do rows[row.reference] = row end
    return code, rows, err
  end

  local function called(...)
    local words, found = table.concat({ ... }, " "), 0
    for _, call in ipairs(place:calls()) do
      if table.concat(call, " "):find(words, 1, true) then found = found + 1 end
    end
    return found
  end

  local function register(name, reference, ...)
    assert.are.equal(0, (place:ctl("podman", "register", "--container", reference, "--app",
      "/usr/bin/" .. name, ...)))
  end

  before_each(function()
    place = Place.new()
    if fs.getuid() ~= 0 then User.become(place) end
    assert(fs.mkdir(place.root .. "/images"))
    place:stand_in("podman", PODMAN:format(place.root))
    place:stand_in("skopeo", [[
      case "$*" in
      *--raw*) echo '{"config":{"digest":"sha256:none"}}' ;;
      *bad*) echo 'time="x" level=fatal msg="connection \"refused\""' >&2; exit 1 ;;
      *) echo '{"Digest":"sha256:dtwo"}' ;;
      esac]])
    image(REF, "one")
    place:put("/next", "two\n")
    register("x", REF, "--target", "/bin/x", "--opt", "--name x", "--opt", "--volume /a:/b",
      "--opt", "--net host", "--opt", "-ti")
    register("y", REF, "--target", "/")
    fs.unlink(place.log)
  end)

  after_each(function()
    User.leave()
    place:close()
  end)

  it("wants to know what to update", function()
    assert.are.equal(2, (update()))
    assert.are.equal(2, (update("x", "--all")))
    assert.are.equal(1, (update("nothing")))
    place:put("/usr/share/flakes/vm.yaml", "vm: {name: x}")
    assert.are.equal(2, (update("vm")))
  end)

  it("pulls each reference once, tries it for each flake, removes the old one", function()
    local code, rows = update("--all")
    assert.are.equal(0, code)
    assert.are.same({ reference = REF, state = "updated", old = "one", new = "two",
      flakes = { "x", "y" } }, rows[REF])
    assert.are.equal(1, called("podman pull --quiet -- " .. REF))
    assert.are.equal(1, called("--volume /a:/b --entrypoint=/dev/flake-init two --check /bin/x"))
    assert.are.equal(1, called("two --check /cmd"))
    assert.are.equal(0, called("--name x"))
    assert.are.equal("two", id_of(REF))
    assert.are.equal(1, called("podman rmi one"))
    assert.are.equal(0, called("--force"))
    assert.is_nil(id_of(references.keep_name(REF)))
  end)

  it("changes nothing when nothing is new", function()
    image(REF, "two")
    local code, rows = update("x")
    assert.are.same({ 0, "current" }, { code, rows[REF].state })
    assert.are.equal(0, called("podman run"))
    assert.are.equal(0, called("podman rmi"))
    assert.is_nil(id_of(references.keep_name(REF)))
  end)

  it("goes back when the new one does not work", function()
    place:put("/broken", "two\n")
    local code, rows, err = update("--all")
    assert.are.same({ 1, "failed" }, { code, rows[REF].state })
    assert.matches("does not work for flake 'x': cannot run /bin/x: No such file", err)
    assert.are.equal("one", id_of(REF))
    assert.are.equal(1, called("podman rmi two"))
    assert.is_nil(id_of(references.keep_name(REF)))
  end)

  it("tries what it is a part of", function()
    local trial = require "shipped.runtimes.podman.trial"
    register("z", "localhost/z:1", "--base", REF, "--target", "/bin/z")
    place:stand_in("flake-ctl", "echo deadbeef")
    image("made", "deadbeef")
    local function try()
      return trial.run { store = require("flake.store").of(nil), flakes = { registry.find("z") },
        image = { id = "two", config = {} }, init = "/init", ctl = place.bin .. "/flake-ctl" }
    end
    assert.is_true(try())
    assert.are.equal(1, called("flake-ctl podman compose --keep-old z"))
    assert.are.equal(1, called("flake-ctl podman compose z"))
    assert.are.equal(1, called("deadbeef --check /bin/z"))
    place:put("/broken", "deadbeef\n")
    local ok, why = try()
    assert.is_nil(ok)
    assert.matches("does not work for flake 'z': cannot run /bin/x", why)
    assert.are.equal(1, called("podman untag deadbeef"))
    place:stand_in("flake-ctl", "echo 'flake-ctl: no include' >&2; exit 1")
    assert.matches("for flake 'z': no include$", (select(2, try())))
  end)

  it("does not blame the image for options that fail with the old one too", function()
    place:put("/no-volume", "")
    assert.are.equal("updated", select(2, update("x"))[REF].state)
    assert.are.equal(1, called("--volume /a:/b --entrypoint=/dev/flake-init one --check /bin/x"))
    assert.are.equal(1, called("flake-init:ro --entrypoint=/dev/flake-init two --check /bin/x"))
    image(REF, "one")
    fs.unlink(place.root .. "/no-volume")
    place:put("/fragile", "")
    local code, _, err = update("x")
    assert.are.equal(1, code)
    assert.matches("two and /a", err)
  end)

  it("leaves nothing of a first pull that does not work", function()
    fs.unlink(place.root .. "/images/reg.example.org+x:1")
    place:put("/broken", "two\n")
    assert.are.equal(1, (update("x")))
    assert.is_nil(id_of(REF))
    fs.unlink(place.root .. "/broken")
    assert.are.equal("updated", select(2, update("x"))[REF].state)
  end)

  it("keeps an old image that something names or uses, and says so", function()
    image("localhost/other:1", "one")
    local code, _, err = update("x")
    assert.are.equal(0, code)
    assert.matches("is kept: it is also named localhost/other:1", err)
    assert.are.equal(0, called("podman rmi"))
  end)

  it("names instances that still run the old one", function()
    place:put("/used", "")
    place:put("/ps", [=[[{"Id":"0123456789abcdef","ImageID":"one","Labels":
      {"flake-pilot.run":"1",
      "flake-pilot.flake":"x","flake-pilot.instance":"i"}},{"Id":"f","ImageID":"two","Labels":
      {"flake-pilot.run":"1","flake-pilot.flake":"y"}}]]=])
    local code, rows, err = update("x")
    assert.are.equal(0, code)
    assert.matches("x @i still runs the old image %(container 0123456789ab%)", err)
    assert.is_nil(err:find("y still runs"))
    assert.matches("image used by a container", rows[REF].message)
  end)

  it("keeps an image that a flake names by its id", function()
    local id = ("a"):rep(64)
    image(REF, id)
    register("pinned", id)
    local _, rows, err = update("--all")
    assert.are.same({ "pinned", "updated" }, { rows[id].state, rows[REF].state })
    assert.matches("flake 'pinned' is pinned to it", err)
  end)

  it("takes back what a killed update left", function()
    image(references.keep_name(REF), "one")
    image(REF, "two")
    place:put("/broken", "two\n")
    local code, _, err = update("x")
    assert.are.equal(1, code)
    assert.matches("was interrupted; back to one", err)
    assert.are.equal("one", id_of(REF))
  end)

  it("reports what it cannot update, and goes on", function()
    register("l", "localhost/l:1")
    image("localhost/short:latest", "one")
    image("short", "one")
    register("s", "short")
    register("d", "reg.example.org/d@sha256:" .. ("0"):rep(64))
    place:put("/usr/share/flakes/bad.yaml", "[")
    local code, rows, err = update("--all")
    assert.are.equal(1, code)
    assert.matches("broken: .*bad.yaml", err)
    assert.are.same({ "local", "local", "updated" },
      { rows["localhost/l:1"].state, rows.short.state, rows[REF].state })
    fs.unlink(place.root .. "/usr/share/flakes/bad.yaml")
    assert.are.equal(0, (update("--all")))
    fs.unlink(place.root .. "/next")
    code, rows, err = update("--all")
    assert.are.same({ 1, "failed" }, { code, rows[REF].state })
    assert.matches("no route to " .. REF, err, 1, true)
    assert.are.equal("two", id_of(REF))
  end)

  it("asks the store of the user a flake runs as", function()
    place:stand_in("sudo", 'test "$1" = --user=nobody && shift 2 && exec "$@"')
    register("r", REF, "--run-as", "nobody")
    assert.are.equal(0, (update("r")))
    assert.are.equal(1, called("sudo --user=nobody -- podman pull"))
    place:put("/usr/share/flakes/r.yaml", "container: {name: a, runtime: {runas: no-such-one}}")
    assert.matches("no user 'no%-such%-one'", (select(3, update("r"))))
  end)

  it("runs once at a time", function()
    local dir = registry.dir({ user = fs.getuid() ~= 0 })
    assert(fs.mkdir_p(dir))
    local held <close> = assert(fs.lock(dir .. "/.update"))
    assert.is_truthy(held)
    local code, _, err = update("x")
    assert.are.equal(1, code)
    assert.matches("another update is running", err)
  end)

  describe("--check", function()
    it("compares digests and changes nothing", function()
      local code, rows = update("--all", "--check")
      assert.are.same({ 10, "available", "sha256:done", "sha256:dtwo" },
        { code, rows[REF].state, rows[REF].old, rows[REF].new })
      assert.are.equal(0, called("podman pull") + called("podman tag"))
      image(REF, "two")
      code, rows = update("--all", "--check")
      assert.are.same({ 0, "current" }, { code, rows[REF].state })
      register("m", "reg.example.org/missing")
      code, rows = update("--all", "--check")
      assert.are.same({ 10, "missing" }, { code, rows["reg.example.org/missing"].state })
    end)

    it("knows an image by its id where digests differ", function()
      place:stand_in("skopeo", [[
        case "$*" in
        *--raw*) echo '{"config":{"digest":"sha256:one"}}' ;;
        *) echo '{"Digest":"sha256:other"}' ;;
        esac]])
      assert.are.equal(0, (update("x", "--check")))
    end)

    it("goes on when a registry does not answer", function()
      register("bad", "bad.example.org/x")
      local code, rows, err = update("--all", "--check")
      assert.are.same({ 1, "failed", "available" },
        { code, rows["bad.example.org/x"].state, rows[REF].state })
      assert.matches('bad.example.org/x: connection "refused"', err, 1, true)
    end)

    it("says that skopeo is missing", function()
      fs.unlink(place.bin .. "/skopeo")
      process.setenv("PATH", place.bin)
      local code, _, err = update("x", "--check")
      assert.are.equal(1, code)
      assert.matches("skopeo", err)
    end)
  end)

  it("prints a table and CSV", function()
    assert.matches("REFERENCE%s+STATE%s+OLD%s+NEW%s+FLAKES\n" .. REF:gsub("%p", "%%%0")
      .. "%s+available%s+sha256:done%s+sha256:dtwo%s+x,y\n",
      (select(2, place:ctl("podman", "update", "--all", "--check"))))
    assert.matches("^reference,state,old,new,flakes,message\n",
      (select(2, place:ctl("podman", "update", "--all", "--check", "--format", "csv"))))
  end)
end)

describe("references", function()
  it("are qualified as the store has them", function()
    assert.are.equal("x:latest", references.with_tag("x"))
    assert.are.equal("h:5000/x:latest", references.with_tag("h:5000/x"))
    assert.are.equal("docker.io/library/x:latest",
      references.qualified("x", { names = { "docker.io/library/x:latest" } }))
    assert.are.equal("a.b/x:1", references.qualified("a.b/x:1", nil))
    assert.are.equal("x:latest", references.qualified("x", { names = { "a.b/yx:latest" } }))
  end)

  it("have names under which an image can stay", function()
    assert.are.equal("localhost/flake-pilot-keep/127_0_0_1_5077/a_b/c:1.0",
      references.keep_name("127.0.0.1:5077/a_b/c:1.0"))
    assert.are.equal("localhost/flake-pilot-keep/1_5000/x:y",
      references.keep_name("[::1]:5000/x:y"))
  end)

  it("are collected once, with layers and per store", function()
    local one = { image = "a", base = "b", layers = { "c", "a:latest" }, user = "u" }
    local two = { image = "c", layers = {} }
    local list = references.collect { one, two }
    local seen = {}
    for i, reference in ipairs(list) do seen[i] = reference.name .. #reference.flakes end
    assert.are.same({ "a1", "b1", "c1", "c1" }, seen)
    assert.are.equal("u", list[1].user)
  end)

  it("are those of every user that a command runs as", function()
    local flake = { image = "a", layers = {}, user = "u", apps = { { path = "/x", user = "u" },
      { path = "/y", user = "v" }, { path = "/z" } } }
    local users = {}
    for i, reference in ipairs(references.collect { flake }) do users[i] = reference.user or "-" end
    assert.are.same({ "u", "v", "-" }, users)
    assert.are.same({ "v" }, references.users(flake, function(app) return app.path == "/y" end))
    flake.own = true
    assert.are.same({ false }, references.users(flake))
  end)

  it("need the programs of a flake, each once", function()
    assert.are.same({ "/x", "/" }, references.targets { apps = { { path = "/x" },
      { path = "/y", target = "/x" }, { path = "/z", target = "/" } } })
  end)
end)

describe("flake-init --check", function()
  local build = process.getenv("FLAKE_BUILD") or "build"

  it("looks a program up as execvp does", function()
    local place = Place.new()
    place:put("/dir/tool", "", 493)
    place:put("/plain/tool", "", 420)
    place:put("/plain/text", "", 420)
    local function check(target, path)
      local r = assert(process.run({ build .. "/flake-init", "--check", target },
        { stderr = "null", env = { PATH = path and path:gsub("@", place.root) } }))
      return r.code
    end
    assert.are.equal(0, check(place.root .. "/dir/tool"))
    assert.are.equal(126, check(place.root .. "/plain/tool"))
    assert.are.equal(126, check(place.root .. "/dir"))
    assert.are.equal(127, check(place.root .. "/none"))
    assert.are.equal(0, check("tool", "/none:@/plain:@/dir"))
    assert.are.equal(126, check("text", "@/plain:@/dir"))
    assert.are.equal(127, check("none", "@/plain:@/dir"))
    assert.are.equal(0, check(nil))
    local r = process.run({ build .. "/flake-init", "--", "--check", "true" }, { stderr = "null" })
    assert.are.equal(127, r.code)
    place:close()
  end)
end)
