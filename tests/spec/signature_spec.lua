-- SPDX-License-Identifier: MIT
-- What flakes demand to be signed. Real keys, signatures and podman's own checks are in e2e.
local fs = require "flake.fs"
local oci_image = require "support.oci_image"
local pilot = require "flake.pilot"
local Place = require "support.place"
local signed_file = require "flake.signed_file"

local GPG = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
local PEM = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"
local MINISIGN = "untrusted comment: minisign public key A83A93F6DA952ACF\n"
  .. "RWTPKpXa9pM6qC5Y6xeEEPrUH+iP+t7P+Gsq9xfGCjk2BnTWTz8mRe16\n"
local REF = "reg.example.org/tools/x:1"
local REJECT = '{"default":[{"type":"reject"}]}'

describe("signatures", function()
  local place

  before_each(function()
    place = Place.new()
    oci_image.stand_in(place)
    place:put("/k.gpg", GPG)
    place:put("/k.pem", PEM)
    place:put("/k.mini", MINISIGN)
    place:put("/reject.json", REJECT)
    place:put("/accept.json", '{"default":[{"type":"insecureAcceptAnything"}]}')
  end)

  after_each(function() place:close() end)

  local function register(name, files, ...)
    local args = {}
    for _, file in ipairs(files) do
      table.insert(args, "--require-signature")
      table.insert(args, place.root .. file)
    end
    table.move({ ... }, 1, select("#", ...), #args + 1, args)
    return place:ctl("podman", "register", "--force", "--container", REF, "--app",
      "/usr/bin/" .. name, table.unpack(args))
  end

  local function policy(name)
    local flake = assert(pilot.load(name))
    assert.are.equal(("%s/%s.d/signature-policy.json"):format(place.flakes, name),
      flake.signature_policy)
    return require("dkjson").decode(fs.read(flake.signature_policy)).default
  end

  local function called(text)
    local count = 0
    for _, call in ipairs(place:calls()) do
      if table.concat(call, " "):find(text, 1, true) then count = count + 1 end
    end
    return count
  end

  it("tells keys apart", function()
    for text, kind in pairs { [GPG] = "gpg", [PEM] = "sigstore", [MINISIGN] = "minisign",
      ["\x99\x01\x0d\x04"] = "gpg", ["\xc6\x33\x04"] = "gpg" } do
      assert.are.equal(kind, signed_file.kind_of(text))
    end
    for _, text in ipairs { "", "x", "{}", "untrusted comment: x\n", "\x85", "RWTPKp" } do
      assert.is_nil(signed_file.kind_of(text))
    end
  end)

  describe("that register demands", function()
    it("become podman's policy and the keys of bundles, beside the definition", function()
      assert.are.equal(0, (register("x", { "/k.gpg", "/k.pem", "/k.mini" })))
      local default = policy("x")
      assert.are.same({ "signedBy", "GPGKeys", "LS0tLS1CRUdJTiBQR1AgUFVCTElDIEtFWSBCTE9DSy0tLS0tCg"
        .. "phYmMKLS0tLS1FTkQgUEdQIFBVQkxJQyBLRVkgQkxPQ0stLS0tLQo=" },
        { default[1].type, default[1].keyType, default[1].keyData })
      assert.are.same({ "sigstoreSigned", "matchRepository" },
        { default[2].type, default[2].signedIdentity.type })
      assert.is_nil(default[3])
      local keys = pilot.load("x").signature_keys
      assert.are.same({ GPG, MINISIGN }, { fs.read(keys[1]), fs.read(keys[2]) })
      assert.is_nil(keys[3])
    end)

    it("leave no image for who has a key for bundles only", function()
      assert.are.equal(0, (register("x", { "/k.mini" })))
      assert.are.same({ { type = "reject" } }, policy("x"))
    end)

    it("are a policy as it is, or keys, and nothing else", function()
      assert.are.equal(0, (register("x", { "/reject.json", "/k.mini" })))
      assert.are.same({ { type = "reject" } }, policy("x"))
      for _, files in ipairs { { "/reject.json", "/k.gpg" }, { "/none" }, { "/bin" } } do
        assert.are_not.equal(0, (register("y", files)))
      end
      for _, text in ipairs { "", "{}", "{", "x", '{"default":1}',
        '{"default":[],"default":[]}' } do
        place:put("/bad", text)
        local code, _, err = register("y", { "/bad" })
        assert.are.equal(2, code)
        assert.matches("/bad is n", err)
      end
      assert.is_nil(fs.stat(place.flakes .. "/y.yaml"))
    end)

    it("go when they are demanded no more, which is said", function()
      register("x", { "/k.gpg" })
      local code, _, err = register("x", {})
      assert.are.equal(0, code)
      assert.matches("flake 'x' demands no signatures any more", err)
      assert.are.same({}, fs.list(place.flakes .. "/x.d"))
      assert.is_nil(pilot.load("x").signature_policy)
    end)

    it("are demanded of what a launch has to pull, after all other options", function()
      register("x", { "/k.gpg" }, "--opt", "--signature-policy=/other")
      local argv = pilot.plan("x", {}, { dir = place.flakes, tty = false }).argv
      local line = table.concat(argv, " ")
      assert.matches("--signature-policy=/other --signature-policy=" .. place.flakes
        .. "/x.d/signature-policy.json ", line, 1, true)
    end)

    it("stand in definitions of both versions, beside them or anywhere", function()
      place:put("/usr/share/flakes/b.yaml", "{version: 2, runtime: {name: i, signature_policy: "
        .. "/p.json, signature_keys: [b.d/k.pub, /k.pub]}, engine: {pilot: podman}}")
      local flake = pilot.load("b")
      assert.are.same({ "/p.json", { place.flakes .. "/b.d/k.pub", "/k.pub" }, {} },
        { flake.signature_policy, flake.signature_keys, flake.unknown })
      place:put("/usr/share/flakes/b.yaml", "container: {name: i, signature_keys: x}")
      assert.matches("'signature_keys' must be a list", select(2, pilot.load("b")))
    end)

    it("are said not to have been checked of an image that is here", function()
      oci_image.name(place, REF, "one")
      assert.matches("is here already, and was not checked", select(3, register("x", { "/k.gpg" })))
    end)
  end)

  describe("that a flake demands", function()
    before_each(function()
      oci_image.registry(place, { [REF] = "two" })
      oci_image.name(place, REF, "one")
    end)

    it("are demanded by pull, of every name of the image", function()
      register("x", { "/accept.json" })
      assert.are.equal(0, (place:ctl("podman", "pull", "--uri", REF)))
      assert.are.equal(1, called("pull --signature-policy=" .. place.flakes))
      assert.are.equal("two", oci_image.id_of(place, REF))
      register("x", { "/reject.json" })
      oci_image.name(place, REF, "one")
      assert.are.equal(125, (place:ctl("podman", "pull", "--uri", REF)))
      assert.are.equal("one", oci_image.id_of(place, REF))
      fs.unlink(place.log)
      place:ctl("podman", "pull", "--uri", "tools/x:1")
      assert.are.equal(1, called("pull --signature-policy=" .. place.flakes))
      fs.unlink(place.log)
      place:ctl("podman", "pull", "--uri", "reg.example.org/tools/x:2")
      assert.are.equal(0, called("--signature-policy"))
    end)

    it("are those of all flakes that have the image", function()
      register("x", { "/accept.json" })
      register("y", { "/reject.json" })
      assert.are.equal(125, (place:ctl("podman", "pull", "--uri", REF)))
      assert.are.equal("one", oci_image.id_of(place, REF))
      register("y", { "/accept.json" })
      assert.are.equal(0, (place:ctl("podman", "pull", "--uri", REF)))
      assert.are.equal("two", oci_image.id_of(place, REF))
    end)

    it("are demanded by update, prepare and compose", function()
      register("x", { "/reject.json" })
      local code, out = place:ctl("podman", "update", "x", "--format", "json")
      assert.are.equal(1, code)
      assert.matches("Source image rejected", out)
      assert.are.equal("one", oci_image.id_of(place, REF))
      fs.unlink(place.bin .. "/podman.have")
      assert.are.equal(1, (place:ctl("podman", "prepare", "x")))
      register("x", { "/reject.json" }, "--check-host-dependencies")
      assert.are.equal(1, (place:ctl("podman", "compose", "x")))
      assert.are.equal(3, called("--signature-policy=" .. place.flakes))
      assert.is_nil(oci_image.id_of(place, REF))
    end)

    it("keep what is loaded or pulled from taking the image's name", function()
      register("x", { "/k.mini" })
      oci_image.write(place.root .. "/a.tar", "other", REF)
      local code, _, err = place:ctl("podman", "load", "--oci", place.root .. "/a.tar")
      assert.are.equal(1, code)
      assert.matches("flake 'x' demands that image '" .. REF .. "' is signed", err, 1, true)
      assert.are.equal(1, called("podman load"))
      assert.are.equal("one", oci_image.id_of(place, REF))
      register("x", {})
      assert.are.equal(0, (place:ctl("podman", "load", "--oci", place.root .. "/a.tar")))
      assert.are_not.equal("one", oci_image.id_of(place, REF))
    end)

    it("are demanded before a container is made of the image to look into it", function()
      register("x", { "/reject.json" })
      fs.unlink(place.bin .. "/podman.have")
      assert.are.equal(1, (place:ctl("podman", "register", "--container", REF, "--info")))
      assert.are.equal(0, called("podman create"))
    end)

    it("are not demanded of a flake without", function()
      register("x", {})
      place:ctl("podman", "pull", "--uri", REF)
      assert.are.equal(0, called("--signature-policy"))
    end)
  end)

  describe("and the doctor", function()
    local doctor = require "flake.doctor.signatures"

    local function findings(text)
      local found = {}
      place:put("/policy.json", text)
      doctor.check(function(severity, what, remedy)
        table.insert(found, ("%s: %s (%s)"):format(severity, what, remedy))
      end, { name = "x", image = REF, layers = {}, signature_keys = {},
        signature_policy = place.root .. "/policy.json" }, { place.root .. "/registries.d" })
      return found
    end

    local SIGSTORE = '{"default":[{"type":"sigstoreSigned"}]}'
    local BY_GPG = '{"default":[{"type":"reject"}],'
      .. '"transports":{"docker":{"":[{"type":"signedBy"}]}}}'

    it("miss what podman would not find", function()
      local found = findings(SIGSTORE)
      found = found[#found]
      assert.matches("serious: flake 'x': use%-sigstore%-attachments is not set for reg", found)
      assert.matches("docker: {reg.example.org: {use-sigstore-attachments: true}}", found, 1, true)
      assert.matches("warning: flake 'x': no lookaside is set", findings(BY_GPG)[1])
      assert.are.same({}, findings('{"default":[{"type":"insecureAcceptAnything"}]}'))
    end)

    it("find what is set for the image, its registry, or all", function()
      for _, scope in ipairs { REF, "reg.example.org/tools/x", "reg.example.org/tools",
        "reg.example.org", "'*.example.org'" } do
        place:put("/registries.d/a.yaml", ("docker: {%s: {use-sigstore-attachments: true, "
          .. "lookaside: 'file:///x'}}"):format(scope))
        assert.are.same({}, findings(BY_GPG), scope)
        local found = table.concat(findings(SIGSTORE))
        assert.is_nil(found:find("attachments"), scope)
      end
      place:put("/registries.d/a.yaml", "docker: {example.org: {lookaside: x}, reg.example.org/t: "
        .. "{lookaside: x}, reg.example.org: {use-sigstore-attachments: false}}")
      place:put("/registries.d/b.yaml", "default-docker: {use-sigstore-attachments: true}")
      assert.are.equal(1, #findings(BY_GPG))
      assert.matches("attachments is not set", table.concat(findings(SIGSTORE)))
      place:put("/registries.d/b.yaml", "default-docker: {sigstore: 'https://x'}")
      assert.are.equal(0, #findings(BY_GPG))
    end)

    it("name a podman that checks no sigstore signature, having tried", function()
      oci_image.stand_in(place, [[
        [ "$1" = pull ] && { echo "Error: Source image rejected: disabled" >&2; exit 125; }]])
      package.loaded["flake.doctor.signatures"] = nil
      doctor = require "flake.doctor.signatures"
      assert.matches("this podman does not check.*rejected: disabled", findings(SIGSTORE)[1])
      assert.are.equal(1, called("podman pull --quiet --signature-policy="))
    end)

    it("name a policy or key that is gone", function()
      assert.matches("none can be pulled", findings("{")[1])
      register("x", { "/k.gpg" })
      fs.unlink(place.flakes .. "/x.d/signature-1.pub")
      local _, out = place:ctl("doctor", "x")
      assert.matches("signature%-1.pub of its bundles is missing", out)
    end)
  end)
end)
