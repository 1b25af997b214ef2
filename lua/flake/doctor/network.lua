-- SPDX-License-Identifier: MIT
-- What containers need for a network of their own. Each check calls add(severity, what, remedy).
local config = require "flake.doctor.config"
local e2fs = require "flake.e2fs"
local fs = require "flake.fs"
local version_less = require("flake.image").version_less
local process = require "flake.process"

local M = {}

local TUN = "/dev/net/tun"
local NEEDED = "flakes with a network of their own do not start"

-- The programs with which netavark sets up a firewall, and their packages.
local FIREWALLS = { nftables = { "nft", "nftables" }, iptables = { "iptables", "iptables" } }

-- The firewall of root's networks: nil if none of ours.
local function firewall(info)
  local default = "iptables"
  if info.netavark and not version_less(info.netavark, "1.14") then default = "nftables" end
  return process.getenv("NETAVARK_FW") or config.value("firewall_driver") or default
end

--- Root's containers: netavark and what it runs.
function M.bridge(add, info)
  if info.backend ~= "netavark" then return end
  local driver = firewall(info)
  local program, package = table.unpack(FIREWALLS[driver] or {})
  if program and not e2fs.tool(program) then
    add("serious", ("%s is missing, which netavark uses for its firewall (%s): %s")
      :format(program, driver, NEEDED), "install the package " .. package)
  end
end

-- The program that gives a user's containers a network.
local function rootless_program(info)
  if info.rootless_cmd then return info.rootless_cmd end
  local configured = config.value("default_rootless_network_cmd")
  return configured or version_less(info.version, "5") and "slirp4netns" or "pasta"
end

--- A user's containers. tun: the device.
function M.rootless(add, info, tun)
  if not info.version then return end
  tun = tun or TUN
  local program = rootless_program(info)
  if not info.executables[program] and not process.which(program) then
    add("serious", ("%s is missing: %s"):format(program, NEEDED),
      "install the package " .. (program == "pasta" and "passt" or program))
  end
  if not fs.stat(tun) then
    add("warning", ("%s is missing: %s"):format(tun, NEEDED), "as root: modprobe tun")
  elseif not fs.access(tun, "rw") then
    add("warning", ("you may not use %s: %s"):format(tun, NEEDED), "as root: chmod 666 " .. tun)
  end
end

return M
