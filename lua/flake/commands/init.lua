-- SPDX-License-Identifier: MIT
-- flake-ctl init: the directories of the system's flakes, or of the caller's own.
local doctor = require "flake.doctor"
local fs = require "flake.fs"
local loader = require "flake.loader"
local output = require "flake.output"
local quote = require("flake.text").quote
local registry = require "flake.registry"
local state = require "flake.doctor.state"

local SITE = { "", "/hooks", "/hooks/register.d", "/hooks/launch.d", "/hooks/exit.d",
  "/hooks/remove.d" }
local OWN = { "/flakes", "/runtimes", "/commands", "/lua", table.unpack(SITE, 2) }
local DIR, PRIVATE, STICKY = 493, 448, 1023 -- 0755 0700 01777

-- /run is empty after a boot.
local TMPFILES = "# Made by flake-ctl init: see tmpfiles.d(5).\nd /run/flakes 1777 root root -\n"
local README = [[
Your own flakes and what they may bring along; made by flake-ctl init --user.

flakes/                definitions, NAME.yaml and NAME.d/: see flake.yaml(5)
hooks/{register,launch,exit,remove}.d/*.lua
                       run for your own flakes only: see flake-launch(8)
runtimes/ commands/ lua/
                       drivers, commands and modules that win over the site's and the shipped
                       ones when you call flake-ctl
]]

-- What assert does, but without the place in this file.
local function must(value, message)
  if not value then error(message, 0) end
  return value
end

-- Gives a directory of ours its mode and, as root, its owner.
local function repair(report, path, mode)
  local want = mode == STICKY and STICKY or must(fs.stat(path)).mode & DIR | PRIVATE
  local changed, message = fs.take_dir(path, want)
  if changed == nil then error(message, 0) end
  if changed then table.insert(report.repaired, path) end
end

local function ensure(report, path, mode, force)
  local st = fs.stat(path)
  if st and st.type ~= "directory" then
    error(("%s is a %s, no directory"):format(path, st.type), 0)
  end
  if st then
    if force then repair(report, path, mode) end
    return
  end
  local parent = path:match("^(.*)/")
  must(fs.mkdir_p(parent))
  must(fs.mkdir(path, mode))
  must(fs.chmod(path, mode))
  report.made[path] = true
  if not report.made[parent] then table.insert(report.made, path) end
end

-- Definitions, fragments and Lua that others can write are refused. What belongs to others may be
-- anything by now: somebody has to look at it.
local function repair_all(report, dir)
  local repaired, foreign = fs.tighten(dir)
  for _, entry in ipairs(must(repaired, foreign)) do table.insert(report.repaired, entry.path) end
  table.move(foreign, 1, #foreign, #report.foreign + 1, report.foreign)
end

local function write_template(report, path, text, force)
  local there = fs.stat(path)
  if there and not force then return end
  must(fs.write(path, text))
  if there then table.insert(report.repaired, path) end
end

local function init_user(report, root, force)
  local bin = root:gsub("/%.flakes$", "") .. "/.local/bin"
  local st = fs.stat(root)
  if st and st.uid ~= fs.geteuid() then
    error(("%s belongs to user %d; as root: chown -R %s: %s"):format(root, st.uid,
      quote(fs.user(fs.geteuid()).name), quote(root)), 0)
  end
  ensure(report, root, PRIVATE, force)
  for _, dir in ipairs(OWN) do ensure(report, root .. dir, DIR, force) end
  ensure(report, bin, DIR, false)
  write_template(report, root .. "/README", README, force)
  if force then repair_all(report, root) end
  return bin
end

-- What somebody else made in the place of a user's state was never used: nobody trusts it.
local function remove_foreign(report)
  for _, entry in ipairs(state.foreign()) do
    must(fs.remove_tree(entry.path))
    table.insert(report.removed, entry.path)
  end
end

local function init_system(report, force)
  local prefix, flakes = registry.prefix({}), registry.dir({})
  ensure(report, flakes, DIR, force)
  for _, dir in ipairs(SITE) do ensure(report, prefix .. "/etc/flakes" .. dir, DIR, force) end
  ensure(report, prefix .. "/run/flakes", STICKY, force)
  if fs.stat(prefix .. "/etc/tmpfiles.d") then
    write_template(report, prefix .. "/etc/tmpfiles.d/flake-pilot.conf", TMPFILES, force)
  end
  if force then
    repair_all(report, flakes)
    repair_all(report, prefix .. "/etc/flakes")
    remove_foreign(report)
  end
  return "/usr/bin"
end

local function print_report(out, report, bin, user)
  for _, path in ipairs(report.made) do out:write("made ", path, "\n") end
  for _, path in ipairs(report.repaired) do out:write("repaired ", path, "\n") end
  for _, path in ipairs(report.removed) do out:write("removed ", path, "\n") end
  for _, entry in ipairs(report.foreign) do
    out:write(("left %s: it belongs to user %d; look at it, then make it yours or remove it\n")
      :format(output.printable(entry.path), entry.owner))
  end
  if #report.made + #report.repaired + #report.removed + #report.foreign == 0 then
    out:write("everything is there already\n")
  end
  out:write("next: flake-ctl podman pull --uri IMAGE\n",
    ("      flake-ctl podman register%s --container IMAGE --app %s/NAME\n")
      :format(user and " --user" or "", bin))
end

local function run(opts, ctx)
  local report = { made = {}, repaired = {}, removed = {}, foreign = {} }
  local bin
  if opts.user then
    local dir, message, code = registry.dir(opts)
    if not dir then return nil, message, code end
    bin = init_user(report, loader.user_root(), opts.force)
  elseif fs.geteuid() ~= 0 then
    return nil, "only root can make the system's directories: flake-ctl init --user makes yours",
      "EUSAGE"
  else
    bin = init_system(report, opts.force)
  end
  print_report(ctx.out, report, bin, opts.user)
  local findings = doctor.needs()
  doctor.print(findings, ctx.out)
  return doctor.is_serious(findings) and 1 or 0
end

return {
  api = 1,
  about = "Make the directories of flakes, and name what is missing for them.",
  type = "TOOL",
  options = {
    { name = "user", flag = true, about = "The caller's own, for rootless podman." },
    { name = "force", flag = true,
      about = "Repair modes and owners, write the templates anew; removes no definition." },
  },
  run = run,
}
