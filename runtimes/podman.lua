-- SPDX-License-Identifier: MIT
-- Driver of podman: OCI containers as commands. What the verbs take is here, what they do in
-- runtimes/podman/VERB.lua.
local cli = require "flake.cli"
local image = require "flake.image"
local output = require "flake.output"
local pilot = require "flake.pilot"
local podman = require "flake.podman"
local registry = require "flake.registry"
local signature = require "flake.signature"
local store = require "flake.store"

local ROOT = { name = "root", metavar = "DIR", check = cli.absolute_path,
  about = "Fake root for definitions and command links." }
local USER = { name = "user", flag = true, about = "The caller's own flakes, not the system's." }
local FORMAT = { name = "format", default = "table", choices = output.formats,
  about = "Output format." }

-- Whose store podman uses is a matter of who calls it: with these verbs --user only has to make
-- sense.
local PODMAN_USER = { name = "user", flag = true,
  about = "For the caller's own flakes (podman's store is the caller's anyhow)." }

-- podman's exit status, or why what podman did was taken back.
local function verdict(ok, status, message, code)
  if ok or status and status ~= 0 then return status end
  return nil, message, code
end

local function pull(opts)
  local ok, message, code = registry.dir(opts)
  if not ok then return nil, message, code end
  local status
  ok, message, code = signature.pull(store.of(nil), opts.uri, function(args)
    local why, reason
    status, why, reason = podman.run("pull", table.unpack(args))
    return status == 0, why, reason
  end)
  return verdict(ok, status, message, code)
end

local function load_image(opts)
  local file, message, code = registry.dir(opts)
  if file then file, message, code = image.newest_file(opts.oci) end
  if not file then return nil, message, code end
  local status, ok
  ok, message, code = signature.guarded(store.of(nil), function() return false end, function()
    local why, reason
    status, why, reason = podman.run("load", "--input", file)
    return status == 0, why, reason
  end)
  return verdict(ok, status, message, code)
end

-- Verbs that are more than a line are loaded when they are called.
local function verb(name)
  return function(...) return require("shipped.runtimes.podman." .. name)(...) end
end

local function part(file, name)
  return function(...) return require("shipped.runtimes.podman." .. file)[name](...) end
end

return {
  api = 1,
  name = "podman",
  about = "Manage podman/oci based flakes",
  type = "ENGINE",
  pilot = "podman-pilot",
  risk = function(flake)
    return require("shipped.runtimes.podman.risk").options(flake.options)
  end,
  commands = {
    pull = {
      about = "Pull a container image from a registry.",
      options = {
        { name = "uri", required = true, about = "Image to pull, as podman pull takes it." },
        PODMAN_USER,
      },
      run = pull,
    },
    load = {
      about = "Load a container image from an archive.",
      options = { { name = "oci", required = true, metavar = "FILE",
        about = "Archive file; if there is none of that name, the highest version of FILE*." },
        PODMAN_USER },
      run = load_image,
    },
    register = {
      about = "Make a command of an application in a container.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake (default: base name of the first --app)." },
        { name = "container", required = true, metavar = "IMAGE", check = cli.image,
          about = "Image of the application." },
        { name = "app", multiple = true, metavar = "PATH", check = cli.absolute_path,
          about = "Absolute path of the command on the host; may be repeated." },
        { name = "target", metavar = "PATH", check = function(value)
          return value == "/" or cli.absolute_path(value)
        end, about = "Program in the image (default: as --app); /: the image's entry point." },
        { name = "base", metavar = "IMAGE",
          about = "Image that --container is a delta over." },
        { name = "layer", multiple = true, metavar = "IMAGE",
          about = "Delta between base and container; may be repeated, lowest first." },
        { name = "check-host-dependencies", flag = true,
          about = "Take files of the host that the image names, also without --base." },
        { name = "include-tar", multiple = true, metavar = "FILE",
          about = "Archive (tar, deb, rpm, ...) to unpack over the image; may be repeated." },
        { name = "include-path", multiple = true, metavar = "PATH",
          about = "File or directory of the host to copy into the image; may be repeated." },
        { name = "opt", multiple = true, dash_values = true, metavar = "OPTION",
          check = cli.not_empty,
          about = "Option for podman run, 'OPTION VALUE'; may be repeated." },
        { name = "resume", flag = true,
          about = "The first call starts an instance, later calls run in it." },
        { name = "attach", flag = true,
          about = "A call while the application runs attaches to it." },
        { name = "run-as", metavar = "USER",
          about = "User to run podman as (default: the caller)." },
        { name = "share", multiple = true, metavar = "WORD,...", words = pilot.share_words,
          about = "Give the application of the caller: " .. table.concat(pilot.share_words, ", ")
            .. "; may be repeated." },
        { name = "desktop", flag = true,
          about = "Export the image's desktop entry of the command, with icons." },
        { name = "man", flag = true, about = "Export the image's man pages of the command." },
        { name = "completion", flag = true,
          about = "Export the image's shell completions of the command." },
        { name = "info", flag = true,
          about = "Print the image's own notes, /IMAGE.yaml, and exit." },
        { name = "force", flag = true,
          about = "Replace a flake that exists; never a foreign file." },
        { name = "user-may-override", flag = true,
          about = "Lets users have an own flake of this name, which then wins." },
        { name = "require-signature", multiple = true, metavar = "FILE",
          about = "Public key (GPG, sigstore, minisign), or policy, that images and bundles need; "
            .. "may be repeated." },
        { name = "archive", multiple = true, metavar = "FILE", check = cli.absolute_path,
          about = "File that holds the image, for where it is missing; as export --package has it."
        },
        ROOT, USER,
      },
      run = verb "register",
    },
    compose = {
      about = "Make the one image of a flake's parts, or load it; launches do it when it is due.",
      options = {
        { name = "name", positional = true, about = "Name of the flake." },
        { name = "force", flag = true, about = "Make it anew, though nothing has changed." },
        { name = "ignore-missing", flag = true,
          about = "Go without files that the image wants and the host has not." },
        { name = "keep-old", flag = true,
          about = "Leave images that are out of date, for the next time to remove." },
        USER,
      },
      run = verb "compose",
    },
    export = {
      about = "Write a flake's image to a file, for another machine.",
      options = {
        { name = "name", positional = true, about = "Name of the flake." },
        { name = "target", positional = true, about = "File or directory, as for mv." },
        { name = "bundle", flag = true,
          about = "One file with image, definition, its .d and includes, for flake-ctl import." },
        { name = "sign", metavar = "KEY",
          about = "Sign it: a file with a minisign key, or what gpg knows a secret key by." },
        { name = "package", flag = true,
          about = "For a package: equal images give equal files; base and layers too." },
        ROOT, USER,
      },
      run = verb "export",
    },
    remove = {
      about = "Remove a flake, or an image with all its flakes.",
      options = {
        { name = "app", metavar = "PATH", check = cli.absolute_path,
          about = "Command whose flake is removed." },
        { name = "container", metavar = "IMAGE", check = cli.image,
          about = "Image to remove with all its flakes." },
        { name = "force", flag = true,
          about = "Remove broken definitions and running instances too." },
        ROOT, USER,
      },
      run = verb "remove",
    },
    stop = {
      about = "End instances: the containers of flakes that run.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake or of one of its commands." },
        { name = "instance", positional = true, optional = true, metavar = "@INSTANCE",
          check = cli.instance, about = "Only this one." },
        { name = "all", flag = true, about = "All instances of all flakes." },
        USER,
      },
      run = verb "stop",
    },
    update = {
      about = "Pull newer images of flakes; the old one stays until the new one works.",
      options = {
        { name = "name", positional = true, optional = true, about = "Name of the flake." },
        { name = "all", flag = true, about = "All flakes." },
        { name = "check", flag = true,
          about = "Only report; exit status 10 if there is something new." },
        FORMAT, USER,
      },
      run = verb "update",
    },
    prepare = {
      about = "Get everything that a flake needs (what its package calls).",
      options = { { name = "name", positional = true, about = "Name of the flake." } },
      run = part("prepare", "prepare"),
    },
    unload = {
      about = "Take away a flake's images, but none that another flake uses (for its package).",
      options = { { name = "name", positional = true, about = "Name of the flake." } },
      run = part("prepare", "unload"),
    },
    show = {
      about = "List containers that flakes have started.",
      options = { FORMAT, PODMAN_USER },
      run = verb "show",
    },
  },
}
