-- SPDX-License-Identifier: MIT
-- Image layouts of strangers: podman reads what we write, and nothing else of them.
local archive = require "flake.archive"
local digest = require "flake.digest"
local fs = require "flake.fs"
local oci = require "flake.oci"

describe("an image layout", function()
  local temp, dir, manifest, config

  local function blob(text)
    local hex = digest.sha256(text)
    assert(fs.write(dir .. "/blobs/sha256/" .. hex, text))
    return ('{"digest":"sha256:%s","size":%d}'):format(hex, #text), hex
  end

  local function index(text)
    assert(fs.write(dir .. "/index.json", text))
  end

  before_each(function()
    temp = assert(fs.temp_dir())
    dir = temp:path() .. "/layout"
    assert(fs.mkdir_p(dir .. "/blobs/sha256"))
    local layer = blob("a layer")
    local config_descriptor
    config_descriptor, config = blob(
      '{"created":"2024-05-06T07:08:09Z","config":{"Labels":{"a":"b"}}}')
    manifest = blob(('{"config":%s,"layers":[%s]}'):format(config_descriptor, layer))
    index(('{"manifests":[%s]}'):format(manifest))
  end)

  after_each(function() temp:close() end)

  local function members(name)
    local file = temp:path() .. "/packed"
    local image = assert(oci.pack(dir, file, name))
    assert.are.equal(config, image.id)
    local paths = {}
    for i, member in ipairs(archive.list(file)) do paths[i] = member.path:gsub("/$", "") end
    return paths, file
  end

  it("is packed as the one image that it holds", function()
    blob("not of this image")
    for _, path in ipairs { "manifest.json", "repositories", "blobs/other", "sub/index.json" } do
      assert(fs.mkdir_p((("%s/%s"):format(dir, path):match("^(.*)/"))))
      assert(fs.write(("%s/%s"):format(dir, path), "[]"))
    end
    local paths, file = members("localhost/x:latest")
    assert.are.equal(7, #paths, table.concat(paths, " "))
    assert.are.same({ "blobs", "blobs/sha256" }, { paths[1], paths[2] })
    assert.are.same({ "index.json", "oci-layout" }, { paths[6], paths[7] })
    assert.matches('{"org.opencontainers.image.ref.name":"localhost/x:latest"}',
      archive.read_file(file, "index.json"), 1, true)
  end)

  it("has the name that we give it, whatever it says", function()
    index(('{"manifests":[%s]}'):format(manifest:gsub("}$",
      ',"annotations":{"org.opencontainers.image.ref.name":"a",'
        .. '"io.containerd.image.name":"victim"}}')))
    local _, file = members(nil)
    assert.is_nil(archive.read_file(file, "index.json"):find("annotations"))
    assert.is_nil(archive.read_file(file, "index.json"):find("victim"))
  end)

  it("is refused where podman could see another image", function()
    local evil = manifest:gsub("^{",
      '{"annotations":{"org.opencontainers.image.ref.name":"victim"},')
    for text, why in pairs {
      [('{"manifests":[%s],"manifests":[%s]}'):format(manifest, evil)] = "for the second time",
      [('{"manifests":[%s],"Manifests":[%s]}'):format(manifest, evil)]
        = "some take for 'manifests'",
      [('{"Manifests":[%s]}'):format(evil)] = "some take for 'manifests'",
      [('{"manifests":[%s]}'):format((evil:gsub("annotations", "Annotations")))]
        = "some take for 'annotations'",
      [('{"manifests":[%s,%s]}'):format(manifest, evil)] = "holds 2 images, not one",
      [('{"manifests":[%s]} {}'):format(manifest)] = "behind its end",
    } do
      index(text)
      local image, message, code = oci.of_dir(dir)
      assert.are.same({ nil, "EARCHIVE" }, { image, code })
      assert.matches(why, message)
    end
  end)

  it("is refused where its manifest is ambiguous or leads elsewhere", function()
    local layer = blob("x")
    for _, text in ipairs { '{"config":%s,"Config":%s}',
      '{"config":%s,"layers":[{"digest":"../x"}]}',
      '{"config":{"digest":"sha256:' .. ("A"):rep(64) .. '"}}',
      '{"config":{"digest":"sha256:abc"}}', '{"layers":[]}' } do
      index(('{"manifests":[%s]}'):format((blob((text:gsub("%%s", layer))))))
      local image, _, code = oci.of_dir(dir)
      assert.are.same({ nil, "EARCHIVE" }, { image, code })
    end
  end)
end)
