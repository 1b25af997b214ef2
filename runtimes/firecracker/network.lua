-- SPDX-License-Identifier: MIT
-- The network device of a flake that Firecracker runs. QEMU needs none.
local fs = require "flake.fs"
local process = require "flake.process"
local tap = require "flake.tap"
local vm = require "flake.vm"
local engine = require "shipped.runtimes.firecracker.engine"

local M = {}

-- Whose VM attaches to it: the user that the flake runs as, or whoever is behind sudo.
local function owner_of(opts)
  if opts.run_as then return opts.run_as end
  local caller = tonumber(process.getenv("SUDO_UID") or "")
  local user = fs.user(caller or fs.getuid())
  return user and user.name or "root"
end

local function is_wanted(opts)
  if opts.no_net then return false end
  if opts.root then return opts.engine == "firecracker" end
  return engine.choose(opts.engine, opts.host) == "firecracker"
end

--- What a flake needs: {name=, owner=, make=bool, made=is or will be ours}, or nil.
-- opts: of register, with host; old: the flake that is replaced, or nil.
function M.plan(opts, name, old)
  if not is_wanted(opts) then return nil end
  local link = { name = tap.name((opts.user and "~" or "") .. name), owner = owner_of(opts),
    run_as = opts.run_as }
  if opts.root then return link end
  local there = tap.is_there(link.name)
  link.make = not there and fs.geteuid() == 0
  link.made = link.make or there and M.made_by(old) == link.name or nil
  link.missing = not there and not link.make
  return link
end

--- The device that was made for a flake, or nil.
function M.made_by(flake)
  return flake and vm.settings(flake).tap_made and vm.settings(flake).tap
end

--- Makes it where that is planned. Returns true, or nil, message, code.
function M.make(link)
  if not link or not link.make then return true end
  local ok, message, code = tap.make(link.name, link.owner)
  link.done = ok
  return ok, message, code
end

--- The device of a flake that was replaced, and whose VMs have ended, may be another user's.
-- old: that flake. Returns true, or nil, message, code.
function M.renew(link, old)
  if not link or not link.made or link.done or old.user == link.run_as then return true end
  local ok, message, code = tap.drop(link.name)
  if ok then ok, message, code = tap.make(link.name, link.owner) end
  return ok, message, code
end

--- Takes away what make has made.
function M.undo(link)
  if link and link.done then tap.drop(link.name) end
end

--- What an admin has to do, or nil.
function M.remark(link)
  if not link or not link.missing then return nil end
  return ("there is no network device %s for the VM; as root: %s"):format(link.name,
    tap.recipe(link.name, link.owner))
end

return M
