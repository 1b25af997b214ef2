-- SPDX-License-Identifier: MIT
-- What options of podman run (podman-run(1), 4.3 to 5.8) do to the isolation of a container.
local pilot = require "flake.pilot"
local mounts = require "shipped.runtimes.podman.risk_mounts"
local rules = require "shipped.runtimes.podman.risk_rules"
local risk_words = require "shipped.runtimes.podman.risk_words"

local each, set, FALSE = risk_words.each, risk_words.set, risk_words.FALSE

local M = {}

-- Options that take nothing away from the isolation, whatever their value.
local HARMLESS = set [[add-host arch attach blkio-weight blkio-weight-device cap-drop chrootdirs
  cpu-period cpu-quota cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys device-read-bps
  device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-option
  dns-search entrypoint env-merge expose group-entry health-cmd health-interval health-max-log-count
  health-max-log-size health-on-failure health-retries health-start-period health-startup-cmd
  health-startup-interval health-startup-retries health-startup-success health-startup-timeout
  health-timeout help hostname hostuser http-proxy image-volume init interactive ip ip6 label
  link-local-ip log-driver log-level mac-address memory memory-reservation memory-swap
  memory-swappiness name network-alias no-healthcheck no-hostname no-hosts noout os passwd
  passwd-entry platform pull quiet read-only read-only-tmpfs requires restart retry retry-delay rm
  rmi sdnotify shm-size shm-size-systemd sig-proxy stop-signal stop-timeout syslog systemd timeout
  tmpfs trace tty tz ulimit umask unsetenv unsetenv-all user variant workdir]]

-- Options of podman itself, which it takes behind "run" as well: programs and stores of the host.
local ENGINE = set [[cgroup-manager config conmon connection cpu-profile db-backend
  default-mounts-file docker-config events-backend hooks-dir identity imagestore max-workers
  memory-profile module namespace network-cmd-path network-config-dir out pull-option
  registries-conf registries-conf-dir remote root runroot runtime runtime-flag ssh storage-driver
  storage-opt tls-ca tls-cert tls-key tmpdir transient-store url volumepath]]

-- Switches that weaken, or do so when they are off: level and words.
local FLAGS = {
  privileged = { "open", "no isolation: all capabilities, all devices, no filter of system calls" },
  rootfs = { "open", "runs a directory of the host, not an image" },
  ["env-host"] = { "weak", "all variables of the caller" },
  ["oom-kill-disable"] = { "weak", "is not ended when the host is out of memory" },
  ["publish-all"] = { "share", "ports of the host lead into it" },
  replace = { "weak", "removes the container that has its name" },
  ["tls-verify"] = { "weak", "its image comes over connections that anybody on the way can change",
    off = true },
}

local function rule_of(name)
  return rules[name] or mounts[name]
end

local function judge_option(add, option)
  local name, value = option.name, option.value
  if not name then
    return add("weak", "this is no option: podman takes it for the image to run")
  end
  local flag = FLAGS[name]
  if flag then return (FALSE[value] or false) == (flag.off or false) and add(flag[1], flag[2]) end
  if HARMLESS[name] then return end
  if ENGINE[name] then
    return add("open", "changes podman itself: which programs of the host it starts, or its store")
  end
  local rule = rule_of(name)
  if not rule then return add("weak", "is not known here: it may weaken the isolation") end
  if not value then return add("weak", "lacks its value: podman takes the next word for it") end
  rule(add, value)
end

-- A value that begins like an option is one where podman knows the option in front as a switch.
local function hidden_in(option)
  local apart = option.value and option.text:sub(-#option.value - 1) == " " .. option.value
  local known = option.name and (HARMLESS[option.name] or rule_of(option.name))
  return apart and not known and option.value:sub(1, 1) == "-" and option.value or nil
end

-- What together is more than each alone.
local function judge_together(add, seen)
  if seen["pid=host"] and seen.SYS_PTRACE then
    add("open", "with --pid host, SYS_PTRACE makes it any process of the host")
  end
  if seen["network=host"] and seen.NET_ADMIN then
    add("open", "with --network host, NET_ADMIN makes it master of the host's network")
  end
end

local function note_seen(seen, option)
  if option.name == "cap-add" and option.value then
    for cap in each(option.value) do seen[cap:upper():gsub("^CAP_", "")] = true end
  end
  seen[("%s=%s"):format(option.name, option.value)] = true
end

--- Judges the options of a definition, as they are written. Returns an array of findings
-- {level="note"|"share"|"weak"|"open", option=text, what=words}.
function M.options(entries)
  local findings, seen = {}, {}
  local function judge(list)
    for _, option in ipairs(list) do
      local function add(level, what)
        if what then
          table.insert(findings, { level = level, option = option.text, what = what })
        end
      end
      judge_option(add, option)
      note_seen(seen, option)
      local hidden = hidden_in(option)
      if hidden then judge(pilot.podman_options { hidden }) end
    end
  end
  judge(pilot.podman_options(entries))
  judge_together(function(level, what)
    table.insert(findings, { level = level, what = what })
  end, seen)
  return findings
end

--- Is a word of podman's known here? For tests against the podman that is installed.
function M.knows(name)
  return (HARMLESS[name] or ENGINE[name] or FLAGS[name] or rule_of(name)) ~= nil
end

return M
