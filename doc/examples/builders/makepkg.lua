-- SPDX-License-Identifier: MIT
-- A site's own builder: packages for pacman. Put it into a root's builders/, then
--   flake-ctl build --builder makepkg …      (as a user: makepkg refuses to run as root)
-- Where makepkg is, but no pacman: with PACMAN=true in the environment.
-- A bundle holds everything: root/ as it is installed, and the facts of package.yaml.
local archive = require "flake.archive"
local fs = require "flake.fs"
local process = require "flake.process"

local PKGBUILD = [=[
pkgname=%s
pkgver=%s
pkgrel=1
pkgdesc=%s
arch=(any)
url=%s
license=(%s)
depends=(%s)
install="$pkgname.install"
source=("$pkgname-$pkgver.tar")
noextract=("$pkgname-$pkgver.tar")
sha256sums=(SKIP)
options=(!strip !debug)
# The image is compressed already.
PKGEXT=.pkg.tar
package() {
	tar -C "$pkgdir" -xf "$srcdir/$pkgname-$pkgver.tar"
}
]=]

local INSTALL = [=[
post_install() {
	flake-ctl %s prepare %s >/dev/null 2>&1 </dev/null ||
		echo "the first launch gets the image"
}
post_upgrade() {
	post_install
}
pre_remove() {
	flake-ctl %s unload %s >/dev/null 2>&1 </dev/null || :
}
]=]

-- bash reads both files: every value is one quoted word.
local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function check_name(value)
  if value:match("^[a-z0-9@_+][a-z0-9@._+-]*$") then return true end
  return nil, "a package name has a-z, 0-9 and @ . _ + -"
end

local function check_version(value)
  if value:match("^[A-Za-z0-9._+]+$") then return true end
  return nil, "a version has letters, digits and . _ +"
end

local function setup(bundle)
  local facts, dir, depends = bundle.facts, bundle.dir .. "/makepkg", {}
  for i, package in ipairs(facts.depends) do depends[i] = quote(package) end
  local engine, flake = quote(facts.engine), quote(facts.flake)
  local ok, message, code = fs.mkdir_p(dir)
  if ok then
    ok, message, code = fs.write(dir .. "/PKGBUILD", PKGBUILD:format(quote(facts.name),
      quote(facts.version), quote(facts.description:match("^[^\n]*")), quote(facts.url),
      quote(facts.license), table.concat(depends, " ")))
  end
  if ok then
    ok, message, code = fs.write(("%s/%s.install"):format(dir, facts.name),
      INSTALL:format(engine, flake, engine, flake))
  end
  return ok, message, code
end

-- makepkg 7 asks pacman what is installed: nothing, where there is no pacman.
local function environment()
  return not process.which("pacman") and { PACMAN = "true" } or nil
end

local function compile(bundle)
  local facts, work = bundle.facts, bundle.work .. "/makepkg"
  local ok, message, code = fs.mkdir_p(work)
  for _, name in ipairs { "PKGBUILD", facts.name .. ".install" } do
    if ok then
      ok, message, code = fs.copy(("%s/makepkg/%s"):format(bundle.dir, name), work .. "/" .. name)
    end
  end
  if ok then
    ok, message, code = archive.create(("%s/%s-%s.tar"):format(work, facts.name, facts.version),
      bundle.root, { mtime = facts.epoch })
  end
  if ok then
    ok, message, code = bundle:run({ "makepkg", "--nodeps", "--force" }, work, environment())
  end
  if not ok then return nil, message, code end
  return { ("%s/%s-%s-1-any.pkg.tar"):format(work, facts.name, facts.version) }
end

return {
  api = 1,
  tool = "makepkg",
  about = "Package flakes with makepkg",
  type = "PACKAGER",
  options = { { name = "name", check = check_name }, { name = "version", check = check_version } },
  detect = function(release) return release.ID == "arch" end,
  setup = setup,
  compile = compile,
}
