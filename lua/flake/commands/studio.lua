-- SPDX-License-Identifier: MIT
-- flake-studio, or flake-ctl studio: projects that become packages.
local option = require "flake.option"

local NAME = { name = "name", positional = true,
  about = "Name of the project: of its package, its command and its directory." }

-- The package options but those in `without`, as words of a command line; flake.option checks them.
local function with_package(options, without)
  for _, one in ipairs(option.package) do
    if one.name ~= without then
      table.insert(options, { name = one.name, metavar = "TEXT", about = one.about })
    end
  end
  return options
end

local function verb(name)
  return function(...) return require("flake.studio")[name](...) end
end

return {
  api = 1,
  about = "Make packages of applications in projects",
  type = "TOOL",
  program = "flake-studio",
  commands = {
    new = {
      about = "Make a project in a directory of its name.",
      options = with_package({ NAME }, "name"),
      run = verb "new",
    },
    init = {
      about = "Make a project of the current directory; what is there stays as it is.",
      options = with_package {},
      run = verb "init",
    },
    build = {
      about = "Make the image and the packages, as far as something has changed.",
      options = {
        { name = "keep", flag = true, about = "Keep the image in podman's store." },
        { name = "format", metavar = "BUILDER",
          about = "dpkg, rpmbuild or another builder (default: see flake-ctl build which)." },
      },
      run = verb "build",
    },
    clean = {
      about = "Remove what build has made: out/ and .staging/.",
      options = {},
      run = verb "clean",
    },
  },
}
