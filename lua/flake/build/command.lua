-- SPDX-License-Identifier: MIT
-- The commands build, build-dpkg and build-rpmbuild: one option table.
local option = require "flake.option"
local output = require "flake.output"

local OPTIONS = {
  { name = "words", positional = true, multiple = true, optional = true, metavar = "VERB",
    about = "which; flake NAME; image ENGINE IMAGE APP; compile LOCATION; about." },
  { name = "from-oci", short = "c", metavar = "IMAGE", about = "Image in podman's store." },
  { name = "from-tar", short = "t", metavar = "FILE", about = "Archive of an image." },
  { name = "from-flake", metavar = "NAME", about = "Flake that exists, as it is." },
  { name = "app", short = "a", alias = "target-app", multiple = true, metavar = "PATH",
    about = "Command on the host; may be repeated." },
  { name = "image", metavar = "NAME", about = "Name of the image in the archive." },
  { name = "output", short = "o", alias = "target", metavar = "DIR", default = ".",
    about = "Where the packages go." },
  { name = "location", short = "l", metavar = "DIR", about = "Where the bundle is assembled." },
  { name = "trust-location", flag = true,
    about = "Take a --location that others can change: what is in it says what runs as you." },
  { name = "dry-run", flag = true, about = "Only assemble the bundle, and list what it installs." },
  { name = "compile", flag = true, about = "Only make the packages of the bundle in --location." },
  { name = "no-image", alias = "skip-export", flag = true,
    about = "Without the image: installing the package pulls it." },
  { name = "ci", flag = true, about = "Never ask: say everything that is missing, and fail." },
  { name = "no-edit", flag = true, about = "Never ask." },
  { name = "keep", flag = true, about = "Keep the bundle in the output directory." },
  { name = "template", metavar = "DIR", about = "Templates that count before the builder's own." },
  { name = "builder", metavar = "NAME", about = "Builder to use (default: see which)." },
  { name = "engine", metavar = "NAME", about = "Engine of --from-oci (default: podman)." },
  { name = "show-options", flag = true, about = "Show each package option and where it is from." },
  { name = "format", default = "table", choices = output.formats,
    about = "Output format of --show-options." },
  { name = "register-arg", multiple = true, dash_values = true, metavar = "ARGUMENT",
    about = "Argument for register; the same as behind --." },
}

-- Their checks say all at once what is wrong (flake.build.request).
for _, one in ipairs(option.package) do
  table.insert(OPTIONS, { name = one.name, metavar = "TEXT", about = one.about })
end

-- --target_app is --target-app, and what stands behind -- is for register.
local function rewrite(args)
  local out = {}
  for i, arg in ipairs(args) do
    if arg == "--" then
      for j = i + 1, #args do table.insert(out, "--register-arg=" .. args[j]) end
      break
    end
    local name, rest = arg:match("^(%-%-[%w_-]+)(.*)$")
    table.insert(out, name and (rest == "" or rest:sub(1, 1) == "=")
      and name:gsub("_", "-") .. rest or arg)
  end
  return out
end

--- A command that builds packages. builder: the one that it uses, or nil.
return function(about, builder)
  local command = { api = 1, about = about, type = "PACKAGER", options = OPTIONS,
    rewrite = rewrite }
  function command.run(opts, ctx)
    return require("flake.build").run(command, opts, ctx, builder)
  end
  return command
end
