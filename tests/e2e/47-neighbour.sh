# What a hostile image or another user of the same host could do.
# shellcheck shell=bash disable=SC2016
state=/run/flakes/0
wait_for() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; return 1; }

# Labels of an image never count, neither in a flake's container nor in a plain one.
mkdir -p "$T/labels"
cat >"$T/labels/Containerfile" <<C
FROM $IMAGE
LABEL flake-pilot.key=../../../etc/victim flake-pilot.flake=fvictim flake-pilot.instance=x
LABEL flake-pilot.definition=x flake-pilot.composed=x flake-pilot.run=x
C
podman build -q -t localhost/labels "$T/labels" >/dev/null 2>&1
touch /etc/victim.run
flake fvictim /bin/sleep --resume
flake-ctl podman register --force --container localhost/labels --app /usr/bin/flabels --target /bin/sleep --opt "--net none"
fvictim 0 </dev/null
victim=$(sed -n 's/^id //p' $state/fvictim.run)
flabels 600 </dev/null & pid=$!
plain=$(podman run --detach --rm --net none localhost/labels /bin/sleep 600)
own=
wait_for eval 'own=$(podman ps -q --filter label=flake-pilot.flake=flabels); [ -n "$own" ]'
run flake-ctl podman show --format csv
check "a flake's container is the flake's, whatever its image says" bash -c "grep -q '^flabels,,$own' '$out'"
check "a plain container of such an image is nobody's" bash -c "! grep -q ${plain:0:12} '$out' && grep -q ^fvictim,,$victim '$out'"
run flake-ctl podman stop fvictim
check "stop ends what the flake started, and nothing else" bash -c "[ '$(cat "$out")' = 'stopped fvictim' ] && podman container exists $plain"
run flake-ctl podman stop --all
check "stop --all, too" bash -c "[ '$(cat "$out")' = 'stopped flabels' ] && podman container exists $plain"
check "keys of images name no files of the host" [ -e /etc/victim.run -a ! -e /etc/victim.lock ]
wait $pid
podman rm --force --time 0 "$plain" >/dev/null
rm /etc/victim.run
for f in fvictim flabels; do flake-ctl podman remove --app /usr/bin/$f; done
podman rmi localhost/labels >/dev/null

# Lua and definitions count for nobody if another than root and the caller could change them.
useradd -m -U ann; useradd -m -U bob; groupadd shared; usermod -aG shared ann; usermod -aG shared bob
as() { local user=$1; shift; (cd / && runuser -u "$user" -- env -i HOME="/home/$user" USER="$user" PATH=/usr/bin:/bin "$@"); }
proof=$T/proof
touch "$proof" && chmod 666 "$proof"
proves() { echo "return { api = 1, about = 'x', options = {}, run = function() io.open('$proof', 'a'):write('$1') return 0 end }"; }
hook() { echo "return function() io.open('$proof', 'a'):write('$1') end"; }
flake-ctl init >/dev/null
flake fone /bin/echo
mkdir -p /usr/share/flakes/fone.d
hook launch >/usr/share/flakes/fone.d/launch.lua
chown -R ann /usr/share/flakes/fone.d
run as bob fone hi
check "a launch.lua of another user: the launch is refused" rc_is 126
check "with the reason" err_has "fone.d: it belongs to user $(id -u ann)"
rm -r /usr/share/flakes/fone.d
hook site >/etc/flakes/hooks/launch.d/x.lua
chmod 666 /etc/flakes/hooks/launch.d/x.lua
run as bob fone hi
check "a hook that all can write, too" bash -c "[ $rc = 126 ] && grep -q 'x.lua: others can write to it' '$err'"
run as bob flake-ctl doctor
check "doctor names it for users" bash -c "grep -q 'serious: .*x.lua: others can write to it' '$out'"
rm /etc/flakes/hooks/launch.d/x.lua
mkdir -p /etc/flakes/commands
proves command >/etc/flakes/commands/list.lua
chmod 666 /etc/flakes/commands/list.lua
run as bob flake-ctl list
check "a command that all can write is refused" bash -c "[ $rc != 0 ] && grep -q 'list.lua: others can write to it' '$err'"
rm -r /etc/flakes/commands
as ann flake-ctl init --user >/dev/null 2>&1
own=/home/ann/.flakes
chmod 755 /home/ann "$own"
proves shared >"$own/commands/list.lua"
chown ann:shared "$own/commands" "$own/commands/list.lua"
run as ann flake-ctl list
check "a user's own command counts" rc_is 0
check "and is run" [ "$(cat "$proof")" = shared ]
chmod g+w "$own/commands"
run as ann flake-ctl list
check "but not if a group of several can write to its directory" bash -c "[ $rc != 0 ] && grep -q '$own/commands: others can write to it' '$err'"
run as ann flake-ctl doctor
check "which doctor names" bash -c "grep -q 'serious: .*commands: others can write to it' '$out'"
check "with the remedy" out_has "flake-ctl init --user --force"
run as ann flake-ctl init --user --force
run as ann flake-ctl list
check "which works" rc_is 0
rm "$own/commands/list.lua"
proves bobs >"$own/commands/list.lua"
chown bob "$own/commands/list.lua"
run as ann flake-ctl list
check "nor a file of somebody else's" bash -c "[ $rc != 0 ] && grep -q 'list.lua: it belongs to user $(id -u bob)' '$err'"
rm "$own/commands/list.lua"
proves private >"$own/commands/list.lua"
chown ann:ann "$own/commands" "$own/commands/list.lua"
chmod g+w "$own/commands" "$own/commands/list.lua"
run as ann flake-ctl list
check "a user's private group is the user" bash -c "[ $rc = 0 ] && grep -q private '$proof'"
gpasswd -a bob ann >/dev/null
run as ann flake-ctl list
check "unless it has another member" bash -c "[ $rc != 0 ] && grep -q 'others can write to it' '$err'"
gpasswd -d bob ann >/dev/null
if command -v setfacl >/dev/null; then
	setfacl -m u:bob:rwx "$own/commands"
	run as ann flake-ctl list
	check "or an ACL lets another write" bash -c "[ $rc != 0 ] && grep -q 'others can write to it' '$err'"
	setfacl -b "$own/commands"
else
	skip "or an ACL lets another write" "setfacl is not installed"
fi
rm "$own/commands/list.lua"
check "nothing of it was ever run" [ "$(cat "$proof")" = sharedsharedprivate ]

# init --force by descriptor: nothing that is another's gets a mode, or an owner, from root.
cp /bin/true /opt/victim; chmod 755 /opt/victim
mkdir /usr/share/flakes/shared.d
chown bob /usr/share/flakes/shared.d
cat >"$T/flip.py" <<'P'
import ctypes, os, sys
libc, d = ctypes.CDLL(None), '/usr/share/flakes/shared.d'
for i in range(40):
    os.close(os.open('%s/a%d' % (d, i), os.O_CREAT | os.O_WRONLY, 0o600))
    os.chmod('%s/a%d' % (d, i), 0o6777)
    os.symlink('/opt/victim', '%s/.l%d' % (d, i))
print('ready', flush=True)
while not os.path.exists('/home/bob/stop'):
    for i in range(40):
        libc.renameat2(-100, b'%s/a%d' % (d.encode(), i), -100, b'%s/.l%d' % (d.encode(), i), 2)
P
chmod 644 "$T/flip.py"
chmod 755 "$T"
as bob python3 "$T/flip.py" >"$T/flip.out" & pid=$!
wait_for grep -q ready "$T/flip.out"
for _ in $(seq 25); do
	run flake-ctl init --force
	[ "$(stat -c %a /opt/victim)" = 755 ] || break
done
check "init --force follows no link that takes a file's place" [ "$(stat -c %a%U /opt/victim)" = 755root ]
check "and says what it left" out_has "left /usr/share/flakes/shared.d: it belongs to user $(id -u bob)"
touch /home/bob/stop
wait $pid
rm -r /usr/share/flakes/shared.d
mkdir -m 777 "$T/linked"
ln -s "$T/linked" /etc/flakes/extra
rm -r /etc/flakes/hooks
chown bob /etc/flakes
as bob ln -s "$T/linked" /etc/flakes/hooks
run flake-ctl init --force
check "nor one of another user's to a directory" bash -c "[ $rc != 0 ] && grep -q 'hooks: it belongs to user' '$err' && [ \$(stat -c %a $T/linked) = 777 ]"
rm /etc/flakes/hooks /etc/flakes/extra
chown root /etc/flakes
rm -r "$T/linked"
flake-ctl init >/dev/null
flake-ctl podman remove --app /usr/bin/fone

# What is made in a directory of others is made elsewhere, and leaves as a whole.
flake fone /bin/echo
as bob mkdir /home/bob/proj
build() { (cd /home/bob/proj && flake-ctl build --app /usr/bin/tool --name tool --version 1.0.0 --description x \
	--maintainer-name me --maintainer-email me@x.org --license MIT --ci --builder dpkg "$@"); }
if command -v dpkg-buildpackage >/dev/null; then
	run strace -qq -o "$T/trace" -e trace=mkdir flake-ctl build --from-oci "$IMAGE" --app /usr/bin/tool --name tool \
		--version 1.0.0 --description x --maintainer-name me --maintainer-email me@x.org --license MIT --ci \
		--builder dpkg --output /home/bob/proj
	check "a package for another user's directory" [ $rc = 0 -a "$(dpkg-deb -f /home/bob/proj/tool_1.0.0_all.deb Package)" = tool ]
	check "is not made there" bash -c "! grep -q /home/bob/proj/ '$T/trace' && grep -q '/var/tmp/.flake-build' '$T/trace'"
	check "and nothing else gets there" bash -c "! ls -A /home/bob/proj | grep -v ^tool_1.0.0"
	run build --from-oci "$IMAGE" --location /home/bob/proj/bundle --dry-run
	check "a --location of others is refused" bash -c "[ $rc != 0 ] && grep -q 'refusing the location /home/bob/proj/bundle' '$err'"
	run build --from-oci "$IMAGE" --keep --dry-run
	check "as is --keep there" bash -c "[ $rc != 0 ] && grep -q 'it belongs to user $(id -u bob)' '$err'"
	run build --from-oci "$IMAGE" --location "$T/bundle" --dry-run
	check "an own one is taken" rc_is 0
	printf '#!/bin/sh\ntouch %s/rules-ran\nexit 1\n' "$T" >"$T/bundle/dpkg/rules"
	chown bob "$T/bundle/dpkg/rules"
	run build --compile --location "$T/bundle"
	check "but not with a file in it that another could change" bash -c "[ $rc != 0 ] && grep -q 'dpkg/rules: it belongs to user' '$err' && [ ! -e $T/rules-ran ]"
	run build --compile --location "$T/bundle" --trust-location
	check "unless the caller says so" [ -e "$T/rules-ran" ]
	rm -r "$T/bundle"
else
	skip "packages in directories of others" "dpkg-buildpackage is not installed"
fi
echo important >/etc/important
run strace -qq -o "$T/trace" -e trace=mkdir flake-ctl podman export fone /home/bob/out.tar
check "an image exported to another user's directory" bash -c "[ $rc = 0 ] && tar -tf /home/bob/out.tar | grep -q index.json"
check "is not saved there" bash -c "! grep -q /home/bob '$T/trace' && grep -q '/var/tmp/.flake-export' '$T/trace'"
ln -s /etc/important /home/bob/bundle
run strace -qq -o "$T/trace" -e trace=mkdir flake-ctl podman export --bundle fone /home/bob/bundle
check "a bundle takes a link's place" bash -c "[ $rc = 0 ] && [ ! -L /home/bob/bundle ] && [ \$(cat /etc/important) = important ]"
check "and is not made there either" bash -c "! grep -q /home/bob '$T/trace'"
run flake-ctl podman export fone "$T/own.tar"
check "in an own directory it is" [ -s "$T/own.tar" ]
check "nothing is left of the work" bash -c "! ls -A /var/tmp /home/bob '$T' | grep -E '^\.flake-|\.tmp\.'"
rm -rf /home/bob/proj /home/bob/out.tar /home/bob/bundle "$T/own.tar" /etc/important
flake-ctl podman remove --app /usr/bin/fone

# Wherever a removal is killed, nothing of the flake counts for the next one of its name.
kills=0
for call in rename unlink unlinkat rmdir; do
	for n in 1 2 3 4 5 6; do
		flake fgone /bin/sh
		printf 'container: {runtime: {podman: ["--net none", "--env OLD=yes"]}}\n' >/usr/share/flakes/fgone.d/10.yaml
		echo 'return function(event) event.env.HOOKED = "yes" end' >/usr/share/flakes/fgone.d/launch.lua
		strace -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$n flake-ctl podman remove --app /usr/bin/fgone >/dev/null 2>&1
		[ $? = 137 ] || { flake-ctl podman remove --app /usr/bin/fgone >/dev/null 2>&1; break; }
		kills=$((kills + 1))
		[ ! -e /usr/bin/fgone ] || continue
		flake-ctl doctor >"$T/doctor"
		[ -z "$(ls -d /usr/share/flakes/fgone* 2>/dev/null)" ] || grep -q fgone "$T/doctor" || echo "doctor: nothing after $call $n"
		run flake-ctl podman remove --app /usr/bin/fgone
		flake fgone /bin/sh
		fgone -c 'echo "$call$n: $OLD$HOOKED"' </dev/null
	done
done >"$T/gone" 2>&1
check "a killed removal was tried at $kills points" [ "$kills" -ge 4 ]
check "doctor names each half removed flake, and nothing of it counts" bash -c "! grep -E 'doctor:|: .*yes' '$T/gone'"
flake fgone /bin/sh
flake-ctl podman remove --app /usr/bin/fgone
check "nothing is left in the end" [ -z "$(ls -d /usr/share/flakes/fgone* 2>/dev/null)" ]

# What is printed does nothing to a terminal, whoever wrote it.
esc=$'\e'
is_clean() { ! grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$out" "$err"; }
mkdir -p "$T/escapes"
printf 'about: \e]0;title\a\e[2J red\n' >"$T/escapes/evil.yaml"
cat >"$T/escapes/Containerfile" <<C
FROM $IMAGE
COPY evil.yaml /evil.yaml
LABEL x="${esc}[2J"
ENTRYPOINT ["/bin/e${esc}[31mcho"]
C
podman build -q -t localhost/evil "$T/escapes" >/dev/null 2>&1
run flake-ctl podman register --container localhost/evil --info
check "an image's notes" eval 'is_clean && out_has red'
flake-ctl podman register --force --container localhost/evil --app /usr/bin/fevil --target /bin/sleep --opt "--net none"
printf 'container:\n  name: "x\\e[31m"\n  "\\e[2Jkey": 1\n  target_app_path: "/bin/\\e[31mx"\n  host_app_path: "/usr/bin/\\e[31mfodd"\n  runtime: {podman: ["--net none"]}\n' >/usr/share/flakes/fodd.yaml
ln -s podman-pilot /usr/bin/fodd
printf 'version: 2\nruntime: {name: x}\nengine: {pilot: "po\\e[31mdman"}\n' >/usr/share/flakes/fengine.yaml
ln -s podman-pilot /usr/bin/fengine
for command in list "list --format csv" "list --format json" doctor "explain fodd" "explain fengine" "podman register --container ${esc}x --app /usr/bin/x" \
	"import $T/${esc}[31m" "${esc}[31m" "podman ${esc}[31m" "list --format ${esc}[31m"; do
	IFS=' ' read -r -a words <<<"$command"
	run flake-ctl "${words[@]}"
	check "flake-ctl ${command//$esc/ESC}" is_clean
done
for name in fodd fengine; do
	run "$name"
	check "the refusal of $name" eval 'is_clean && [ $rc != 0 ]'
	run "$name" %debug
	check "and with %debug" is_clean
done
run bash -c "exec -a $'no\e[31mne' /usr/bin/podman-pilot"
check "a pilot by a name with an escape" eval 'is_clean && [ $rc != 0 ]'
run /usr/lib/flake-pilot/flake-relay $'x\e[31m=5'
check "the relay" eval 'is_clean && [ $rc != 0 ]'
podman run -d --rm --net none --label flake-pilot.run=1 --label flake-pilot.flake="f;rm -rf $esc[31m" "$IMAGE" /bin/sleep 600 >/dev/null
run flake-ctl podman show --format csv
check "labels as CSV" eval 'is_clean && out_has "f;rm -rf"'
run flake-ctl podman stop --all
check "labels when they are stopped" eval 'is_clean && out_has "stopped f;rm"'
rm /usr/bin/fodd /usr/bin/fengine /usr/share/flakes/fodd.yaml /usr/share/flakes/fengine.yaml
flake-ctl podman remove --app /usr/bin/fevil
