-- SPDX-License-Identifier: MIT
-- Driver of VM flakes: Firecracker, or QEMU where there is no KVM. What the verbs take is here,
-- what they do in runtimes/firecracker/VERB.lua.
local cli = require "flake.cli"
local fetch = require "flake.fetch"
local output = require "flake.output"
local vm = require "flake.vm"

local ROOT = { name = "root", metavar = "DIR", check = cli.absolute_path,
  about = "Fake root for images, definitions and command links." }
local USER = { name = "user", flag = true, about = "The caller's own, not the system's." }
local FORMAT = { name = "format", default = "table", choices = output.formats,
  about = "Output format." }
local FLAKE = { name = "name", positional = true, about = "Name of the flake." }

local function flag(name, about) return { name = name, flag = true, about = about } end

local function uri(name, about)
  return { name = name, metavar = "URI", check = fetch.check, show = fetch.shown, about = about }
end

local function value(name, metavar, about, check)
  return { name = name, metavar = metavar, about = about, check = check }
end

local function image_name(about, required)
  return { name = "name", required = required, metavar = "NAME", check = vm.check_name,
    about = about }
end

-- Verbs are loaded when they are called.
local function verb(name)
  return function(...) return require("shipped.runtimes.firecracker." .. name)(...) end
end

local function sha256(text)
  if #text == 64 and text:match("^%x+$") then return true end
  return nil, "must be 64 hexadecimal digits"
end

return {
  api = 1,
  name = "firecracker",
  about = "Manage firecracker micro vm flakes",
  type = "ENGINE",
  pilot = "firecracker-pilot",
  risk = function() return { { level = "note", what = "runs in a virtual machine" } } end,
  commands = {
    pull = {
      about = "Get a VM image: its kis archive, or root file system and kernel.",
      options = {
        image_name("Name of the image.", true),
        uri("kis-image", "Archive of KIWI's type kis: https, file:// or a path."),
        uri("rootfs", "Root file system (ext2, ext3, ext4); it gets our guest init."),
        uri("kernel", "Kernel, with --rootfs."),
        uri("initrd", "Initrd, with --rootfs."),
        value("sha256", "HEX", "Digest that the archive (or the root file system) must have.",
          sha256),
        value("max-size", "SIZE", "What each download may have at most (default: 16GiB)."),
        flag("insecure-http", "Allow http, which anybody on the way can change."),
        flag("replace-sci", "Put our guest init into a kis image, too."),
        flag("force", "Replace an image that exists, as soon as the new one is there."),
        ROOT, USER,
      },
      run = verb "pull",
    },
    ["build-image"] = {
      about = "Make a VM image of a container image.",
      options = {
        { name = "from-oci", required = true, metavar = "IMAGE", check = cli.image,
          about = "Container image, as podman create takes it." },
        image_name("Name of the image.", true),
        value("kernel", "FILE", "Kernel (default: the host's)."),
        value("modules", "DIR", "Its modules (default: lib/modules beside the kernel)."),
        value("size", "SIZE", "Size of the root file system (default: its content and 64 MiB)."),
        flag("force", "Replace an image that exists, as soon as the new one is there."),
        ROOT, USER,
      },
      run = verb "build_image",
    },
    register = {
      about = "Make a command of an application in a VM.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake (default: base name of --app)." },
        { name = "vm", required = true, metavar = "IMAGE", check = vm.check_name,
          about = "Image of the VM." },
        { name = "app", required = true, metavar = "PATH", check = cli.absolute_path,
          about = "Absolute path of the command on the host." },
        value("target", "PATH", "Program in the VM (default: as --app).", cli.absolute_path),
        value("run-as", "USER", "User to run the VM as (default: the caller)."),
        value("overlay-size", "SIZE", "Writable space: 20GiB, 512M, … (default: memory)."),
        value("vcpu", "N", "Virtual CPUs, 1 to 32 (default: 2)."),
        value("mem", "SIZE", "Memory; a number alone is MiB (default: 4096)."),
        { name = "engine", default = "auto", choices = { "auto", "firecracker", "qemu" },
          about = "What runs the VM." },
        { name = "boot-arg", multiple = true, dash_values = true, metavar = "WORD",
          about = "Further word for the kernel's command line; may be repeated." },
        flag("no-net", "The VM has no network."),
        flag("resume", "The first call starts a VM that stays, later calls run in it."),
        flag("snapshot", "Save the booted VM; calls restore it (Firecracker only)."),
        flag("force-vsock", "For the guest init of older tools: commands go over vsock."),
        { name = "include-tar", multiple = true, metavar = "FILE",
          about = "Archive to unpack over the image; needs --overlay-size; may be repeated." },
        { name = "include-path", multiple = true, metavar = "PATH",
          about = "File or directory of the host to copy into the VM; likewise." },
        { name = "require-signature", multiple = true, metavar = "FILE",
          about = "Public key (GPG, minisign) that must have signed bundles; may be repeated." },
        flag("force", "Replace a flake that exists; never a foreign file."),
        flag("user-may-override", "Lets users have an own flake of this name, which then wins."),
        ROOT, USER,
      },
      run = verb "register",
    },
    compose = {
      about = "Make the disk that calls start with; launches do it when it is missing.",
      options = { FLAKE, flag("force", "Make it anew."), USER },
      run = verb "compose",
    },
    export = {
      about = "Write image, definition, its .d and includes to one file for flake-ctl import.",
      options = {
        FLAKE,
        { name = "target", positional = true, about = "File or directory, as for mv." },
        flag("bundle", "The same (what podman's export calls it)."),
        value("sign", "KEY",
          "Sign it: a file with a minisign key, or what gpg knows a secret key by."),
        ROOT, USER,
      },
      run = verb "export",
    },
    remove = {
      about = "Remove a flake, or an image with all its flakes.",
      options = {
        value("app", "PATH", "Command whose flake is removed.", cli.absolute_path),
        value("vm", "IMAGE", "Image to remove with all its flakes.", vm.check_name),
        flag("force", "Remove broken definitions and running VMs too."),
        ROOT, USER,
      },
      run = verb "remove",
    },
    stop = {
      about = "End VMs of flakes.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake or of one of its commands." },
        { name = "instance", positional = true, optional = true, metavar = "@INSTANCE",
          check = cli.instance, about = "Only this one." },
        flag("all", "All VMs of all flakes."),
        USER,
      },
      run = verb "stop",
    },
    show = { about = "List the VMs that run.", options = { FORMAT, USER }, run = verb "show" },
    list = { about = "List the images.", options = { FORMAT, ROOT, USER }, run = verb "list" },
  },
}
