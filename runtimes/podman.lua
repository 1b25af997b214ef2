-- SPDX-License-Identifier: MIT
-- Driver of podman: OCI containers as commands. What the verbs take is here, what they do in
-- runtimes/podman/VERB.lua.
local cli = require "flake.cli"
local image = require "flake.image"
local output = require "flake.output"
local podman = require "flake.podman"

local ROOT = { name = "root", metavar = "DIR", check = cli.absolute_path,
  about = "Fake root for definitions and command links." }
local USER = { name = "user", flag = true, about = "The caller's own flakes, not the system's." }
local FORMAT = { name = "format", default = "table", choices = output.formats,
  about = "Output format." }

local function pull(opts)
  return podman.run("pull", opts.uri)
end

local function load_image(opts)
  local file, message, code = image.newest_file(opts.oci)
  if not file then return nil, message, code end
  return podman.run("load", "--input", file)
end

-- Verbs that are more than a line are loaded when they are called.
local function verb(name)
  return function(...) return require("shipped.runtimes.podman." .. name)(...) end
end

return {
  api = 1,
  name = "podman",
  about = "Manage podman/oci based flakes",
  type = "ENGINE",
  pilot = "podman-pilot",
  commands = {
    pull = {
      about = "Pull a container image from a registry.",
      options = {
        { name = "uri", required = true, about = "Image to pull, as podman pull takes it." },
      },
      run = pull,
    },
    load = {
      about = "Load a container image from an archive.",
      options = { { name = "oci", required = true, metavar = "FILE",
        about = "Archive file; if there is none of that name, the highest version of FILE*." } },
      run = load_image,
    },
    register = {
      about = "Make a command of an application in a container.",
      options = {
        { name = "name", positional = true, optional = true,
          about = "Name of the flake (default: base name of the first --app)." },
        { name = "container", required = true, metavar = "IMAGE",
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
          about = "Option for podman run, 'OPTION VALUE'; may be repeated." },
        { name = "run-as", metavar = "USER",
          about = "User to run podman as (default: the caller)." },
        { name = "info", flag = true,
          about = "Print the image's own notes, /IMAGE.yaml, and exit." },
        { name = "force", flag = true,
          about = "Replace a flake that exists; never a foreign file." },
        ROOT, USER,
      },
      run = verb "register",
    },
    compose = {
      about = "Make the one image of a flake that is made of several (launches do it when needed).",
      options = {
        { name = "name", positional = true, about = "Name of the flake." },
        { name = "force", flag = true, about = "Make it anew, though nothing has changed." },
        { name = "ignore-missing", flag = true,
          about = "Go without files that the image wants and the host has not." },
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
        ROOT, USER,
      },
      run = verb "export",
    },
    remove = {
      about = "Remove a flake, or an image with all its flakes.",
      options = {
        { name = "app", metavar = "PATH", check = cli.absolute_path,
          about = "Command whose flake is removed." },
        { name = "container", metavar = "IMAGE", about = "Image to remove with all its flakes." },
        { name = "force", flag = true, about = "Remove broken definitions too." },
        ROOT, USER,
      },
      run = verb "remove",
    },
    show = {
      about = "List containers that flakes have started.",
      options = { FORMAT },
      run = verb "show",
    },
  },
}
