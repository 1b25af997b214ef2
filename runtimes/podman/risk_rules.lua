-- SPDX-License-Identifier: MIT
-- What the values of options of podman run take away from the isolation of a container, but for
-- those that name files of the host (risk_mounts.lua). A rule is a function(add, value) that calls
-- add(level, words).
local risk_words = require "shipped.runtimes.podman.risk_words"

local each, set, FALSE = risk_words.each, risk_words.set, risk_words.FALSE

local RULES = {}

-- Capabilities by which root inside is root of the host, and those that containers have anyhow.
local CAPS_OPEN = set [[ALL SYS_ADMIN SYS_MODULE SYS_RAWIO DAC_READ_SEARCH SYS_BOOT BPF]]
local CAPS_USUAL = set [[CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID
  SETPCAP SETUID SYS_CHROOT]]

-- Disks and memory of the host.
local DEVICES_OPEN = { "^/dev/?$", "^/dev/k?mem$", "^/dev/port$", "^/dev/sd", "^/dev/hd",
  "^/dev/vd", "^/dev/xvd", "^/dev/nvme", "^/dev/mmcblk", "^/dev/dm%-", "^/dev/mapper", "^/dev/md",
  "^/dev/loop", "^/dev/disk", "^/dev/block", "^/dev/sg%d", "^/dev/bsg" }

RULES["cap-add"] = function(add, value)
  for cap in each(value) do
    local name = cap:upper():gsub("^CAP_", "")
    if CAPS_OPEN[name] then
      add("open", ("the capability %s, by which root inside can be root of the host"):format(name))
    elseif not CAPS_USUAL[name] then
      add("weak", ("the capability %s"):format(name))
    end
  end
end

-- A namespace of podman: "host", "container:NAME" or "ns:PATH" is one of others.
local function namespace(host, other)
  return function(add, value)
    if value == "host" then
      add("weak", host)
    elseif value:match("^container:") or value:match("^ns:") then
      add("weak", other:format(value))
    end
  end
end

RULES.pid = namespace("sees all processes of the host, and can end those of its user",
  "shares the processes of %s")
RULES.ipc = namespace("shares memory and message queues with the host's processes",
  "shares memory and message queues with %s")
RULES.uts = namespace("shares the host's name", "shares the name of %s")
RULES.cgroupns = namespace("sees the host's control groups", "shares the control groups of %s")
RULES.userns = namespace(nil, "shares the users of %s")

local NETWORK = namespace("shares the host's network: what listens on loopback only, and as which "
  .. "address others see it", "shares the network of %s")

-- What helpers of rootless networks take to reach the host's loopback.
local LOOPBACK = { "allow_host_loopback=true", "%-%-map%-gw", "%-%-map%-host%-loopback", "%-T",
  "%-U", "%-%-tcp%-ns", "%-%-udp%-ns" }

RULES.network = function(add, value)
  if value == "none" then return add("note", "has no network") end
  NETWORK(add, value)
  local helper = value:match("^slirp4netns:(.*)") or value:match("^pasta:(.*)") or ""
  for _, pattern in ipairs(LOOPBACK) do
    if helper:find(pattern) then
      return add("weak", "reaches what listens on the host's loopback")
    end
  end
end

RULES.cgroups = function(add, value)
  if value == "disabled" then add("weak", "has no limits of its own") end
end

RULES["cgroup-parent"] = function(add, value)
  add("weak", ("has the limits of the control group %s"):format(value))
end

RULES["pids-limit"] = function(add, value)
  if value:match("^%-") or value == "0" then add("weak", "may start processes without limit") end
end

RULES.device = function(add, value)
  for device in each(value) do
    local path, open = device:match("^[^:]+"), false
    for _, pattern in ipairs(DEVICES_OPEN) do open = open or path and path:match(pattern) ~= nil end
    add(open and "open" or "weak", open and ("the device %s: disks or memory of the host")
      :format(path) or ("the device %s"):format(path or device))
  end
end

RULES["device-cgroup-rule"] = function(add, value)
  for rule in each(value) do
    add(rule:match("^%s*[ab]") and "open" or "weak", ("may use devices: %s"):format(rule))
  end
end

RULES.gpus = function(add, value) add("weak", ("the GPUs %s"):format(value)) end

local SECURITY = {
  seccomp = function(value)
    if value == "unconfined" then return "weak", "no filter of system calls" end
    return "weak", ("its filter of system calls is %s"):format(value)
  end,
  apparmor = function(value) return "weak", ("its AppArmor profile is %s"):format(value) end,
  label = function(value) return "weak", ("its SELinux label is set: %s"):format(value) end,
  unmask = function(value) return "weak", ("sees of /proc and /sys: %s"):format(value) end,
  systempaths = function(value) return "weak", ("sees of /proc and /sys: %s"):format(value) end,
  ["proc-opts"] = function(value) return "weak", ("mounts /proc with %s"):format(value) end,
  ["no-new-privileges"] = function(value)
    if FALSE[value] then return "weak", "may raise its rights by set-id programs" end
  end,
  mask = function() end,
}

RULES["security-opt"] = function(add, value)
  local name, rest = value:match("^([%w-]+)[=:]?(.*)$")
  local rule = SECURITY[name]
  if not rule then return add("weak", ("security option %s"):format(value)) end
  local level, words = rule(rest)
  if level then add(level, words) end
end

RULES.sysctl = function(add, value)
  for entry in each(value) do
    if not entry:match("^net%.") then add("weak", ("sets the kernel's %s"):format(entry)) end
  end
end

RULES.annotation = function(add, value)
  for entry in each(value) do
    if entry:match("^run%.oci%.") or entry:match("^io%.podman%.") or entry:match("^io%.crun") then
      add("weak", ("tells the OCI runtime: %s"):format(entry))
    end
  end
end

RULES.secret = function(add, value)
  add("share", ("the secret %s of podman"):format(value:match("^[^,]*")))
end

RULES.env = function(add, value)
  if not value:find("=", 1, true) then
    return add("share", ("the caller's variable %s"):format(value))
  end
  for name in value:gmatch("%%([A-Z_][A-Z0-9_]*)") do
    add("share", ("the caller's variable %s"):format(name))
  end
end

RULES["init-path"] = function(add, value)
  add("weak", ("runs the host's program %s as its process 1"):format(value))
end

RULES.publish = function(add, value)
  for port in each(value) do
    add("share", ("the port %s of the host leads into it"):format(port))
  end
end

RULES["group-add"] = function(add, value)
  for group in each(value) do
    if group == "keep-groups" then add("share", "the groups of the caller") end
  end
end

RULES.pod = function(add, value) add("weak", ("shares the pod %s"):format(value)) end

-- Options with one wording for all their values.
for name, words in pairs {
  ["seccomp-policy"] = "the image decides on its filter of system calls (%s)",
  ["signature-policy"] = "signatures of images are judged by %s, not by the system's policy",
  uidmap = "maps user ids by itself (%s)", gidmap = "maps group ids by itself (%s)",
  subuidname = "has the user ids of %s", subgidname = "has the group ids of %s",
  ["cgroup-conf"] = "sets limits by itself (%s)", personality = "runs as kernel personality %s",
  ["oom-score-adj"] = "is ended late when the host is out of memory (%s)",
  ["cpu-rt-period"] = "real-time share of the CPU (%s)",
  ["cpu-rt-runtime"] = "real-time share of the CPU (%s)",
  ["rdt-class"] = "is in the resource class %s",
} do
  RULES[name] = function(add, value) add("weak", words:format(value)) end
end

for name in pairs(set "preserve-fds preserve-fd") do
  RULES[name] = function(add) add("share", "further open files of the caller") end
end

RULES.creds = function(add) add("weak", "credentials stand in the definition") end

return RULES
