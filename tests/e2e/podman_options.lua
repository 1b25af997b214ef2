-- SPDX-License-Identifier: MIT
-- podman_options.lua HELP: do we read every option that `podman run --help` lists as podman does,
-- and does the risk of a flake know it? Prints those of which not; exit status 1 then.
local here = assert(os.getenv("PWD"))
package.path, package.cpath = "lua/?.lua;" .. package.path, "build/?.so;" .. package.cpath
require("flake.loader").setup { share = here, lib = here .. "/build", bindir = "/usr/bin",
  prefix_root = "" }
local pilot = require "flake.pilot"
local risk = require "shipped.runtimes.podman.risk"

local bad, seen = 0, 0

local function expect(ok, what, name)
  if ok then return end
  print(("--%s: %s"):format(name, what))
  bad = bad + 1
end

for line in io.lines(arg[1]) do
  local letter, name, rest = line:match("^%s+%-?(%a?),?%s+%-%-([%w-]+)(.*)$")
  if name and name ~= "help" then
    local takes = rest:match("^ [^%s]") ~= nil
    local first, second = table.unpack(pilot.podman_options { "--" .. name, "--privileged" })
    seen = seen + 1
    expect(risk.knows(name), "its risk is not known", name)
    expect((first.value ~= nil) == takes, takes and "takes a value" or "takes no value", name)
    expect((second ~= nil) == not takes, "hides the next option", name)
    if letter ~= "" then
      expect(pilot.podman_options({ "-" .. letter, "x" })[1].name == name, "is not -" .. letter,
        name)
    end
  end
end
expect(seen > 90, ("only %d options in %s"):format(seen, arg[1]), "help")
os.exit(bad == 0 and 0 or 1)
