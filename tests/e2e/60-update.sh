# Updates from a real registry: the old image stays until the new one works.
# shellcheck shell=bash
start_registry
REF=$REGISTRY/tools/app:1
n=0

# publish REF [CHANGE…]: a new image in the registry only, whose /version is the next number.
publish() {
	local ref=$1 id changes=(--change 'CMD ["/bin/cat","/version"]')
	shift
	[ $# = 0 ] || changes=(--change "$@")
	n=$((n + 1))
	echo "$n" >"$T/tree/version"
	id=$(tar -C "$T/tree" -c . | podman import -q "${changes[@]}" - "localhost/made:$n" 2>/dev/null)
	podman push -q "$id" "docker://$ref" 2>/dev/null
	podman rmi -f "$id" >/dev/null 2>&1
}
id_of() { podman image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
no_keep() { [ -z "$(podman images --format '{{.Repository}}' | grep flake-pilot-keep)" ]; }
absent() { ! podman image exists "$1"; }
field() { python3 -c "
import json; d = {r['reference']: r for r in json.load(open('$out'))}
print(d['$1'].get('$2'))"; }

publish "$REF"
flake-ctl podman pull --uri "$REF" >/dev/null 2>&1
first=$(id_of "$REF")
for name in ver cat; do
	target=/; [ $name = ver ] || target=/bin/cat
	flake-ctl podman register --container "$REF" --app "/usr/bin/app-$name" --target $target --opt "--net none"
done

run flake-ctl podman update
check "update without NAME or --all is wrong usage" rc_is 2
run flake-ctl podman update app-ver --all
check "so are both" rc_is 2
run flake-ctl podman update nothing
check "an unknown flake" rc_is 1
run flake-ctl podman update --all --check
check "--check: nothing new" rc_is 0
run flake-ctl podman update app-ver --format json
check "update: nothing new" rc_is 0
check "the state says so" [ "$(field "$REF" state)" = current ]
check "no temporary name is left" no_keep

publish "$REF"
run flake-ctl podman update --all --check --format json
check "--check: something new exits 10" rc_is 10
check "the reference is reported once, with both flakes" [ "$(field "$REF" flakes)" = "['app-cat', 'app-ver']" ]
check "with the digests" [ "$(field "$REF" state)" = available -a "$(field "$REF" old)" != "$(field "$REF" new)" ]
check "--check changes nothing" [ "$(id_of "$REF")" = "$first" ]
run app-ver
check "the flake still runs the old one" out_is 1
run flake-ctl podman update app-ver --format json
check "update" rc_is 0
second=$(id_of "$REF")
check "it reports old and new" [ "$(field "$REF" state) $(field "$REF" old) $(field "$REF" new)" = "updated $first $second" ]
check "the reference has moved" [ -n "$second" -a "$second" != "$first" ]
check "the old image is gone" absent "$first"
check "no temporary name is left of it" no_keep
check "no container is left of it" [ -z "$(podman ps -aq)" ]
run app-ver
check "the flake runs the new one" out_is 2
run flake-ctl podman update --all --check
check "--check: nothing new any more" rc_is 0

# The old image in use: by another name, by a running instance.
podman tag "$REF" localhost/precious:1
publish "$REF"
run flake-ctl podman update --all
check "an old image with another name" rc_is 0
check "is kept" podman image exists "$second"
check "and that is said" err_has "it is also named localhost/precious:1"
podman rmi localhost/precious:1 >/dev/null
third=$(id_of "$REF")
flake-ctl podman register --container "$REF" --app /usr/bin/app-stay --target /bin/sleep --opt "--net none"
app-stay @one 3600 </dev/null >/dev/null 2>&1 & pid=$!
wait_for run_containers 1
publish "$REF"
run flake-ctl podman update app-ver
check "update with a running instance" rc_is 0
check "the instance is named, and what to do" err_has "flake-ctl podman stop app-stay @one"
check "the old image is kept and that is said" err_has "is kept"
check "really kept" podman image exists "$third"
check "the instance goes on" kill -0 $pid
podman kill --all >/dev/null 2>&1
wait $pid 2>/dev/null
podman rmi "$third" >/dev/null 2>&1

# A new image that does not work.
fourth=$(id_of "$REF")
rm "$T/tree/bin/cat"
publish "$REF"
run flake-ctl podman update --all --format json
check "a new image without the program" rc_is 1
check "is reported as failed" [ "$(field "$REF" state)" = failed ]
check "the message names flake, program and reason" err_has "does not work for flake 'app-cat': cannot run /bin/cat: No such file"
check "the reference is the old image again" [ "$(id_of "$REF")" = "$fourth" ]
check "the new image is gone" absent "$(field "$REF" new)"
check "no temporary name is left of that" no_keep
run app-ver
check "and the flake works" out_is 4
run flake-ctl podman update --all --check
check "--check still sees it" rc_is 10
cp /etc/passwd "$T/tree/bin/cat"; chmod 644 "$T/tree/bin/cat"
publish "$REF"
run flake-ctl podman update app-cat
check "a program that is not executable" err_has "cannot run /bin/cat: Permission denied"
check "counts as not working" [ "$(id_of "$REF")" = "$fourth" ]
rm "$T/tree/bin/cat"; ln -s busybox "$T/tree/bin/cat"
publish "$REF" 'ENV NOTHING=1'
run flake-ctl podman update app-ver
check "an image without entry point for target /" err_has "neither entry point nor command"
publish "$REF" 'ENTRYPOINT ["cat","/version"]'
run flake-ctl podman update app-ver
check "an entry point found on PATH" rc_is 0
run app-ver
check "works" out_is "$n"
fifth=$(id_of "$REF")

# A first pull that does not work leaves nothing.
rm "$T/tree/bin/cat"
publish "$REGISTRY/tools/fresh:1"
flake-ctl podman register --container "$REGISTRY/tools/fresh:1" --app /usr/bin/app-fresh --target /bin/cat 2>/dev/null
run flake-ctl podman update --check app-fresh --format json
check "--check of an image that is not here" [ "$rc" = 10 -a "$(field "$REGISTRY/tools/fresh:1" state)" = missing ]
run flake-ctl podman update app-fresh
check "updating to it fails when it does not work" rc_is 1
check "and nothing is left of it" absent "$REGISTRY/tools/fresh:1"
ln -s busybox "$T/tree/bin/cat"
publish "$REGISTRY/tools/fresh:1"
run flake-ctl podman update app-fresh
check "and pulls it when it does" podman image exists "$REGISTRY/tools/fresh:1"

# A program that only the flake's options bring.
mkdir -p "$T/tools" && cp /bin/busybox "$T/tools/vtool"
flake-ctl podman register --container "$REF" --app /usr/bin/app-vol --target /tools/vtool --opt "--net none" --opt "--volume $T/tools:/tools" --opt "--publish 5077:80" --opt "--name app-vol"
publish "$REF"
run flake-ctl podman update app-vol
check "options of the flake count, but no names and ports" rc_is 0
flake-ctl podman register --force --container "$REF" --app /usr/bin/app-vol --target /bin/cat --opt "--volume /not/here:/x"
publish "$REF"
run flake-ctl podman update app-vol
check "a volume that is missing is not the image's fault" rc_is 0
flake-ctl podman remove --app /usr/bin/app-vol
sixth=$(id_of "$REF")

# A part of a flake: what it is a part of must work.
mkdir -p "$T/delta/opt" && echo delta >"$T/delta/opt/f"
tar -C "$T/delta" -c . | podman import - localhost/delta:1 >/dev/null 2>&1
flake-ctl podman register --container localhost/delta:1 --base "$REF" --app /usr/bin/app-delta --target /bin/cat --opt "--net none"
run app-delta /opt/f /version
check "a delta flake runs" out_has delta
old=$(podman images --format '{{.Tag}}' localhost/flake-pilot/fapp_2ddelta | grep -v latest)
rm "$T/tree/bin/cat"
publish "$REF"
run flake-ctl podman update app-delta
check "a base without the program of a delta flake is refused" err_has "does not work for flake 'app-delta': cannot run /bin/cat: No such file"
check "the base is the old one" [ "$(id_of "$REF")" = "$sixth" ]
check "of the trial nothing is left" [ "$(podman images --format '{{.Tag}}' localhost/flake-pilot/fapp_2ddelta | grep -v latest)" = "$old" ]
check "no temporary name either" no_keep
run app-delta /opt/f
check "and the delta flake runs on" out_is delta
ln -s busybox "$T/tree/bin/cat"
publish "$REF"
run flake-ctl podman update app-delta
check "a base that works" rc_is 0
check "takes the old one away" absent "$sixth"
check "and its composed image" [ "$(podman images --format '{{.Tag}}' localhost/flake-pilot/fapp_2ddelta | grep -vc latest)" = 1 ]
run app-delta /version
check "the delta flake runs on the new base" out_is "$n"
mkdir -p "$T/included" && cp /bin/busybox "$T/included/echo"
flake-ctl podman register --container "$REF" --include-path "$T/included" --app /usr/bin/app-inc --target "$T/included/echo" --opt "--net none"
publish "$REF"
run flake-ctl podman update app-inc
check "a program that an include brings" rc_is 0
for app in app-delta app-inc; do flake-ctl podman remove --app /usr/bin/$app; done
sixth=$(id_of "$REF")

# Killed and interrupted in the middle.
rm "$T/tree/bin/cat"
publish "$REF"
stand_in podman <<SH
#!/bin/sh
[ "\$1" != run ] || { echo \$\$ >"$T/held.new"; mv "$T/held.new" "$T/held"; exec sleep 3600; }
exec $(command -v podman) "\$@"
SH
for sig in TERM KILL; do
	rm -f "$T/held"
	PATH=$in_front fresh flake-ctl podman update app-cat >"$out" 2>"$err" </dev/null & pid=$!
	wait_for test -e "$T/held"
	run flake-ctl podman update --all
	check "a second update meanwhile is refused" err_has "another update is running"
	kill -$sig $pid; rc=0; wait $pid 2>/dev/null || rc=$?
	check "SIG$sig ends an update with 128+N" rc_is $((128 + $(kill -l $sig)))
	[ $sig = KILL ] || check "the old image is back at once" [ "$(id_of "$REF")" = "$sixth" ]
	[ $sig = KILL ] || check "without temporary name" no_keep
done
kill "$(cat "$T/held")" 2>/dev/null
check "after kill -9 the old image is safe" podman image exists "$sixth"
podman image prune -f >/dev/null 2>&1
check "from prune too" podman image exists "$sixth"
run flake-ctl podman update app-cat
check "the next update puts it back first" err_has "an update was interrupted; back to ${sixth:0:12}"
check "and still refuses the bad one" [ "$rc" = 1 -a "$(id_of "$REF")" = "$sixth" ]
check "nothing is left of all that" no_keep
ln -s busybox "$T/tree/bin/cat"
publish "$REF"

# Pinned, local, unreachable.
flake-ctl podman register --container "$IMAGE" --app /usr/bin/app-local --target /bin/true
flake-ctl podman register --container busybox --app /usr/bin/app-short --target /bin/true
digest=$(podman image inspect --format '{{index .RepoDigests 0}}' "$REGISTRY/tools/fresh:1")
flake-ctl podman register --container "$digest" --app /usr/bin/app-pinned --target /bin/true
run flake-ctl podman update --all --check --format json
check "pinned and local images are no error" rc_is 10
check "local" [ "$(field "$IMAGE" state)" = local ]
check "local by its short name" [ "$(field busybox state)" = local ]
check "pinned" [ "$(field "$digest" state)" = pinned ]
# What a flake pins by its id goes with no update.
before=$(id_of "$REF")
flake-ctl podman register --container "$before" --app /usr/bin/app-id --target /bin/true --opt "--net none"
flake-ctl podman register --container 127.0.0.1:9/no/where:1 --app /usr/bin/app-nowhere 2>/dev/null
run flake-ctl podman update --all --check --format json
check "an unreachable registry is an error" rc_is 1
check "it is named" err_has "127.0.0.1:9/no/where:1: "
check "it does not hide the others" [ "$(field "$REF" state)" = available -a "$(field 127.0.0.1:9/no/where:1 state)" = failed ]
run flake-ctl podman update --all
check "nor does it when updating" [ "$rc" = 1 -a "$(id_of "$REF")" != "$sixth" ]
check "an image that a flake pins by its id is kept" err_has "flake 'app-id' is pinned to it"
run app-id
check "and that flake runs" rc_is 0
flake-ctl podman remove --app /usr/bin/app-nowhere
run flake-ctl podman update --all
check "without it all is well" rc_is 0
run flake-ctl podman update --all --check --format csv
check "as CSV" out_has "reference,state,old,new,flakes,message"
mkdir "$T/no-skopeo"
for tool in flake-ctl podman; do ln -s "$(command -v $tool)" "$T/no-skopeo/"; done
PATH=$T/no-skopeo run "$(command -v flake-ctl)" podman update --all --check
check "a missing skopeo is a clear error" [ "$rc" = 1 ] && check "that names it" err_has skopeo

# As a user, rootless.
useradd -m upd
as() { (cd / && runuser -u upd -- env -i HOME=/home/upd USER=upd PATH=/usr/bin:/bin "$@"); }
as podman pull -q "$REF" >/dev/null
mine=$(as podman image inspect --format '{{.Id}}' "$REF")
run as flake-ctl podman --user register --container "$REF" --app /home/upd/.local/bin/mine --target /bin/cat --opt "--net none"
check "a user's own flake" rc_is 0
publish "$REF"
run as flake-ctl podman --user update --all --check
check "podman --user update --check" rc_is 10
run as flake-ctl podman update mine --user --format json
check "podman update --user" rc_is 0
check "in his own store" [ "$(field "$REF" old)" = "$mine" -a "$(as podman image inspect --format '{{.Id}}' "$REF")" = "$(field "$REF" new)" ]
check "and in no other" [ "$(id_of "$REF")" != "$(field "$REF" new)" ]
flake-ctl podman register --force --container "$REF" --app /usr/bin/app-runas --target /bin/cat --run-as upd
publish "$REF"
run flake-ctl podman update app-runas --format json
check "a flake that runs as a user is updated in that user's store" [ "$rc" = 0 -a "$(as podman image inspect --format '{{.Id}}' "$REF")" = "$(field "$REF" new)" ]
run as flake-ctl podman update app-ver --check
check "a user may look after the system's flakes, in his store" rc_is 0
unset -f as
