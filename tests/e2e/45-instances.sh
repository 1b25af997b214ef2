# Resume and attach: one instance for many calls.
# shellcheck shell=bash
state=/run/flakes/0
containers() { podman ps -q --filter "label=flake-pilot.flake=$1" | wc -l; }

flake fres /bin/sh --resume
run fres -c 'echo first; hostname'
check "the first call of a resume flake runs the app" out_has first
host=$(tail -n 1 "$out")
run fres -c 'hostname; exit 42'
check "a later call runs in the same container" out_is "$host"
check "with the app's exit code" rc_is 42
check "there is one container" [ "$(containers fres)" = 1 ]
check "no process of ours stays" [ -z "$(pgrep -x 'podman-pilot|flake-relay|fres' 2>/dev/null)" ]
mkdir -p "$T/only"
ln -sf "$(command -v crun)" "$T/only/crun"
PATH=$T/only run /usr/bin/fres -c 'echo without podman'
check "a call into a running flake needs no podman" out_is "without podman"
run flake-ctl explain fres -- -c true
check "explain shows the one exec" bash -c "grep -q '^crun .* exec ' '$out' && ! grep -q '^podman' '$out'"
run flake-ctl explain fres -- -c 'echo "explained $1"' sh 'a  b'
cp "$out" "$T/explained"
run bash "$T/explained"
check "what explain prints runs" out_is "explained a  b"

# User, groups, rights and limits in an instance are those of the same flake without one.
cp -a "$T/tree" "$T/tree.user"
mkdir -p "$T/tree.user/work"
printf 'root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/work:/bin/sh\n' >"$T/tree.user/etc/passwd"
printf 'app:x:1000:\nmore:x:2000:app\n' >"$T/tree.user/etc/group"
tar -C "$T/tree.user" -c . | podman import --change 'USER app' --change 'WORKDIR /work' --change 'ENV FOO=bar' - localhost/user >/dev/null 2>&1
for name in fown fstay; do
	flake-ctl podman register --force --container localhost/user --app /usr/bin/$name --target /bin/sh \
		--opt "--net none" --opt "--env X=1" --opt "--hostname h" --opt "--cap-add chown" $([ $name = fown ] || echo --resume)
done
facts='id; pwd; env; umask; cat /proc/self/limits; while read -r l; do case $l in Cap*|Seccomp*|NoNew*|Groups*) echo "$l";; esac; done </proc/self/status'
fown -c "$facts" >"$T/facts.own" </dev/null
fstay -c "$facts" >"$T/facts.first" </dev/null
fstay -c "$facts" >"$T/facts.later" </dev/null
check "user, rights, limits and environment of a first call are as without instance" cmp "$T/facts.own" "$T/facts.first"
check "and of a later one" cmp "$T/facts.own" "$T/facts.later"
check "they are those of the image's user" grep -q '^uid=1000(app) gid=1000(app) groups=.*1000(app),2000(more)' "$T/facts.later"
flake-ctl podman stop fstay >/dev/null

run fres -c 'echo to-out; echo to-err >&2'
check "stdout and stderr stay separate" bash -c "[ \"\$(cat '$out')\" = to-out ] && [ \"\$(cat '$err')\" = to-err ]"
check "nothing holds the caller's pipes" [ "$(timeout $PATIENCE bash -c 'fres -c "echo x; echo y >&2" 2>&1 | tr -d "\n"')" = xy ]
head -c 67108864 /dev/urandom >"$T/big"
check "64 MiB through stdin and stdout" [ "$(fres -c cat <"$T/big" | sha256sum)" = "$(sha256sum <"$T/big")" ]
rm "$T/big"
run fres -c 'printf "[%s]" "$@"' sh 'a b' "it's" $'new\nline' '' '%s' '@x'
check "arguments arrive" out_is "$(printf '[%s]' 'a b' "it's" $'new\nline' '' '%s' '@x')"
fres -c 'printf %s "$1"' sh $'\xff\xfe\x80' </dev/null >"$T/got"
check "bytes that are not UTF-8, too" cmp -s "$T/got" <(printf '\xff\xfe\x80')
run fres -c 'kill -9 $$'
check "death by signal is 128+N" rc_is 137
fres -c 'trap "echo caught; exit 7" TERM; echo ready; while :; do sleep 0.1; done' >"$out" 2>"$err" </dev/null & pid=$!
wait_for grep -q ready "$out"
kill -TERM $pid; rc=0; wait $pid || rc=$?
check "SIGTERM reaches the app in the instance" rc_is 7
check "and the instance stays" [ "$(containers fres)" = 1 ]
run bash -c 'timeout $PATIENCE bash -c "fres -c yes | head -n 1"'
check "a closed pipe ends the call" out_is y
sed -i /^runtime/d $state/fres.run
run fres -c 'printf %s "$1"; exit 5' sh $'\xff'
check "without an OCI runtime that we know podman enters it" [ "$rc" = 5 -a "$(od -An -tx1 <"$out")" = " ff" ]
flake-ctl podman stop fres >/dev/null

# Instances.
for i in $(seq 8); do fres -c hostname </dev/null >"$T/host.$i" 2>"$T/host.err" & pids[i]=$!; done
wait "${pids[@]}"
check "of 8 first calls at once one starts the container" [ "$(sort -u "$T"/host.[1-8] | wc -l)" = 1 -a "$(containers fres)" = 1 ]
run fres @one -c hostname
one=$(cat "$out")
run fres @two -c hostname
check "named instances are separate" [ "$(cat "$out")" != "$one" -a "$(containers fres)" = 3 ]
run fres @one -c hostname
check "and are found again" out_is "$one"
run flake-ctl podman show
check "show lists them with state and age" [ "$(grep -cE '^fres +(-|one|two) +[0-9a-f]{12} +running +[0-9]+s +[0-9]+ ' "$out")" = 3 ]
run flake-ctl podman show --format json
check "show as JSON" python3 -c "
import json; d = json.load(open('$out'))
assert [r.get('instance') for r in d] == [None, 'one', 'two'], d
assert all(r['age'] >= 0 and r['pid'] > 0 and r['status'] == 'running' for r in d)"
run flake-ctl podman stop fres @one
check "stop ends one instance" [ "$(cat "$out")" = "stopped fres @one" -a "$(containers fres)" = 2 ]
run flake-ctl podman stop fres @one
check "to stop what does not run is no failure" rc_is 0
run fres @two %remove -c 'exit 3'
check "%remove keeps the exit code" rc_is 3
check "and ends the instance" [ "$(containers fres)" = 1 ]
run flake-ctl podman remove --app /usr/bin/fres
check "a flake that runs is not removed" rc_is 1
check "the message says what to do" err_has "flake-ctl podman stop fres"
run flake-ctl podman stop
check "stop wants a name or --all" rc_is 2
run flake-ctl podman stop --all
check "stop --all ends everything" [ -z "$(podman ps -q)" ]

# Stale state heals.
run fres -c 'echo up'
rm -rf $state
run fres -c hostname
host=$(cat "$out")
check "a wiped /run: the container that runs is found again" [ "$rc" = 0 -a "$(containers fres)" = 1 ]
podman kill flake-fres >/dev/null 2>&1
run fres -c 'echo again'
check "a killed container is replaced" out_is again
podman rm -f -t 0 flake-fres >/dev/null 2>&1
run fres -c 'echo again'
check "a removed container is replaced" out_is again
podman stop -t 0 flake-fres >/dev/null 2>&1
wait_for eval '[ -z "$(podman ps -aq --filter name=flake-fres)" ]'
podman create --name flake-fres "$IMAGE" /bin/true >/dev/null
rm -rf $state
run fres -c 'echo again'
check "what a reboot leaves in podman's store is replaced" out_is again
sed -i 's/^start .*/start 1/' $state/fres.run
run fres -c 'echo again'
check "another process of that id is not taken for it" out_is again
printf 'id \npid -1\nstart x\n\377garbage' >$state/fres.run
run fres -c 'echo again'
check "garbage in the state file" out_is again
check "still one container" [ "$(containers fres)" = 1 ]
conmon=$(podman inspect --format '{{.State.ConmonPid}}' flake-fres)
pid=$(sed -n 's/^pid //p' $state/fres.run)
kill -9 "$conmon" "$pid"
wait_for bash -c "! grep -q '^State:[[:space:]]*[^Z]' /proc/$pid/status 2>/dev/null"
run fres -c 'echo again'
check "killed conmon and container" out_is again
chmod 755 $state
run fres -c 'echo no'
check "a state directory that others may read is refused" rc_is 126
check "with the reason" err_has "$state: it must be yours alone"
chmod 700 $state
flake-ctl podman stop --all >/dev/null

# With another runtime than crun as podman's (here crun by another name, which has its state
# elsewhere), a stranger's /tmp gets none of root's calls.
printf '#!/bin/sh\nexec crun --root=/run/otherrun "$@"\n' >"$T/otherrun"
chmod 755 "$T/otherrun"
mkdir -p /etc/containers/containers.conf.d
printf '[engine]\nruntime = "otherrun"\n[engine.runtimes]\notherrun = ["%s"]\n' "$T/otherrun" \
	>/etc/containers/containers.conf.d/otherrun.conf
run fres -c 'echo up'
id=$(sed -n 's/^id //p' $state/fres.run)
for name in podman storage; do
	mkdir -p "/tmp/$name-run-0/crun/$id"
	cp "/run/otherrun/$id/config.json" "/run/otherrun/$id/status" "/tmp/$name-run-0/crun/$id/"
	chown -R 65534 "/tmp/$name-run-0"
done
rm -rf $state
run env XDG_RUNTIME_DIR=/tmp/podman-run-0 fres -c 'echo works; exit 3'
check "an instance of another runtime than crun" [ "$rc" = 3 -a "$(cat "$out")" = works ]
run env XDG_RUNTIME_DIR=/tmp/podman-run-0 flake-ctl explain fres
check "is entered by podman, not by what a stranger says" bash -c "grep -q '^podman exec' '$out' && ! grep -q crun '$out'"
flake-ctl podman stop fres >/dev/null
rm -r /etc/containers/containers.conf.d/otherrun.conf /tmp/podman-run-0 /tmp/storage-run-0

# An instance belongs to a definition.
fres -c 'echo up' >/dev/null </dev/null
echo 'container: {runtime: {podman: ["--net none", "--env CHANGED=yes"]}}' >/usr/share/flakes/fres.d/10.yaml
run fres -c 'echo $CHANGED'
check "a changed definition gets a new instance" out_is yes
check "in place of the old one" [ "$(containers fres)" = 1 ]
rm /usr/share/flakes/fres.d/10.yaml
flake fplain /bin/sh --resume
fplain -c true </dev/null
flake fplain /bin/sh
check "an instance goes with the definition that is replaced" [ "$(containers fplain)" = 0 ]
flake fnamed /bin/sh --resume --opt "--name own-name"
run fnamed -c 'echo one'
rm -rf $state
run fnamed -c 'echo two'
check "a name among the options breaks nothing" [ "$(cat "$out")" = two -a "$(containers fnamed)" = 1 ]
for wait in 0 0.02 0.05 0.1 0.2; do
	flake-ctl podman stop fres >/dev/null 2>&1
	fres -c 'echo killed' >/dev/null 2>&1 </dev/null & pid=$!
	sleep $wait
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	run fres -c 'echo after'
	check "kill -9 of the first call after $wait s: the next works" [ "$(cat "$out")" = after -a "$(containers fres)" = 1 ]
done
flake-ctl podman stop --all >/dev/null

# The image's own entry point, programs that are not there, an image that is not there.
podman import --change 'ENTRYPOINT ["/bin/echo","entry point"]' --change 'CMD ["its own"]' - localhost/entry < <(tar -C "$T/tree" -c .) >/dev/null 2>&1
flake-ctl podman register --force --container localhost/entry --app /usr/bin/fentry --target / --resume --opt "--net none"
run fentry
check "resume with the image's own entry point" out_is "entry point its own"
run fentry 'a "b"'
check "arguments replace its own" out_is 'entry point a "b"'
flake fnone /bin/nowhere --resume
run fnone
check "a program that is not in the image: 127" rc_is 127
flake fnoexec /etc/passwd --resume
run fnoexec
check "a program that is not executable: 126" rc_is 126
flake-ctl podman register --force --container localhost/not-here --app /usr/bin/fnoimage --resume
run fnoimage
check "an image that is not there: 125" rc_is 125
check "and is named" err_has localhost/not-here
flake-ctl podman stop --all >/dev/null
run flake-ctl podman register --container "$IMAGE" --app /usr/bin/fboth --resume --attach
check "resume and attach exclude each other" rc_is 2

# Attach.
flake fatt /bin/sh --attach
mkfifo "$T/fifo"
fatt -c 'echo first; while read -r x; do echo "got $x"; done; echo over; exit 9' <"$T/fifo" >"$T/att" 2>"$err" & pid=$!
exec 7>"$T/fifo"
wait_for grep -q first "$T/att"
wait_for test -s $state/fatt____fatt.run
check "no watcher stays behind" [ -z "$(pgrep -x fatt)" ]
mkfifo "$T/fifo2"
timeout $PATIENCE fatt <"$T/fifo2" >"$T/att2" 2>&1 & second=$!
exec 8>"$T/fifo2"
echo hello >&8
wait_for grep -q 'got hello' "$T/att2"
check "a second call is attached to the first's application" grep -q 'got hello' "$T/att2"
check "in the same container" [ "$(containers fatt)" = 1 ]
exec 7>&- 8>&-
rc=0; wait $pid || rc=$?
check "the first call has the exit code" rc_is 9
wait $second
run fatt -c 'echo new; exit 4'
check "after its end a call starts anew, with its own arguments" [ "$rc" = 4 -a "$(cat "$out")" = new ]

printf 'version: 2\nruntime:\n  name: %s\n  instance: attach\n  path_map: {/usr/bin/fone: {exports: /bin/sh}, /usr/bin/fother: {exports: /bin/echo}}\nengine: {pilot: podman, args: ["--net none"]}\n' "$IMAGE" >/usr/share/flakes/fone.yaml
ln -sf fone.yaml /usr/share/flakes/fother.yaml
ln -sf /usr/bin/podman-pilot /usr/bin/fone; ln -sf /usr/bin/podman-pilot /usr/bin/fother
fone -c 'echo up; sleep 3600' >"$T/att" 2>&1 </dev/null & pid=$!
wait_for grep -q up "$T/att"
run fother another
check "each command of an attach flake has an application of its own" out_is another
kill $pid; wait $pid 2>/dev/null
rm /usr/bin/fone /usr/bin/fother /usr/share/flakes/fone.yaml /usr/share/flakes/fother.yaml

# Hooks, also around instances.
mkdir -p /etc/flakes/hooks/launch.d /etc/flakes/hooks/exit.d
echo 'return function(event) event.env.HOOKED = "yes"; table.insert(event.args, "added") end' >/etc/flakes/hooks/launch.d/a.lua
cat >/etc/flakes/hooks/exit.d/a.lua <<LUA
return function(event) local f <close> = io.open("$T/exit-note", "w"); f:write(event.flake, " ", event.status) end
LUA
run fres -c 'echo $HOOKED $0; exit 8'
check "a launch hook changes the first call" out_is "yes added"
check "an exit hook sees its end" [ "$rc" = 8 -a "$(cat "$T/exit-note")" = "fres 8" ]
run fres %remove -c 'echo $HOOKED $0; exit 8'
check "and later ones; %remove ends the instance there, too" [ "$rc" = 8 -a "$(cat "$out")" = "yes added" -a "$(containers fres)" = 0 ]
rm -rf /etc/flakes/hooks

# A normal user: his own instance, rootless; and root's through sudo.
useradd -m ann 2>/dev/null
chmod 755 "$T"
tar -C "$T/tree" -c . >"$T/tree.tar"
runuser -u ann -- podman import "$T/tree.tar" "$IMAGE" >/dev/null 2>&1
run runuser -u ann -- fres -c 'id -u; hostname; exit 6'
check "a user has an instance of his own, rootless" [ "$rc" = 6 ]
host=$(tail -n 1 "$out")
run runuser -u ann -- fres -c 'id -u; hostname; exit 6'
check "later calls run in it" [ "$rc" = 6 -a "$(tail -n 1 "$out")" = "$host" -a "$(containers fres)" = 0 ]
run runuser -u ann -- flake-ctl explain fres
check "by one exec, without podman" bash -c "grep -q '^crun ' '$out'"
run runuser -u ann -- flake-ctl podman stop --all
check "he stops it" out_has "stopped fres"
runuser -u ann -- podman system migrate >/dev/null 2>&1
flake fann /bin/sh --run-as ann
flake fannres /bin/sh --run-as ann --resume
chmod 700 "$T/into" 2>/dev/null || mkdir -m 700 "$T/into"
run bash -c "cd '$T/into' && fann -c 'echo from a closed directory'"
check "another user need not reach the caller's directory" out_is "from a closed directory"
run bash -c "cd '$T/into' && fannres -c 'echo first' && fannres -c 'echo later'"
check "nor for an instance" [ "$(tr '\n' ' ' <"$out")" = "first later " ]
runuser -u ann -- flake-ctl podman stop --all >/dev/null
run runuser -u ann -- bash -c "mkdir -p /home/ann/gone && cd /home/ann/gone && rmdir /home/ann/gone && fres -c 'echo works'"
check "a directory that is gone is no obstacle" out_is works
runuser -u ann -- flake-ctl podman stop --all >/dev/null
mkdir -m 700 "$T/closed" && mkdir "$T/closed/open"
below() { (cd "$T/closed/open" && run runuser -u ann -- "$@"; echo "$rc" >"$T/rc"); rc=$(cat "$T/rc"); }
below fres -c 'echo works; exit 6'
check "nor is one below a directory that is closed" [ "$rc" = 6 -a "$(cat "$out")" = works ]
below fres -c 'echo again; exit 6'
check "nor for a later call" [ "$rc" = 6 -a "$(cat "$out")" = again ]
below flake-ctl podman stop --all
check "nor for flake-ctl" out_has "stopped fres"
below flake-ctl podman export fres /home/ann/fres.oci
check "which can export there" [ "$rc" = 0 -a -s /home/ann/fres.oci ]
below flake-ctl doctor
check "and has nothing against podman there" bash -c "! grep -q 'podman does not work' '$out'"
rm -r "$T/closed" /home/ann/fres.oci
flake fsudo /bin/sh --resume --run-as root
run runuser -u ann -- fsudo -c 'echo no'
check "without sudo's leave nobody runs as root" [ "$rc" != 0 -a "$(containers fsudo)" = 0 ]
echo 'ann ALL=(root) NOPASSWD: /usr/lib/flake-pilot/flake-relay' >/etc/sudoers.d/ann
run runuser -u ann -- env SECRET=1 fsudo @x -c 'echo "$1 $SECRET"; exit 3' sh 'a  b'
check "a resume flake of another user goes through sudo" [ "$rc" = 3 -a "$(cat "$out")" = "a  b " ]
run fsudo @x -c 'echo same; exit 2'
check "it is that user's instance" [ "$rc" = 2 -a "$(containers fsudo)" = 1 ]
run runuser -u ann -- flake-ctl podman stop fsudo
check "stop says who may" err_has "sudo --user=root flake-ctl podman stop fsudo"
rm /etc/sudoers.d/ann
flake-ctl podman stop --all >/dev/null
run flake-ctl podman remove --app /usr/bin/fres
check "a stopped flake is removed" rc_is 0
