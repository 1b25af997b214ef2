# User mode: a fresh account with own flakes on rootless podman; what the system's flakes and the
# admin's word mean for it.
# shellcheck shell=bash
chmod 755 "$T"
tar -C "$T/tree" -c . >"$T/image.tar" && chmod 644 "$T/image.tar"
useradd -m ann
useradd -m bob
# No variable of root's session, and a directory that a user may enter.
user_path=/usr/local/bin:/usr/bin:/bin
as() {
	local name=$1
	shift
	(cd / && runuser -u "$name" -- env -i HOME="/home/$name" USER="$name" LOGNAME="$name" \
		PATH="${user_path//\~//home/$name}" ${runtime:+XDG_RUNTIME_DIR=$runtime} "$@")
}
own=/home/ann/.flakes
bin=/home/ann/.local/bin

# What root has.
rm -rf /usr/share/flakes /etc/flakes /run/flakes
mkdir -p /etc/tmpfiles.d
run flake-ctl init
check "init as root" rc_is 0
check "the system's directories are there" [ -d /usr/share/flakes -a -d /etc/flakes/hooks/launch.d -a -d /etc/flakes/hooks/remove.d ]
check "/run/flakes is everybody's, sticky and root's" [ "$(stat -c '%a %u' /run/flakes)" = "1777 0" ]
check "also after a boot" grep -qx "d /run/flakes 1777 root root -" /etc/tmpfiles.d/flake-pilot.conf
run flake-ctl init
check "init again" out_has "everything is there already"
chmod 777 /usr/share/flakes
chmod 755 /run/flakes
run flake-ctl init
check "init names a directory that others can write" rc_is 1
run flake-ctl init --force
check "init --force repairs it" rc_is 0
check "and the modes are right again" [ "$(stat -c %a /usr/share/flakes /run/flakes | xargs)" = "755 1777" ]
run flake-ctl init --user
check "root has no flakes of its own: wrong usage" rc_is 2
check "and is told" err_has "leave out --user"
for verb in "list" "doctor" "explain x" "podman show" "podman pull --uri x" "podman load --oci x" \
	"podman update --all" "podman export x y" "podman remove --app /x" "import $T/image.tar"; do
	run flake-ctl $verb --user
	check "$verb --user is wrong usage for root" rc_is 2
done
run as ann flake-ctl init
check "init without --user is not for users" rc_is 2
check "and says what is" err_has "flake-ctl init --user"

# What is missing is named.
cp /etc/subuid "$T/subuid"; cp /etc/subgid "$T/subgid"
sed -i /ann/d /etc/subuid /etc/subgid
run as ann flake-ctl init --user
check "init --user without subordinate ids fails" rc_is 1
check "it names the files" out_has "no range for you in /etc/subuid and /etc/subgid"
free=$(awk -F: 'BEGIN { m = 100000 } $2 + $3 > m { m = $2 + $3 } END { print m "-" m + 65535 }' /etc/subuid /etc/subgid)
check "and the remedy, with ids that nobody has" out_has "usermod --add-subuids $free --add-subgids $free ann"
check "bob has those of before" [ "${free%%-*}" -gt 100000 ]
run as ann flake-ctl doctor
check "so does doctor" out_has "no range for you in /etc/subuid and /etc/subgid"
check "doctor calls it serious" rc_is 1
cp "$T/subuid" /etc/subuid; cp "$T/subgid" /etc/subgid
mv /usr/bin/newuidmap /usr/bin/newuidmap.away
run as ann flake-ctl init --user
check "a missing newuidmap is named" out_has "newuidmap is missing"
mv /usr/bin/newuidmap.away /usr/bin/newuidmap
mkdir "$T/few"
for tool in env flake-ctl; do ln -s "$(command -v $tool)" "$T/few/"; done
run as ann env PATH="$T/few" flake-ctl init --user
check "a missing podman is named" out_has "podman is not installed"
runtime=/run/user/0
mkdir -p $runtime
run as ann flake-ctl init --user
check "a runtime directory of somebody else is named" out_has "XDG_RUNTIME_DIR is not yours"
runtime=
rm -rf "$own" /tmp/podman-run-* /tmp/containers-user-*

# A fresh account.
run as ann flake-ctl init --user
check "init --user on a fresh account" rc_is 0
check "it made the user's root" out_has "made $own"
check "and the directory of commands" [ -d "$bin" ]
check "it is the user's, and private" [ "$(stat -c '%U %a' $own $own/flakes | xargs)" = "ann 700 ann 755" ]
check "it names what is not on PATH" out_has "$bin is not on PATH"
check "and that there is no runtime directory" out_has "no runtime directory"
check "it says what to do next" out_has "flake-ctl podman register --user"
user_path=~/.local/bin:$user_path
user_path=${user_path/#$HOME/\~}
run as ann flake-ctl init --user
check "init --user again changes nothing" out_has "everything is there already"
check "and finds PATH right" bash -c "! grep -q 'on PATH' $out"
echo changed >"$own/README"
chmod 777 "$own/flakes"
run as ann flake-ctl init --user
check "a directory that others can write is named" rc_is 1
check "with the remedy" out_has "flake-ctl init --user --force"
echo keep >"$own/flakes/kept.yaml.save"
run as ann flake-ctl init --user --force
check "--force repairs" rc_is 0
check "the mode" [ "$(stat -c %a $own/flakes)" = 755 ]
check "and the template" grep -q "Your own flakes" "$own/README"
check "and deletes nothing" [ -f "$own/flakes/kept.yaml.save" ]
rm "$own/flakes/kept.yaml.save"

run as ann podman import --change 'CMD ["/bin/echo","default"]' "$T/image.tar" localhost/mine
check "the user has an image" rc_is 0
run as ann flake-ctl podman --user register --container localhost/mine --app $bin/hello --target /bin/echo --opt "--net none"
check "podman --user register" rc_is 0
check "the definition is in the user's root" [ -f $own/flakes/hello.yaml -a ! -e /usr/share/flakes/hello.yaml ]
run as ann hello from ann
check "it runs, rootless" out_is "from ann"
run as ann flake-ctl podman register --user --container localhost/mine --app $bin/idx --target /bin/sh --opt "--net none"
check "register --user" rc_is 0
check "no warning when all is well" [ ! -s "$err" ]
run as ann bash -c "echo piped | idx -c 'cat; exit 7'"
check "stdin and exit code" [ "$rc" = 7 -a "$(cat "$out")" = piped ]
run as ann flake-ctl podman --user register --container localhost/mine --app /usr/bin/nope
check "a command where the user may not write is refused" rc_is 1
check "with the place that is right" err_has "~/.local/bin/NAME"
check "and nothing is left of it" [ ! -e $own/flakes/nope.yaml ]
run as ann flake-ctl podman --user register --container localhost/mine --app $bin/other --run-as root
check "an own flake runs as nobody else" rc_is 2
sed -i 's/runas: .*/runas: root/' $own/flakes/idx.yaml
run as ann idx -c true
check "not by an edited definition either" rc_is 126
check "the message says so" err_has "is your own and runs as you"
sed -i 's/runas: .*/runas: ann/' $own/flakes/idx.yaml
run as ann idx -c true
check "naming oneself is fine" rc_is 0

run as ann flake-ctl list --user --format csv
check "list --user" out_has "hello,podman,$bin/hello,/bin/echo,localhost/mine,$own/flakes/hello.yaml"
run as ann flake-ctl list
check "list shows the system's" out_has "no flakes registered in /usr/share/flakes"
run as ann flake-ctl explain hello -- a
check "explain finds an own flake" out_has "# from $own/flakes/hello.yaml"
check "without sudo" bash -c "! grep -q sudo $out"
run as ann flake-ctl explain --user hello
check "explain --user too" rc_is 0
run as ann flake-ctl doctor hello
check "doctor NAME" out_is "all is well"
run as ann flake-ctl doctor hello --user
check "doctor NAME --user" out_is "all is well"
run as ann flake-ctl podman --user show --format json
check "podman --user show" out_is "[]"
run as ann flake-ctl podman --user pull --uri 127.0.0.1:9/not:there
check "podman --user pull is podman's" rc_is 125
run as ann podman save -q -o /home/ann/image.oci localhost/mine
run as ann flake-ctl podman --user load --oci /home/ann/image
check "podman --user load" rc_is 0
ln -s /usr/bin/podman-pilot $bin/lonely
mv $bin/hello $bin/hello.away
run as ann flake-ctl doctor
check "doctor finds an own link without definition" out_has "$bin/lonely"
check "and an own definition without command" out_has "$bin/hello"
rm $bin/lonely
mv $bin/hello.away $bin/hello
mkdir -p /home/ann/bin && ln -s /nowhere/podman-pilot /home/ann/bin/hello
run as ann flake-ctl doctor --user
check "doctor looks into ~/bin" out_has "/home/ann/bin/hello"
rm -r /home/ann/bin
chmod 666 $own/flakes/hello.yaml
run as ann hello x
check "an own definition that others can write is refused" rc_is 126
run as ann flake-ctl doctor hello
check "doctor names the remedy" out_has "flake-ctl init --user --force"
as ann flake-ctl init --user --force >/dev/null
run as ann hello x
check "which works" out_is x
chown bob $own/flakes/hello.yaml
run as ann hello x
check "one that belongs to somebody else, too" rc_is 126
chown ann $own/flakes/hello.yaml
for dir in $own/flakes $own; do
	mode=$(stat -c %a $dir)
	chmod 777 $dir
	run as ann hello x
	check "so is one in a directory that others can write: $dir" [ "$rc" = 126 ]
	check "and that is what is said" err_has "refusing $dir: others can write to it"
	chmod $mode $dir
done
run as ann env SUDO_UID=0 flake-ctl list --user
check "through sudo there are no own flakes" rc_is 2
check "which is said" err_has "through sudo"

run as ann flake-ctl podman --user export --bundle hello /home/ann/hello.flake
check "export --bundle of an own flake" rc_is 0
run as ann flake-ctl podman remove --app $bin/hello --user
check "remove --app --user" rc_is 0
check "takes definition, .d and link" [ -z "$(ls -d $own/flakes/hello* $bin/hello 2>/dev/null)" ]
as ann podman rmi -f localhost/mine >/dev/null
run as ann flake-ctl import --user /home/ann/hello.flake
check "import --user" rc_is 0
run as ann hello again
check "the imported flake runs" out_is again

# The user's hooks run for the user's own flakes only.
flake sysfsh /bin/sh
run as ann podman tag localhost/mine "$IMAGE"
as ann bash -c "echo 'return function(event) event.env.OWN = \"mine\" end' >$own/hooks/launch.d/x.lua"
run as ann idx -c 'echo "[$OWN]"'
check "a user's hook runs for an own flake" out_is "[mine]"
run as ann sysfsh -c 'echo "[$OWN]"'
check "and not for the system's" out_is "[]"
run as bob idx
check "another user does not have it" [ "$rc" != 0 ]
rm $own/hooks/launch.d/x.lua

# A flake of the system: runas decides, absent means the caller, rootless.
run as ann flake-ctl explain sysfsh
check "a system flake without runas runs as the caller" bash -c "grep -q '^podman run' $out"
as ann sysfsh -c 'sleep 3600' >/dev/null 2>&1 </dev/null & pid=$!
wait_for eval '[ -n "$(as ann podman ps -q)" ]'
check "its container is in the caller's store" [ -n "$(as ann podman ps -q)" -a -z "$(podman ps -q)" ]
run as ann podman top -l huser
check "and its processes are the caller's" out_has "$(id -u ann)"
as ann podman kill --all >/dev/null 2>&1
wait $pid 2>/dev/null
flake sysroot /bin/id --run-as root
run as ann flake-ctl explain sysroot
check "with runas it goes through sudo" out_has "sudo --user=root -- podman run"

# Shadowing.
run as ann flake-ctl podman --user register --container localhost/mine --app $bin/sysfsh
check "an own flake of the name of the system's is refused" rc_is 1
check "the message names the way out" err_has "user_may_override"
flake-ctl podman register tools --container "$IMAGE" --app /usr/bin/tool-a --app /usr/bin/tool-b --target / --opt "--net none"
run as ann flake-ctl podman --user register --container localhost/mine --app $bin/tool-b
check "so is the name of one of its commands" rc_is 1
run as ann flake-ctl podman --user register tools --container localhost/mine --app $bin/tool-c
check "and the name of a flake without command of that name" rc_is 1
cat >$own/flakes/sysfsh.yaml <<YML
container: {name: localhost/mine, host_app_path: $bin/sysfsh, target_app_path: /bin/echo, runtime: {podman: ["--net none"]}}
YML
chown ann $own/flakes/sysfsh.yaml
as ann ln -s /usr/bin/podman-pilot $bin/sysfsh
run as ann sysfsh -c 'echo system'
check "a hand-written one does not win" out_is system
run as ann flake-ctl doctor
check "doctor says that it is hidden" out_has "your flake 'sysfsh' is hidden"
flake sysfsh /bin/sh --user-may-override
check "the admin's permission is in the definition" grep -qx 'user_may_override: true' /usr/share/flakes/sysfsh.yaml
run as ann sysfsh own one
check "with it the user's own wins" out_is "own one"
run as bob flake-ctl explain sysfsh
check "for another user nothing changes" out_has "# from /usr/share/flakes/sysfsh.yaml"
run sysfsh -c 'echo root'
check "nor for root" out_is root
run as ann flake-ctl podman --user register --force --container localhost/mine --app $bin/sysfsh --target /bin/cat --opt "--net none"
check "and register --user is allowed" rc_is 0
chmod 666 $own/flakes/sysfsh.yaml
run as ann sysfsh
check "an override that others can write is refused, not passed over" rc_is 126
rm $own/flakes/sysfsh.yaml
run as ann sysfsh -c 'echo system again'
check "without own definition the system's runs" out_is "system again"
run flake-ctl podman register --user-may-override --user --container x --app /x
check "the permission is not the user's to give" rc_is 2

# Where anyone can make a directory, bob has made what should be ann's.
flake sysres /bin/echo --resume
uid=$(id -u ann)
rm -rf /run/flakes/$uid
as bob mkdir -p /run/flakes/$uid/x
as bob touch /tmp/flakes-$uid
run as ann sysres blocked
check "a state directory that somebody else made is refused" rc_is 126
check "with the way out" err_has "as root: flake-ctl init --force"
run as ann flake-ctl doctor
check "doctor names it" out_has "/run/flakes/$uid is user $(id -u bob)'s"
run flake-ctl doctor
check "to root, too" out_has "/run/flakes/$uid is user $(id -u bob)'s"
run flake-ctl init --force
check "init --force takes it away" [ ! -e /run/flakes/$uid -a ! -e /tmp/flakes-$uid ]
run as ann sysres free
check "and all is well again" out_is free

# Instances and images of a flake that runs as ann are in ann's store.
flake asann /bin/echo --run-as ann --resume
run env -C / asann up
check "a flake that runs as a user has an instance" out_is up
run flake-ctl podman remove --app /usr/bin/asann
check "root's remove sees it" rc_is 1
check "and says who ends it" err_has "sudo --user=ann flake-ctl podman stop asann"
run flake-ctl podman remove --force --app /usr/bin/asann
check "with --force it removes the flake" rc_is 0
check "and the instance" [ -z "$(as ann podman ps -aq --filter label=flake-pilot.flake=asann)" ]
