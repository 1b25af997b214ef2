-- SPDX-License-Identifier: MIT
-- How far flakes are confined: what options do, in every way in which podman takes them.
local Place = require "support.place"

describe("the confinement of a flake", function()
  local place, judge

  setup(function()
    place = Place.new()
    place:stand_in("podman")
    place:ctl("list") -- sets the loader up
    judge = require("shipped.runtimes.podman.risk").options
  end)

  teardown(function() place:close() end)

  -- The worst level of the options: "none" where there is no finding at all.
  local function level_of(...)
    local rank, worst = { note = 1, share = 2, weak = 3, open = 4 }, "none"
    for _, finding in ipairs(judge { ... }) do
      assert.is_string(finding.what)
      if (rank[finding.level]) > (rank[worst] or 0) then worst = finding.level end
    end
    return worst
  end

  local function all_are(level, cases)
    for _, case in ipairs(cases) do
      local entries = type(case) == "table" and case or { case }
      assert.are.equal(level, level_of(table.unpack(entries)), table.concat(entries, " "))
    end
  end

  it("is gone with these", function()
    all_are("open", { "--privileged", "--privileged=true", "\\--privileged", "-v /:/host",
      "-v/:/host", "-v=/:/host", "-itv /:/host", "--volume /:/host:rw", "--volume=//:/host",
      "--volume=/srv/../:/host", "-v /etc:/etc", "-v /etc/cron.d:/c:z", "-v /usr/bin:/x",
      "-v /root/.ssh:/k", "-v /proc:/p", "-v /dev:/dev", "-v /home:/home", "-v /var/lib:/l",
      "-v /run/podman/podman.sock:/s", "-v /var/run/docker.sock:/s:ro", "-v /run:/run:ro",
      "-v /srv/x/containerd.sock:/s", "--mount type=bind,source=/,target=/h",
      "--mount type=bind,src=/etc,dst=/h,ro=false", "--mount=type=bind,src=/,dst=/h,rw",
      "--mount type=glob,src=/*,dst=/h", "--mount src=/etc,dst=/h,type=bind",
      '--mount type=bind,"source=/,x",target=/h',
      "--mount type=volume,dst=/h,volume-opt=device=/", "--cap-add ALL", "--cap-add=all",
      "--cap-add cap_sys_admin", "--cap-add NET_RAW,SYS_MODULE", '--cap-add "SYS_ADMIN"',
      "--device /dev/sda", "--device /dev/null,/dev/mem", "--device=/dev", "--rootfs",
      "--device-cgroup-rule a", "--runtime /tmp/x", "--hooks-dir=/tmp", "--conmon /tmp/x",
      "--cidfile /etc/cron.d/x", "--log-opt path=/etc/x",
      { "--pid host", "--cap-add SYS_PTRACE" }, { "--net host", "--cap-add NET_ADMIN" },
      { "--volume", "/:/host" }, { "--remote --privileged" }, { "--new-option --privileged" } })
  end)

  it("is less with these", function()
    all_are("weak", { "--net host", "--net=host", "--network host", "--network=container:x",
      "--network ns:/run/netns/x", "--network slirp4netns:allow_host_loopback=true",
      "--network pasta:-T,5000", "--pid host", "--pid=container:x", "--ipc host", "--uts=host",
      "--cgroupns host", "--userns container:x", "--cap-add NET_ADMIN", "--cap-add=sys_ptrace",
      "--security-opt seccomp=unconfined", "--security-opt label=disable",
      "--security-opt=apparmor=unconfined", "--security-opt unmask=ALL",
      "--security-opt no-new-privileges=false", "--device /dev/kvm", "--device=/dev/fuse:/dev/fuse",
      "--sysctl kernel.shmmax=1", "--env-host", "--annotation run.oci.keep_original_groups=1",
      "-v /etc:/etc:ro", "-v /:/h:ro", "-v /etc/shadow:/s:ro", "-v /dev/snd:/dev/snd",
      "-v %XDG_RUNTIME_DIR:/r", "-v %WHATEVER:/x", "-v /srv/x:/x:U", "-v /srv/x:/x:rshared",
      "-v /run/dbus/system_bus_socket:/b", "--mount type=bind,src=/etc,dst=/e,readonly",
      "--mount type=bind,src=/srv,dst=/s,bind-propagation=rshared", "--volumes-from x",
      "--env-file /etc/shadow", "--pidfile /srv/x", "--init-path /srv/init", "--pids-limit -1",
      "--oom-kill-disable", "--seccomp-policy image", "--tls-verify=false", "--uidmap 0:0:1",
      "--cgroup-parent x", "--cgroups=disabled", "--signature-policy /x", "--pod x", "--gpus all",
      "--new-option", "--new-option=x", "image", { "--rm", "image", "--read-only" }, "--", "-",
      "%OPTION", "--volume", "--cap-add" })
  end)

  it("is that of the engine, but for what these give", function()
    all_are("share", { "-v %HOME:%HOME", "-v %HOME", "-v /srv/data:/data", "-v /srv/data:/data:ro",
      "-v /usr/share/zoneinfo:/z:ro", "-v ./x:/x", "--mount type=bind,src=/srv,dst=/s",
      "--env TOKEN", "-e TOKEN", "-eTOKEN", "--env A=%TOKEN", "--env=A=b %TOKEN", "-p 80:80",
      "-P", "--publish=127.0.0.1:1:1", "--secret x,type=env", "--group-add keep-groups",
      "--preserve-fds 2", "--env-file /srv/env", { "--env", "--privileged" }, "-e --privileged" })
  end)

  it("is that of the engine with these", function()
    all_are("none", { "-ti", "--rm", "--read-only", "--privileged=false", "--env A=b",
      "-e A=--privileged", "-v data:/data",
      "-v /data", "--mount type=volume,src=data,dst=/d", "--mount type=tmpfs,dst=/t",
      "--mount type=image,src=x,dst=/i", "--cap-drop ALL", "--cap-add CHOWN,cap_kill",
      "--security-opt no-new-privileges", "--security-opt mask=/proc/x", "--network bridge",
      "--network pasta", "--pid private", "--ipc=private", "--userns keep-id", "--tls-verify",
      "--memory 1g", "-m1g", "-c 512", "-h name", "--hostname --privileged", "-u 1000", "-w /x",
      "--label flake=/", "-l a=--pid=host", "--sysctl net.ipv4.ip_forward=1", "--env-host=false",
      "--annotation a=b", "--ulimit nofile=1:1", "--pids-limit 100", "--init", "--restart always" })
    all_are("note", { "--net none" })
  end)

  it("is said by register, option by option", function()
    local function register(...)
      local code, _, err = place:ctl("podman", "register", "--force", "--container", "localhost/i",
        "--app", "/usr/bin/foo", ...)
      assert.are.equal(0, code, err)
      return err
    end
    assert.are.equal("", register("--opt", "--net none", "--opt", "-v %HOME:%HOME"))
    local err = register("--opt", "--privileged", "--opt", "-v /:/host", "--opt", "--net host")
    assert.matches("warning: open: %-%-privileged: no isolation", err)
    assert.matches("warning: open: %-v /:/host: / of the host, writable at /host: all of", err)
    assert.matches("warning: weak: %-%-net host: shares the host's network", err)
    assert.matches("explain %-%-risk foo", err)
    assert.matches("warning: weak: runs as user root", register("--run-as", "root"))
    assert.matches("who calls has a say in what runs as user root",
      register("--run-as", "root", "--opt", "--volume %X:/x"))
  end)

  it("counts where commands are, and which they hide", function()
    local function register(path)
      return select(3, place:ctl("podman", "register", "--force", "--container", "localhost/i",
        "--app", path))
    end
    for _, path in ipairs { "/usr/bin/foo", "/usr/local/sbin/foo", "/opt/x/bin/foo",
      "/opt/x/y/bin/foo" } do
      assert.are.equal("", register(path))
    end
    for _, path in ipairs { "/etc/cron.d/foo", "/usr/bin/sub/foo", "/opt/foo", "/boot/foo" } do
      assert.matches("is in no directory of commands", register(path), 1, true)
    end
    for _, path in ipairs { "/usr/bin/../../etc/cron.d/foo", "/usr//bin/foo", "/opt/../bin/foo",
      "/opt/./bin/foo", "foo", "bin/foo" } do
      assert.is_nil((require("flake.command_dirs").check(path, {})), path)
    end
    place:put("/usr/bin/tool", "a program", 493)
    assert.matches("the command /usr/local/bin/tool hides /usr/bin/tool",
      register("/usr/local/bin/tool"))
    place:put("/usr/local/bin/late", "a program", 493)
    assert.are.equal("", register("/usr/bin/late"))
  end)

  it("is explained", function()
    local function register(...)
      return place:ctl("podman", "register", "--force", "--container", "localhost/i", "--app",
        "/usr/bin/foo", ...)
    end
    register("--opt", "--net host", "--share", "home,locale")
    local code, out = place:ctl("explain", "--risk", "foo")
    assert.are.equal(0, code)
    assert.are.equal([[
foo: less confined than its engine does it by itself
  weak: --net host: shares the host's network: what listens on loopback only, and as which ]]
      .. [[address others see it
  gets: share home: the caller's home directory, writable
  note: share locale: the caller's locale and time zone
]], out)
    code, out = place:ctl("explain", "--risk", "--format", "json", "foo")
    assert.are.equal(0, code)
    local report = require("dkjson").decode(out)
    assert.are.equal("weak", report.confinement)
    assert.are.same({ { path = "/usr/bin/foo", target = "/usr/bin/foo" } }, report.commands)
    assert.are.equal("--net host", report.findings[1].option)
    for level, options in pairs { full = { "--net none" }, shared = { "-p 1:1" },
      none = { "--privileged" } } do
      register("--opt", options[1])
      out = select(2, place:ctl("explain", "--risk", "--format", "json", "foo"))
      assert.are.equal(level, require("dkjson").decode(out).confinement)
    end
    assert.are.equal(2, (place:ctl("explain", "--risk", "foo", "--", "x")))
    assert.are.equal(1, (place:ctl("explain", "--risk", "nothing")))
  end)

  it("is named by the doctor where it is none", function()
    local function doctor(option)
      place:ctl("podman", "register", "--force", "--container", "localhost/i", "--app",
        "/usr/bin/foo", "--opt", option)
      return select(2, place:ctl("doctor", "foo"))
    end
    assert.matches("warning: flake 'foo' is not confined: open: %-%-privileged",
      doctor("--privileged"))
    assert.is_nil(doctor("--net host"):find("confined"))
  end)
end)
