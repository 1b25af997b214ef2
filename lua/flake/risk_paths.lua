-- SPDX-License-Identifier: MIT
-- What a file or directory of the host is worth to an application that gets it.
local fs = require "flake.fs"

local M = {}

local function set(words)
  local found = {}
  for word in words:gmatch("%S+") do found[word] = true end
  return found
end

-- Who reaches one of these starts programs of his own as root of the host (or as its owner).
local ENGINES = set [[docker.sock podman.sock containerd.sock containerd.sock.ttrpc crio.sock
  cri-dockerd.sock dockershim.sock buildkitd.sock libvirt-sock libvirt-admin-sock snapd.socket
  snapd-snap.socket unix.socket]]
local BUSES = set [[/run/dbus /run/dbus/system_bus_socket /run/systemd /run/systemd/private]]

-- Directories with what the host runs or believes, and whole trees with such below them.
local SYSTEM = { "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot",
  "/root", "/proc", "/sys", "/var/spool/cron", "/var/lib/containers", "/var/lib/docker",
  "/var/lib/flatpak", "/var/lib/systemd", "/var/lib/dpkg", "/var/lib/rpm", "/nix", "/gnu" }
local WHOLE = set "/ /var /var/lib /var/spool /opt /home /run /dev /media /mnt /export"
local SECRET = { "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/ssl/private", "/etc/sudoers",
  "/etc/sudoers.d", "/root", "/proc", "/sys/kernel", "/var/lib/containers", "/var/lib/docker" }

-- Without //, . and .., and with the name that /run has now.
local function clean(path)
  local kept = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then table.remove(kept) elseif part ~= "." then table.insert(kept, part) end
  end
  return (("/" .. table.concat(kept, "/")):gsub("^/var/run%f[/\0]", "/run"))
end

local function is_below(path, dirs)
  for _, dir in ipairs(dirs) do
    if path == dir or path:sub(1, #dir + 1) == dir .. "/" then return true end
  end
  return false
end

local function holds_any(path, dirs)
  for _, dir in ipairs(dirs) do
    if dir:sub(1, #path + 1) == path .. "/" then return true end
  end
  return false
end

local function judge(path, writable)
  local base = path:match("([^/]*)$")
  if ENGINES[base] then
    return "open", "the socket of an engine: who reaches it is its master, on the host"
  end
  if path == "/" then
    return writable and "open" or "weak", writable and "all of the host" or "all files of the host"
  end
  if path == "/run" then return "open", "the sockets of the host's services" end
  if BUSES[path] or path:match("^/run/user/%d+/bus$") then
    return "weak", "the bus of the host's services"
  end
  if path:match("^/run/user/%d+$") then return "weak", "the sockets of a user's session" end
  if path:match("^/dev/.") then return "weak", "a device" end
  if writable and (WHOLE[path] or is_below(path, SYSTEM)) then
    return "open", "what the host itself runs or believes"
  end
  if WHOLE[path] or is_below(path, SECRET) or holds_any(path, SECRET) then
    return "weak", "what may be secret"
  end
  return "share"
end

local RANK = { share = 1, weak = 2, open = 3 }

--- How much of the host's isolation a path takes away: "share", "weak" or "open", and words for it
-- or nil. The path counts as it is written, and where it leads.
function M.judge(path, writable)
  local level, words = judge(clean(path), writable)
  local real = fs.realpath(path)
  if real and real ~= path then
    local other, more = judge(clean(real), writable)
    if RANK[other] > RANK[level] then return other, more end
  end
  return level, words
end

return M
