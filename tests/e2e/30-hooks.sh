# The shipped examples of hooks, overrides and a custom runtime, installed as an admin would.
# shellcheck shell=bash
install_example() { mkdir -p "/etc/flakes/$(dirname "$1")" && cp "doc/examples/$1" "/etc/flakes/$1"; }
flake fsh /bin/sh

run fsh -c 'echo plain'
check "without hooks it runs" out_is plain

install_example hooks/launch.d/audit.lua
run fsh -c 'echo audited; exit 5'
check "with a launch hook it still runs" out_is audited
check "and keeps the exit code" rc_is 5
check "the audit log has the call" grep -q "uid=0 flake=fsh image=$IMAGE args=\"-c\" \"echo audited; exit 5\"" /var/log/flakes.log
check "explain names the hook" bash -c "flake-ctl explain fsh | grep -q /etc/flakes/hooks/launch.d/audit.lua"
rm -f /etc/flakes/hooks/launch.d/* /var/log/flakes.log

cat >/etc/flakes/hooks/launch.d/change.lua <<'LUA'
return function(event)
  event.env.FROM_HOOK = "yes indeed"
  table.insert(event.args, "added")
end
LUA
run fsh -c 'echo "$FROM_HOOK $0"'
check "a hook changes arguments and environment" out_is "yes indeed added"
echo 'return function() flake.deny("not on Tuesdays") end' >/etc/flakes/hooks/launch.d/change.lua
run fsh -c 'echo no'
check "a hook that denies stops the launch with 126" rc_is 126
check "and says why and where" err_has "change.lua: not on Tuesdays"
echo 'return function() local x = nil; return x.y end' >/etc/flakes/hooks/launch.d/change.lua
run fsh -c 'echo no'
check "a hook that fails stops it too" rc_is 126
check "with file and line" err_has "change.lua:1:"
chmod 666 /etc/flakes/hooks/launch.d/change.lua
run fsh -c 'echo no'
check "root runs no hook that others can write" err_has "others can write"
rm -f /etc/flakes/hooks/launch.d/*

mkdir -p /etc/flakes/hooks/exit.d
cat >/etc/flakes/hooks/exit.d/note.lua <<LUA
return function(event)
  local f <close> = assert(io.open("$T/exit-note", "w"))
  f:write(event.flake, " ", event.status, " ", event.seconds > 0 and event.usage.max_rss > 0 and "measured" or "")
end
LUA
run fsh -c 'exit 9'
check "an exit hook leaves the status" rc_is 9
check "and sees it" [ "$(cat "$T/exit-note")" = "fsh 9 measured" ]
fsh -c 'trap "exit 3" TERM; echo ready; while :; do sleep 0.1; done' </dev/null >"$out" 2>"$err" & pid=$!
wait_for has_line ready "$out"
kill -TERM $pid; rc=0; wait $pid || rc=$?
check "signals pass through flake-launch" rc_is 3
rm -rf /etc/flakes/hooks

# Hooks that a user cannot see must not be passed over.
useradd -m tester 2>/dev/null
chmod 755 "$T"
(umask 077 && mkdir -p /etc/flakes/hooks/launch.d)
echo 'return function() flake.deny("nobody may") end' >/etc/flakes/hooks/launch.d/deny.lua
run runuser -u tester -- fsh -c 'echo no'
check "a hook directory that a user cannot read stops the launch" rc_is 126
check "with the reason" err_has "cannot look for hooks in /etc/flakes/hooks/launch.d: permission denied"
run runuser -u tester -- flake-ctl explain fsh
check "explain says so too" err_has "cannot look for hooks"
chmod -R go+rX /etc/flakes
run runuser -u tester -- fsh -c 'echo no'
check "a hook that he can read denies" err_has "nobody may"
rm -rf /etc/flakes/hooks

# Another user's process gets no secret of the caller, with and without exit hooks.
echo 'Defaults env_keep += "SECRET_TOKEN"' >/etc/sudoers.d/keep
printf '#!/bin/sh\nexec env\n' >/usr/local/sbin/podman
chmod 755 /usr/local/sbin/podman
printf 'container: {name: %s, runtime: {runas: tester}}\n' "$IMAGE" >/usr/share/flakes/fenvof.yaml
ln -s /usr/bin/podman-pilot /usr/bin/fenvof
SECRET_TOKEN=x run fenvof
check "runas gives a minimal environment" bash -c "grep -q ^USER=tester '$out' && ! grep -q SECRET '$out'"
mkdir -p /etc/flakes/hooks/exit.d
echo 'return function() end' >/etc/flakes/hooks/exit.d/nothing.lua
SECRET_TOKEN=x run fenvof
check "and so with an exit hook" bash -c "grep -q ^USER=tester '$out' && ! grep -q SECRET '$out'"
rm -rf /etc/flakes/hooks /etc/sudoers.d/keep /usr/local/sbin/podman /usr/bin/fenvof /usr/share/flakes/fenvof.*

ln -s /usr/bin/fsh /usr/local/bin/fsh2
run /usr/local/bin/fsh2 -c 'echo linked'
check "a link to a flake's command is that command" out_is linked
run fsh2 -c 'echo linked'
check "also when it is found through PATH" out_is linked
mkdir -p /etc/flakes/hooks/launch.d
echo 'return function(event) event.env.HOOKED = "hooked" end' >/etc/flakes/hooks/launch.d/env.lua
run fsh2 -c 'echo $HOOKED'
check "and with hooks" out_is hooked
PILOT_DEBUG=1 run fsh -c true
check "PILOT_DEBUG shows the command with hooks as well" err_has "+ podman run"
rm -rf /etc/flakes/hooks /usr/local/bin/fsh2

echo 'return function(event) event.env.OWN = "fsh" end' >/usr/share/flakes/fsh.d/launch.lua
run fsh -c 'echo $OWN'
check "a hook of one flake" out_is fsh
rm /usr/share/flakes/fsh.d/launch.lua

install_example hooks/register.d/allowlist.lua
echo 'localhost/.*' >/etc/flakes/allowed-images
run flake-ctl podman register --container docker.io/evil --app /usr/bin/evil
check "the allow-list denies" rc_is 1
check "it says so" err_has "not on the list of allowed images"
check "nothing was written" [ ! -e /usr/share/flakes/evil.yaml ]
run flake-ctl podman register --container localhost/good --app /usr/bin/good --force
check "the allow-list allows" rc_is 0
flake-ctl podman remove --app /usr/bin/good
rm -rf /etc/flakes/hooks

install_example runtimes/podman.lua
run flake-ctl podman register --container "$IMAGE" --app /usr/bin/capless --target /bin/true --opt "--net none"
check "the replaced driver registers" rc_is 0
check "it adds its default option" grep -q -- '--cap-drop all' /usr/share/flakes/capless.yaml
sed -i 's/return podman/podman.api = 99 return podman/' /etc/flakes/runtimes/podman.lua
run flake-ctl podman show
check "another api is refused" rc_is 1
check "with file and both numbers" err_has "/etc/flakes/runtimes/podman.lua: written for api 99, this is api 1"
echo 'return {' >/etc/flakes/runtimes/podman.lua
run flake-ctl podman show
check "a broken override never falls through" rc_is 1
rm /etc/flakes/runtimes/podman.lua

install_example runtimes/bwrap.lua
mkdir -p "$T/box"
cp -r "$T/tree/." "$T/box"
run flake-ctl bwrap register --folder "$T/box" --app /usr/bin/boxed --target /bin/sh
check "the custom runtime registers" rc_is 0
run flake-ctl help
check "help lists it as an engine" bash -c "sed -n '/^Engines:/,/^$/p' '$out' | grep -q bwrap"
run flake-ctl explain boxed -- a b
check "explain shows what its driver would run" out_has "bwrap --bind $T/box /"
if bwrap --bind / / true 2>/dev/null; then
	run boxed -c 'echo "in the box: $1"; exit 6' sh 'a  b'
	check "the custom runtime launches" out_is "in the box: a  b"
	check "with the app's exit code" rc_is 6
else
	skip "launch by bubblewrap" "bwrap cannot make namespaces on this machine"
fi
run flake-ctl bwrap remove --app /usr/bin/boxed
check "and removes" [ ! -e /usr/bin/boxed ]
rm -rf /etc/flakes/runtimes

printf '#!/bin/sh\n[ "$1" = about ] && echo "Counts things;STATISTICS" || echo "called with $*"\n' >/usr/bin/flake-ctl-count
printf '#!/bin/sh\nexec sleep 3600\n' >/usr/bin/flake-ctl-slow
chmod +x /usr/bin/flake-ctl-count /usr/bin/flake-ctl-slow
run flake-ctl count a 'b c'
check "an executable on PATH is a command" out_is "called with a b c"
run timeout $PATIENCE flake-ctl help
check "help asks executables, with a limit" out_has "Counts things"
check "their type is a heading" out_has "Statistics:"
rm /usr/bin/flake-ctl-count /usr/bin/flake-ctl-slow
