# Bundles, doctor, races, crashes, foreign hands.
# shellcheck shell=bash
flake fsh /bin/sh
mkdir -p /usr/share/flakes/fsh.d
echo 'container: {runtime: {podman: ["--net none", "--env FROM=fragment"]}}' >/usr/share/flakes/fsh.d/10-env.yaml
run flake-ctl podman export --bundle fsh "$T/fsh.flake"
check "export --bundle" rc_is 0
# A call's own number, in a label, is another each time.
call_of() { sed -E '/^#/d; s/(flake-pilot\.run=)[0-9a-f]+/\1/' "$1"; }
flake-ctl explain fsh -- a >"$T/explained"
call_of "$T/explained" >"$T/fsh.before"
run flake-ctl podman remove --container "$IMAGE" --force
check "flake and image are removed" bash -c "! podman image exists $IMAGE && [ ! -e /usr/bin/fsh ]"
run flake-ctl import "$T/fsh.flake"
check "import" rc_is 0
run flake-ctl explain fsh -- a
check "a call of it runs the same" eval 'call_of "$out" | cmp -s - "$T/fsh.before"'
run fsh -c 'echo $FROM'
check "the restored flake runs, with its fragment" out_is fragment
run flake-ctl import "$T/fsh.flake"
check "importing what exists is refused" rc_is 1
echo garbage >"$T/garbage"
run flake-ctl import "$T/garbage"
check "garbage is no bundle" err_has "$T/garbage"

# Foreign bundles. bundle NAME IMAGE [SAVED]: an honest one in format 1, in $T/b.
bundle() {
	rm -rf "$T/b" && mkdir -p "$T/b/flake.d" "$T/b/include"
	podman save -q --format oci-archive -o "$T/b/image" "${3:-$IMAGE}" 2>/dev/null
	printf 'format: 1\nname: %s\nengine: podman\nimage: %s\napps: [{path: /usr/bin/%s, target: /bin/sh}]\ninclude: []\n' \
		"$1" "$2" "$1" >"$T/b/bundle.yaml"
	printf 'container: {name: %s, host_app_path: /usr/bin/%s, target_app_path: /bin/sh}\n' \
		"$2" "$1" >"$T/b/flake.yaml"
}
import_bundle() { tar -C "$T/b" -cf "$T/b.flake" . && run flake-ctl import "$@" "$T/b.flake"; }
bundle leak "$IMAGE"
sed -i 's/include: .*/include: [\/x\/y]/' "$T/b/bundle.yaml"
mkdir -p "$T/b/p/q"
ln -s ../.. "$T/b/p/q/u"
ln -s ../p/q/u/../../etc/shadow "$T/b/include/1"
import_bundle
check "a bundle with links that lead outside is refused" rc_is 1
check "and publishes no file of root's" [ ! -e /usr/share/flakes/leak.include -a ! -e /usr/share/flakes/leak.yaml ]
mkdir -p /etc/flakes/hooks/register.d
cp doc/examples/hooks/register.d/allowlist.lua /etc/flakes/hooks/register.d
echo "$IMAGE" >/etc/flakes/allowed-images
bundle evil "$IMAGE"
sed -i 's,name: localhost/busybox,name: localhost/evil,' "$T/b/flake.yaml"
import_bundle
check "a bundle that runs another image than it says is refused" err_has "says something else than its bundle.yaml"
bundle evil "$IMAGE"
echo 'container: {name: localhost/evil}' >"$T/b/flake.d/x.yaml"
import_bundle
check "also when a fragment names it" err_has "says something else than its bundle.yaml"
echo localhost/other >>/etc/flakes/allowed-images
bundle evil localhost/other
import_bundle
check "a bundle's image has the name of its manifest, whatever it is called inside" podman image exists localhost/other
flake-ctl podman remove --container localhost/other
podman tag "$IMAGE" localhost/evil
bundle evil localhost/evil localhost/evil
podman rmi localhost/evil >/dev/null
podman rmi "$IMAGE" >/dev/null
import_bundle
check "the allow-list holds for imports" err_has "not on the list of allowed images"
check "a refused import has loaded no image" bash -c "! podman image exists $IMAGE"
bundle fsh "$IMAGE"
cp "$T/fsh.flake" "$T/b.flake"
run flake-ctl import "$T/b.flake"
check "nor has one whose flake exists" bash -c "! podman image exists $IMAGE"
run flake-ctl import --force "$T/fsh.flake"
check "an honest one is allowed" rc_is 0
rm -rf /etc/flakes/hooks /etc/flakes/allowed-images

# Links of others that only look like ours.
ln -s auto-pilot /usr/local/bin/fly
run flake-ctl podman register --force --container "$IMAGE" --app /usr/local/bin/fly
check "--force replaces no foreign link, whatever it is called" rc_is 1
check "the link is as it was" [ "$(readlink /usr/local/bin/fly)" = auto-pilot ]
rm /usr/local/bin/fly

# Interrupted work leaves nothing.
mkdir -p "$T/int"
stand_in podman <<SH
#!/bin/sh
$(command -v podman) "\$@" || exit
case "\$*" in *save*) touch "$T/saved"; exec sleep 3600 ;; esac
SH
for sig in INT TERM HUP; do
	rm -f "$T/saved"
	PATH=$in_front fresh flake-ctl podman export --bundle fsh "$T/int/out" >"$out" 2>"$err" & pid=$!
	wait_for test -e "$T/saved"
	check "SIG$sig comes in the midst of an export" [ -n "$(ls -A "$T/int")" ]
	kill -$sig $pid; rc=0; wait $pid || rc=$?
	check "SIG$sig ends an export with 128+N" rc_is $((128 + $(kill -l $sig)))
	check "and nothing is left of it" [ -z "$(ls -A "$T/int")" ]
done

run flake-ctl doctor fsh
check "doctor finds a good flake well" rc_is 0
echo 'container: [' >/usr/share/flakes/fsh.d/99.yaml
run fsh -c true
check "a corrupt fragment stops the launch" rc_is 126
check "with file and line" err_has /usr/share/flakes/fsh.d/99.yaml:
run flake-ctl doctor fsh
check "doctor calls it serious" rc_is 1
echo 'container: {colour: red}' >/usr/share/flakes/fsh.d/99.yaml
run fsh -c 'echo works'
check "an unknown key breaks no launch" out_is works
run flake-ctl doctor fsh
check "doctor warns of it" out_has "unknown key 'container.colour'"
rm /usr/share/flakes/fsh.d/99.yaml
ln -s /usr/bin/podman-pilot /usr/bin/lonely
mv /usr/bin/fsh "$T/fsh.link"
run flake-ctl doctor --format json
check "doctor --format json" python3 -c "
import json; d = json.load(open('$out'))
assert any('/usr/bin/lonely' in f['what'] for f in d), d
assert any('/usr/bin/fsh' in f['what'] for f in d), d
assert all(f['remedy'] and f['severity'] in ('serious', 'warning') for f in d)"
check "and its exit status" rc_is 1
mv "$T/fsh.link" /usr/bin/fsh
rm /usr/bin/lonely

# Older podman sets all limits when containers.conf sets one, some higher than this machine may give;
# newer only what is asked for. Doctor agrees with what happens.
if [ "$(($((16#$(awk '/^CapEff/ {print $2}' /proc/self/status))) >> 24 & 1))" = 1 ]; then
	skip "limits of containers" "this machine has CAP_SYS_RESOURCE"
else
	cp /etc/containers/containers.conf "$T/containers.conf"
	for limits in "nproc=1024:2048" "nofile=1024:$(($(ulimit -Hn) + 1000))"; do
		sed -i "s/^default_ulimits.*/default_ulimits = [\"$limits\"]/" /etc/containers/containers.conf
		run fsh -c true
		launched=$rc
		run flake-ctl doctor
		if [ "$launched" = 0 ]; then
			check "doctor has nothing against $limits" bash -c "! grep -q 'limits of containers' '$out'"
			continue
		fi
		check "doctor sees that with $limits no container starts" out_has "podman cannot set the limits of containers"
		check "and is serious" rc_is 1
		remedy=$(sed -n 's/.*remedy: in \[containers\] of [^:]*: //p' "$out")
		sed -i "s/^default_ulimits.*/$remedy/" /etc/containers/containers.conf
		run fsh -c 'echo cured'
		check "its remedy cures them" out_is cured
		run flake-ctl doctor
		check "and doctor agrees" bash -c "! grep -q 'limits of containers' '$out'"
	done
	mv "$T/containers.conf" /etc/containers/containers.conf
fi

podman tag "$IMAGE" localhost/gone:1
run flake-ctl podman register --container localhost/gone:1 --app /usr/bin/fgone --target /bin/true --opt "--net none"
podman rmi localhost/gone:1 >/dev/null
run fgone
check "a removed image: podman's 125" rc_is 125
check "a clear message names the image" err_has "localhost/gone:1: image not known"
run flake-ctl doctor fgone
check "doctor says how to get it back" out_has "flake-ctl podman pull --uri localhost/gone:1"
flake-ctl podman remove --app /usr/bin/fgone

fsh -c 'echo up; sleep 3600' >"$out" 2>"$err" </dev/null & pid=$!
wait_for has_line up "$out"
kill -9 $pid; wait $pid 2>/dev/null
podman kill --all >/dev/null 2>&1
check "a killed podman leaves no container for long" wait_for no_containers
run fsh -c 'echo again'
check "the flake runs again" out_is again

# Races: 8 processes register and remove the same name.
for i in $(seq 8); do
	(for _ in 1 2 3 4 5; do
		flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/racer --target /bin/true --opt "--net none"
		[ $((i % 2)) = 0 ] || flake-ctl podman remove --app /usr/bin/racer
	done) >/dev/null 2>&1 &
	racers[i]=$!
done
wait "${racers[@]}"
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/racer --target /bin/true --opt "--net none"
check "register after the race" rc_is 0
run flake-ctl doctor racer
check "nothing is half there" rc_is 0
run racer
check "and it runs" rc_is 0
check "no temporary file is left" [ -z "$(find /usr/share/flakes /usr/bin -maxdepth 1 -name '*.tmp.*')" ]
# Only one of 8 wins without --force.
flake-ctl podman remove --app /usr/bin/racer
wins=0
for i in $(seq 8); do
	flake-ctl podman register --container "$IMAGE" --app /usr/bin/racer --target /bin/true >/dev/null 2>&1 & racers[i]=$!
done
for i in $(seq 8); do wait "${racers[i]}" && wins=$((wins + 1)); done
check "of 8 only one registers" [ $wins = 1 ]
flake-ctl podman remove --app /usr/bin/racer

# kill -9 at every step: strace kills at the Nth system call that changes the file system.
steps=0 cured=0
calls=rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,fsync,fchmod
for n in $(seq 1 40); do
	flake-ctl podman remove --force --app /usr/bin/kfk >/dev/null 2>&1
	rm -f /usr/bin/kfk
	strace -qq -o /dev/null -e "trace=$calls" -e "inject=$calls:signal=SIGKILL:when=$n" \
		flake-ctl podman register --container "$IMAGE" --app /usr/bin/kfk --target /bin/true --opt "--net none" \
		>/dev/null 2>&1
	status=$?
	[ $status = 0 ] && break
	steps=$((steps + 1))
	if flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/kfk --target /bin/true --opt "--net none" >/dev/null 2>"$err" &&
		flake-ctl doctor kfk >"$out" && kfk </dev/null >/dev/null 2>&1; then
		cured=$((cured + 1))
	else
		echo "    not cured after step $n"
	fi
done
check "kill -9 at each of $steps steps of register is cured by --force" [ $steps -ge 4 -a $cured = $steps ]
check "and leaves no temporary file" [ -z "$(find /usr/share/flakes /usr/bin -maxdepth 1 -name '*.tmp.*')" ]

# Somebody else's hands on the definitions.
chown nobody /usr/share/flakes
run fsh -c 'echo no'
check "a definition directory of somebody else is refused" rc_is 126
check "with the reason" err_has "belongs to user"
run flake-ctl doctor
check "doctor says so" out_has "/usr/share/flakes"
chown root /usr/share/flakes
chmod 777 /usr/share/flakes
run fsh -c 'echo no'
check "one that others can write, too" rc_is 126
chmod 755 /usr/share/flakes
run fsh -c 'echo yes'
check "and it works again when it is root's" out_is yes

# Another user.
useradd -m joe 2>/dev/null
run runuser -u joe -- flake-ctl podman register --container "$IMAGE" --app /usr/bin/joes
check "a user may not register system flakes" rc_is 1
check "and is told" err_has "are you allowed to"
flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/frunas --target /bin/id --run-as joe --opt "--net none"
run flake-ctl explain frunas
check "run-as another user goes through sudo" out_has "sudo --user=joe -- podman run"
run flake-ctl podman register --container "$IMAGE" --app /usr/bin/fnobody --run-as no-such-user
check "an unknown user is refused at register" rc_is 2
