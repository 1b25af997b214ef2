-- SPDX-License-Identifier: MIT
-- Network devices of VMs: a tap on the host, which its owner may use without being root.
local digest = require "flake.digest"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local process = require "flake.process"
local reason = require("flake.text").reason

local M = {}

local IFNAMSIZ = 16 -- netdevice(7), with the NUL at the end

--- The device of a flake. name: as flake.state_name has it.
function M.name(name)
  local plain = "tap-" .. name
  if #plain < IFNAMSIZ and not name:find("[^%w_.-]") then return plain end
  return "tap-" .. digest.sha256(name):sub(1, 11)
end

local function literal(text) return (text:gsub("[^%w]", "%%%0")) end

--- Is it there?
function M.is_there(name)
  -- Not /sys/class/net: that is of the network namespace in which it was mounted.
  return ("\n" .. (fs.read("/proc/net/dev") or "")):find("\n *" .. literal(name) .. ":") ~= nil
end

--- The command lines that make it, for people.
function M.recipe(name, owner)
  return ("ip tuntap add %s mode tap user %s && ip link set %s up"):format(name, owner, name)
end

local function ip(...)
  local path, message, code = e2fs.tool("ip", "iproute2")
  if not path then return nil, message, code end
  local result
  result, message, code = process.run({ path, ... }, { stdin = "null", stdout = "null",
    stderr = "pipe" })
  if not result then return nil, message, code end
  if result.code == 0 then return true end
  return nil, ("ip %s: %s"):format((...), reason(result, "failed")), "ENETWORK"
end

--- Makes it. Returns true, or nil, message, code.
function M.make(name, owner)
  local ok, message, code = ip("tuntap", "add", name, "mode", "tap", "user", owner)
  if not ok then return nil, message, code end
  ok, message, code = ip("link", "set", name, "up")
  if not ok then M.drop(name) end
  return ok, message, code
end

--- Takes it away; that it is gone is fine.
function M.drop(name)
  if not M.is_there(name) then return true end
  return ip("tuntap", "del", name, "mode", "tap")
end

return M
