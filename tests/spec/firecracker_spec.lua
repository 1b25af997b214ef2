-- SPDX-License-Identifier: MIT
-- flake-ctl firecracker register, compose, list, show, stop, remove.
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local pilot = require "flake.pilot"
local process = require "flake.process"
local vm = require "flake.vm"
local yaml = require "flake.yaml"
local Place = require "support.place"
local vm_pilot = require "support.vm_pilot"

describe("flake-ctl firecracker", function()
  local place, state, images

  before_each(function()
    place = Place.new()
    state = vm_pilot.pretend(place)
    images = place.root .. "/var/lib/firecracker/images"
    place:stand_in("firecracker")
    place:stand_in("qemu-system-" .. vm.machine())
    place:stand_in("ip")
  end)

  after_each(function()
    vm_pilot.leave()
    place:close()
  end)

  -- An image whose init is ours, or with old=true that of older tools.
  local function image(name, old)
    place:put(("/var/lib/firecracker/images/%s/kernel"):format(name), "kernel")
    place:put(("/var/lib/firecracker/images/%s/rootfs"):format(name), "rootfs")
    if not old then place:put(("/var/lib/firecracker/images/%s/channel"):format(name), "1\n") end
  end

  local function register(...)
    return place:ctl("firecracker", "register", "--vm", "leap", "--app", "/usr/bin/mybash",
      "--no-net", ...)
  end

  local function doc(name)
    return yaml.load(assert(fs.read(("%s/%s.yaml"):format(place.flakes, name or "mybash"))))
  end

  local function settings(name) return doc(name).vm.runtime.firecracker end

  describe("register", function()
    before_each(function() image("leap") end)

    it("writes a definition that older tools understand, with our keys", function()
      local code, _, err = register("--target", "/bin/bash", "--overlay-size", "20GiB")
      assert.are.equal(0, code, err)
      local vm_section = doc().vm
      assert.are.equal("leap", vm_section.name)
      assert.are.equal("/usr/bin/mybash", vm_section.host_app_path)
      assert.are.equal("/bin/bash", vm_section.target_app_path)
      assert.are.same({ overlay_size = "20GiB", mem_size_mib = 4096, vcpu_count = 2,
        rootfs_image_path = images .. "/leap/rootfs", kernel_image_path = images .. "/leap/kernel",
        engine = "auto", network = false, boot_args = { "quiet" } }, settings())
      assert.are.equal("/usr/bin/firecracker-pilot", fs.readlink(place.root .. "/usr/bin/mybash"))
      local flake = assert(pilot.load("mybash"))
      assert.are.equal("firecracker", flake.engine)
      assert.are.equal("/bin/bash", flake.target)
    end)
  end)
end)
