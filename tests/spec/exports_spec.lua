-- SPDX-License-Identifier: MIT
local fs = require "flake.fs"
local process = require "flake.process"
local Place = require "support.place"

-- podman with the folder IMAGE as image: no container, but the same tar streams.
local PODMAN = [[
case $1 in
create) echo abc123 ;;
image) [ "$2" != inspect ] || echo '{"Entrypoint":["/opt/x/joe"],"Cmd":["jim"]}' ;;
cp)
	path="%s${2#*:}"
	if [ -f "$path" ]; then exec tar -h -C "${path%%/*}" -c "${path##*/}"; fi
	[ -d "$path" ] || exit 125
	exec tar -C "${path%%/*}" -c "${path##*/}" ;;
esac]]

describe("exports", function()
  local place, image, share

  before_each(function()
    place = Place.new()
    image = place.root .. "/image"
    share = place.root .. "/usr/local/share"
    place:stand_in("podman", PODMAN:format(image))
    local function put(path, text) place:put("/image/usr/share/" .. path, text) end
    put("applications/org.joe.desktop",
      "[Desktop Entry]\nType=Application\nName=Joe\nExec=joe %U\nIcon=joe\n")
    put("applications/jim.desktop", "[Desktop Entry]\nType=Application\nExec=jim\n")
    put("icons/hicolor/48x48/apps/joe.png", "48")
    put("icons/hicolor/scalable/apps/joe.svg", "svg")
    put("pixmaps/joe.xpm", "xpm")
    put("man/man1/joe.1.gz", "page")
    put("man/man1/joe-more.1", "more")
    put("man/man1/joey.1", "foreign")
    put("man/man8/joe.8", "admin")
    put("bash-completion/completions/joe", "bash")
    put("zsh/vendor-completions/_joe", "zsh")
    put("fish/completions/joe.fish", "fish")
  end)

  after_each(function() place:close() end)

  local function register(...)
    return place:ctl("podman", "register", "--container", "img", ...)
  end

  -- Files below the share directory, sorted.
  local function exported(dir, prefix)
    local found = {}
    for _, name in ipairs(fs.list(dir or share) or {}) do
      local path = (dir or share) .. "/" .. name
      if fs.lstat(path).type == "directory" then
        for _, below in ipairs(exported(path, (prefix or "") .. name .. "/")) do
          table.insert(found, below)
        end
      else
        table.insert(found, (prefix or "") .. name)
      end
    end
    return found
  end

  it("are off unless asked for", function()
    assert.are.equal(0, (register("--app", "/usr/bin/joe")))
    assert.are.same({}, exported())
    assert.are.same({}, fs.list(place.flakes .. "/joe.d"))
  end)

  it("bring desktop entry, icons, pages and completions", function()
    assert.are.equal(0, (register("--app", "/usr/bin/joe", "--desktop", "--man", "--completion")))
    assert.are.same({ "applications/flake-joe.desktop", "bash-completion/completions/joe",
      "fish/vendor_completions.d/joe.fish", "icons/hicolor/48x48/apps/flake-joe.png",
      "icons/hicolor/scalable/apps/flake-joe.svg", "man/man1/joe-more.1", "man/man1/joe.1.gz",
      "man/man8/joe.8", "pixmaps/flake-joe.xpm", "zsh/site-functions/_joe" }, exported())
    local text = fs.read(share .. "/applications/flake-joe.desktop")
    assert.matches("\nExec=/usr/bin/joe %%U\n", text)
    assert.matches("\nIcon=flake%-joe\n", text)
    assert.are.same({ "podman", "rm", "--force", "abc123" },
      place:calls()[#place:calls() - 1])
  end)

  it("go with the flake, by command or by image", function()
    register("--app", "/usr/bin/joe", "--desktop", "--man", "--completion")
    assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/joe")))
    assert.are.same({}, exported())
    register("--app", "/usr/bin/joe", "--man")
    assert.are.equal(0, (place:ctl("podman", "remove", "--container", "img")))
    assert.are.same({}, exported())
  end)

  it("are replaced with the flake", function()
    register("--app", "/usr/bin/joe", "--desktop", "--man")
    place:put("/image/usr/share/man/man1/joe.1.gz", "new page")
    assert.are.equal(0, (register("--force", "--app", "/usr/bin/joe", "--man")))
    assert.are.same({ "man/man1/joe-more.1", "man/man1/joe.1.gz", "man/man8/joe.8" }, exported())
    assert.are.equal("new page", fs.read(share .. "/man/man1/joe.1.gz"))
    assert.are.equal(0, (register("--force", "--app", "/usr/bin/joe")))
    assert.are.same({}, exported())
    assert.is_nil(fs.lstat(place.flakes .. "/joe.d/exports.list"))
  end)

  it("never touch a foreign file, and then write nothing", function()
    place:put("/usr/local/share/man/man8/joe.8", "the host's")
    local code, _, err = register("--app", "/usr/bin/joe", "--man")
    assert.are.equal(1, code)
    assert.matches("man8/joe%.8 exists and is not of this flake", err)
    assert.are.same({ "man/man8/joe.8" }, exported())
    assert.is_nil(fs.lstat(place.flakes .. "/joe.yaml"))
    assert.are.equal("the host's", fs.read(share .. "/man/man8/joe.8"))
  end)

  it("stay where somebody changed them, and say so", function()
    register("--app", "/usr/bin/joe", "--man")
    place:put("/usr/local/share/man/man8/joe.8", "improved")
    local code, _, err = register("--force", "--app", "/usr/bin/joe", "--man")
    assert.are.equal(1, code)
    assert.matches("man8/joe%.8 was changed since it was exported", err)
    code, _, err = place:ctl("podman", "remove", "--app", "/usr/bin/joe")
    assert.are.equal(0, code)
    assert.matches("man8/joe%.8 was changed since it was exported: it stays", err)
    assert.are.same({ "man/man8/joe.8" }, exported())
  end)

  it("do not stay behind a failed registration", function()
    place:put("/usr/file", "not a directory")
    assert.are.equal(1, (register("--app", "/usr/file/joe", "--man")))
    assert.are.same({}, exported())
    assert.is_nil(fs.lstat(place.flakes .. "/joe.d"))
  end)

  it("follow no list that leads elsewhere", function()
    register("--app", "/usr/bin/joe", "--man")
    local list = place.flakes .. "/joe.d/exports.list"
    local digest = fs.read(list):match("^%x+")
    local text = fs.read(share .. "/man/man1/joe-more.1")
    local victim = place:put("/usr/local/share/other/joe.1", text)
    for _, path in ipairs { "other/joe.1", "man/../other/joe.1", "/" .. victim } do
      assert(fs.write(list, digest .. " " .. path .. "\n"))
      place:ctl("podman", "remove", "--app", "/usr/bin/joe")
      assert.is_truthy(fs.lstat(victim))
      register("--force", "--app", "/usr/bin/joe")
    end
  end)

  it("and what a killed registration left beside them are removed", function()
    register("--app", "/usr/bin/joe", "--man")
    place:put("/usr/local/share/man/man1/joe.1.gz.tmp.AbCdEf", "half")
    place:put("/usr/local/share/man/man1/other.1.gz.tmp.AbCdEf", "somebody's")
    assert.are.equal(0, (place:ctl("podman", "remove", "--app", "/usr/bin/joe")))
    assert.are.same({ "man/man1/other.1.gz.tmp.AbCdEf" }, exported())
  end)

  it("take the names of the command", function()
    assert.are.equal(0, (register("my", "--app", "/opt/j", "--target", "/usr/bin/joe", "--man",
      "--desktop")))
    local found = table.concat(exported(), " ")
    assert.matches("applications/flake%-my%.desktop", found)
    assert.matches("man1/j%.1%.gz", found)
    assert.matches("man1/j%-more%.1", found)
    assert.is_nil(found:find("joe", 1, true))
    local code, _, err = register("--app", "/opt/k", "--target", "/usr/bin/joe", "--completion")
    assert.are.equal(0, code)
    assert.matches("no completions for 'k': those of the image are for 'joe'", err)
  end)

  it("follow the image's own entry point", function()
    assert.are.equal(0, (register("--app", "/usr/bin/joe", "--target", "/", "--man")))
    assert.are.equal(3, #exported())
  end)

  it("warn of what is not in the image", function()
    local code, _, err = register("--app", "/usr/bin/none", "--desktop", "--man", "--completion")
    assert.are.equal(0, code)
    for _, what in ipairs { "no desktop entry", "no man page", "no completion" } do
      assert.matches(what, err)
    end
    place:stand_in("podman", "exit 125")
    code, _, err = register("--app", "/usr/bin/joe", "--man")
    assert.are.equal(1, code)
    assert.matches("image 'img' cannot be read", err)
  end)

  it("take nothing but files of reasonable size", function()
    local man = image .. "/usr/share/man/man1/"
    assert(fs.symlink("joe.1.gz", man .. "joe-link.1.gz"))
    assert(fs.symlink("/nowhere", man .. "joe-broken.1"))
    assert(process.run({ "mkfifo", man .. "joe-fifo.1" }))
    assert(process.run({ "truncate", "-s", "5M", man .. "joe-big.1" }))
    assert.are.equal(0, (register("--app", "/usr/bin/joe", "--man")))
    assert.are.same({ "man/man1/joe-link.1.gz", "man/man1/joe-more.1", "man/man1/joe.1.gz",
      "man/man8/joe.8" }, exported())
    assert.are.equal("page", fs.read(share .. "/man/man1/joe-link.1.gz"))
  end)

  it("are part of what a register hook sees", function()
    place:put("/etc/flakes/hooks/register.d/no.lua", [[return function(event)
      for _, path in ipairs(event.exports) do
        if path:match("completion") then flake.deny("no code of images") end
      end
    end]])
    assert.are.equal(0, (register("--app", "/usr/bin/joe", "--man")))
    assert.are.equal(1, (register("--force", "--app", "/usr/bin/joe", "--completion")))
  end)

  it("go below another root", function()
    local other = place.root .. "/other"
    assert.are.equal(0, (register("--root", other, "--app", "/usr/bin/joe", "--man")))
    assert.are.same({}, exported())
    assert.are.equal(3, #exported(other .. "/usr/local/share"))
    assert.are.equal(0, (place:ctl("podman", "remove", "--root", other, "--app", "/usr/bin/joe")))
    assert.are.same({}, exported(other .. "/usr/local/share"))
  end)
end)
