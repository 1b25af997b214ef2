# Delta containers and includes: composed once, launched like any image.
# shellcheck shell=bash disable=SC2016
state=/run/flakes/0

# image NAME TREE [OPTION…]: an image of what is in the directory.
image() {
	local name=$1 tree=$2
	shift 2
	tar -C "$tree" -c . | podman import "$@" - "$name" >/dev/null 2>&1
}

# define NAME TARGET KEYS…: writes a definition; KEYS are lines below container.
define() {
	local name=$1 target=$2 line
	shift 2
	flake "$name" "$target" 2>/dev/null
	{
		echo "include: {tar: ${TARS:-null}, path: ${PATHS:-null}}"
		echo "container:"
		for line in "host_app_path: /usr/bin/$name" "target_app_path: $target" \
			"runtime: {podman: ['--net none']}" "$@"; do
			echo "  $line"
		done
	} >"/usr/share/flakes/$name.yaml"
}

composed() { podman images --format '{{.Tag}}' "localhost/flake-pilot/f$1" | grep -vc latest; }
image_id() { podman image inspect --format '{{.Id}}' "localhost/flake-pilot/f$1"; }
# Nothing of a composition is left but images.
is_clean() {
	[ -z "$(podman ps -aq --external)" ] &&
		! podman images --format '{{.Repository}}' | grep -q flake-pilot/base- &&
		[ -z "$(find /var/tmp -maxdepth 1 -name 'flake-compose-*')" ]
}

make_image
base=$T/base
cp -a "$T/tree" "$base"
mkdir -p "$base/usr/lib" "$base/opt" "$base/home"
ln -s usr/lib "$base/lib"
for n in one two three; do echo base >"$base/opt/$n"; done
install -m 755 /dev/stdin "$base/systemfiles" <<'S'
echo /etc/os-release
echo /lib/hostlib.so
S
image localhost/base "$base" --change 'ENV FROM=base' --change 'ENV BASE=yes' \
	--change 'ENTRYPOINT ["/bin/echo","base"]' --change 'WORKDIR /tmp'
mkdir -p "$T/layer/opt" "$T/c/opt" "$T/c/app"
for n in two three; do echo layer >"$T/layer/opt/$n"; done
image localhost/layer "$T/layer"
echo delta >"$T/c/opt/three"
cp "$T/tree/bin/busybox" "$T/c/app/sh"
chmod 4711 "$T/c/app/sh"
printf '%s\n' /usr/share/flake-host-file /etc/shadow /not/there '' /usr/lib >"$T/c/removed"
image localhost/delta "$T/c" --change 'ENV FROM=delta "$HOME" \' --change 'CMD ["/bin/echo","of delta","$HOME"]' \
	--change 'WORKDIR /opt' --change 'LABEL a=b'
echo host >/usr/share/flake-host-file
echo lib >/usr/lib/hostlib.so

define fdelta /bin/sh "name: localhost/delta" "base_container: localhost/base" "layers: [localhost/layer]"
run fdelta -c 'cat /opt/one /opt/two /opt/three'
check "layers go over the base, the container over both" [ "$(tr '\n' ' ' <"$out")" = "base layer delta " ]
check "what may not be read is named" err_has "/etc/shadow of this host: not everybody may read it"
check "nothing is left over" is_clean
run fdelta -c 'cat /usr/share/flake-host-file /lib/hostlib.so; readlink /lib; echo $FROM $BASE; pwd'
check "files of the host are there; links of the image stay links" out_has "$(printf 'host\nlib\nusr/lib')"
check "environment: the container's over the base's" out_has 'delta "$HOME" \ yes'
check "working directory of the container" out_has /opt
run fdelta -c 'test -e /etc/shadow || echo none; ls -l /app/sh'
check "/removed gets no secret out of the host" out_has none
check "set-id bits stay" out_has -rws--x--x
check "the id of the image is recorded" grep -q "$(image_id fdelta)" $state/fdelta.image
check "labels tell what it is" [ "$(podman image inspect --format '{{index .Labels "flake-pilot.composed"}} {{index .Labels "a"}}' localhost/flake-pilot/ffdelta)" = "fdelta b" ]

before=$(stat -c %Y.%i $state/fdelta.image)
strace -f -qq -e trace=execve -o "$T/trace" fdelta -c true </dev/null >"$out" 2>"$err"
check "the second launch starts no flake-ctl" bash -c "! grep -qE 'flake-ctl|\"build\"' '$T/trace'"
check "and is one podman run" [ "$(grep -cE 'execve\("[^"]*/podman", \["podman", "run"' "$T/trace")" -ge 1 ]
check "and records nothing" [ "$before" = "$(stat -c %Y.%i $state/fdelta.image)" ]

old=$(image_id fdelta)
echo changed >/usr/share/flake-host-file
run fdelta -c 'cat /usr/share/flake-host-file'
check "a changed host file: composed anew" out_is changed
check "the old image is gone" bash -c "! podman image exists $old"
check "there is one" [ "$(composed fdelta)" = 1 ]
: >/not-there-before; mkdir -p /not; echo now >/not/there
run fdelta -c 'cat /not/there'
check "a missing host file that appears counts" out_is now
rm -r /not /not-there-before
fdelta -c true >/dev/null 2>&1
podman tag localhost/base localhost/unrelated
id=$(image_id fdelta)
run fdelta -c true
check "another image in the store changes nothing" [ "$(image_id fdelta)" = "$id" ]
rm -r /run/flakes
run fdelta -c 'echo up'
check "after a reboot the image is found again" [ "$(image_id fdelta)" = "$id" ]
podman rmi localhost/flake-pilot/ffdelta:latest "$id" --force >/dev/null 2>&1
run fdelta -c 'echo back'
check "a removed composed image is made again" out_is back
echo delta2 >"$T/c/opt/three"
image localhost/delta "$T/c" --change 'CMD ["/bin/echo","of delta","$HOME"]'
run fdelta -c 'cat /opt/three'
check "a new image of a part: composed anew" out_is delta2
mkfifo "$T/hold"
fdelta -c 'read -r _' <"$T/hold" & pid=$!
exec 7>"$T/hold"
wait_for run_containers 1
echo again >/usr/share/flake-host-file
run fdelta -c 'cat /usr/share/flake-host-file'
check "an image in use is no obstacle" out_is again
check "it is in use to the end" kill -0 $pid
exec 7>&-
wait $pid
echo more >/usr/share/flake-host-file
fdelta -c true >/dev/null 2>&1
check "it goes when it is used no more" [ "$(composed fdelta)" = 1 ]

echo 'return function(event) event.env.HOOK = "yes" end' >/usr/share/flakes/fdelta.d/launch.lua
echo by-hook >/usr/share/flake-host-file
run fdelta -c 'cat /usr/share/flake-host-file; echo $HOOK'
check "a launch hook composes too" [ "$(tr '\n' ' ' <"$out")" = "by-hook yes " ]
rm /usr/share/flakes/fdelta.d/launch.lua
define fresume /bin/sh "name: localhost/delta" "base_container: localhost/base"
sed -i 's/runtime: {/runtime: {resume: true, /' /usr/share/flakes/fresume.yaml
run fresume -c 'cat /opt/one; echo x >/tmp/kept'
check "resume: composed, then started" out_is base
run fresume -c 'cat /tmp/kept'
check "and entered" out_is x
run fresume %remove -c true
flake-ctl podman remove --app /usr/bin/fresume

mkdir -p "$T/busy"
PATHS="['$T/busy']" define fbusy /bin/echo "name: $IMAGE"
(while :; do date +%N >"$T/busy/f"; sleep 0.05; done) & pid=$!
run fbusy works
check "an include that changes all the time is no obstacle" out_is works
kill $pid; wait $pid 2>/dev/null
flake-ctl podman remove --app /usr/bin/fbusy

define fentry / "name: localhost/delta" "base_container: localhost/base"
run fentry
podman rmi -f "$(image_id fentry)" >/dev/null 2>&1
script -qec "fentry" "$T/typescript" >/dev/null 2>&1 </dev/null
check "on a terminal it is told what takes so long" grep -q "composing the image of flake 'fentry'" "$T/typescript"
run fentry
check "target /: the container's own command, literally" out_is 'of delta $HOME'

# Two first calls.
rm -f $state/fdelta.image; podman rmi -f "$(image_id fdelta)" >/dev/null 2>&1
for i in 1 2 3; do strace -f -qq -e trace=execve -o "$T/trace.$i" fdelta -c "echo $i" </dev/null >"$T/out.$i" 2>&1 & pids[i]=$!; done
for i in 1 2 3; do wait "${pids[i]}"; done
check "concurrent first calls all run" [ "$(tail -qn 1 "$T"/out.[123] | tr '\n' ' ')" = "1 2 3 " ]
check "and compose once" [ "$(cat "$T"/trace.[123] | grep -c '\["podman", "build"')" = 1 ]

# A delta with real directories over a base where /usr is merged; owners, links and volumes.
merged=$T/merged
mkdir -p "$merged/usr"; cp -a "$T/tree/." "$merged"; mv "$merged/bin" "$merged/usr/bin"; ln -s usr/bin "$merged/bin"
image localhost/merged "$merged" --change 'VOLUME /data'
mkdir -p "$T/joe/bin" "$T/joe/opt"
printf '#!/bin/sh\necho joe; ls -ln /opt; readlink /bin\n' >"$T/joe/bin/joe"; chmod 755 "$T/joe/bin/joe"
echo x >"$T/joe/opt/x"; chown 33:44 "$T/joe/opt/x"; chmod 600 "$T/joe/opt/x"
ln "$T/joe/opt/x" "$T/joe/opt/hard"; chmod 1777 "$T/joe/opt"
image localhost/joe "$T/joe" --change 'VOLUME /data'
define fjoe /bin/joe "name: localhost/joe" "base_container: localhost/merged"
volumes=$(podman volume ls -q | wc -l)
run fjoe
check "a directory of a delta leaves the base's link" out_has joe
check "which stays one" out_has usr/bin
check "owner, mode and hard links of a part stay" [ "$(grep -c -- '-rw-------  *2 33  *44 ' "$out")" = 2 ]
check "composing leaves no volume behind" [ "$(podman volume ls -q | wc -l)" = "$volumes" ]
flake-ctl podman remove --app /usr/bin/fjoe

# Interrupted work.
head -c 150000000 /dev/urandom >"$T/c/app/big"
image localhost/big "$T/c"
define fbig /bin/sh "name: localhost/big" "base_container: localhost/base"
is_composing() { [ -n "$(podman ps -aq --external --filter name=working)" ] || ! kill -0 $pid 2>/dev/null; }
for how in "INT -- -" "INT " "TERM " "KILL "; do
	fresh flake-ctl podman compose fbig >"$out" 2>"$err" </dev/null & pid=$!
	wait_for is_composing
	check "kill $how comes in the midst of a composition" kill -0 $pid
	# shellcheck disable=SC2086
	kill -s $how$pid; wait $pid 2>/dev/null
	[ "$how" = "KILL " ] || check "kill $how leaves nothing half" is_clean
done
podman_pid=$(pgrep -f 'podman build.*ffbig' | head -n 1)
[ -z "$podman_pid" ] || kill -9 "$podman_pid"
run fbig -c 'echo whole'
check "a killed composition is made whole by the next" out_is whole
check "and nothing is left of it" is_clean
flake-ctl podman remove --app /usr/bin/fbig
check "remove takes composed images along" [ "$(composed fbig)" = 0 ]
podman rmi localhost/big >/dev/null 2>&1

# /systemfiles is a stranger.
evil=$T/evil
cp -a "$T/tree" "$evil"
cat >"$evil/systemfiles" <<'S'
echo /probe/uid-$(id -u)
(echo evil >/etc/flake-evil) 2>/dev/null && echo /probe/wrote
(echo evil >/flake-evil) 2>/dev/null && echo /probe/wrote
cat /proc/sys/kernel/hostname | sed s,^,/probe/host-, 2>/dev/null
[ -e /usr/share/flake-host-file ] && echo /probe/host-file
[ -e /run/flakes ] && echo /probe/run
grep -q eth0 /proc/net/dev && echo /probe/net
grep CapEff /proc/self/status >/tmp/x; while read a b; do echo /probe/caps-$b; done </tmp/x
grep NoNewPrivs /proc/self/status >/tmp/x; while read a b; do echo /probe/nnp-$b; done </tmp/x
S
ln -s busybox "$evil/bin/grep"; ln -s busybox "$evil/bin/sed"
image localhost/evil "$evil"
define fevil /bin/sh "name: localhost/delta" "base_container: localhost/evil"
run fevil -c true
check "missing host files stop the launch" rc_is 125
check "the first is named" err_has "needs /probe/"
check "the script runs as nobody" grep -qx 'system /probe/uid-65534' $state/~ffevil.hosts
check "without capabilities" grep -qx 'system /probe/caps-0000000000000000' $state/~ffevil.hosts
check "and cannot get any" grep -qx 'system /probe/nnp-1' $state/~ffevil.hosts
check "it writes nothing, sees no host, has no network" bash -c "! grep -qE 'probe/(wrote|host-file|run|net)' $state/~ffevil.hosts"
run fevil %ignore_sync_error -c 'echo all the same'
check "%ignore_sync_error launches all the same" out_is 'all the same'
run fevil -c true
check "and holds for that call only" bash -c "[ $rc = 125 ] && grep -q 'needs /probe/' '$err'"
run fevil %ignore_sync_error -c 'echo again'
check "for the next that asks there is the image" bash -c "[ '$(cat "$out")' = again -a $(composed fevil) = 1 ]"
flake-ctl podman remove --app /usr/bin/fevil
printf 'trap "" TERM\nwhile :; do sleep 1; done\n' >"$evil/systemfiles"
image localhost/evil "$evil"
define fevil /bin/sh "name: localhost/delta" "base_container: localhost/evil"
run fevil -c true
check "a script that hangs is ended" rc_is 125
check "with the reason" err_has "did not end within"
check "and leaves nothing" is_clean
printf 'while :; do echo /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done\n' >"$evil/systemfiles"
image localhost/evil "$evil"
run fevil -c true
check "a script that floods is ended" rc_is 125
for list in '/etc/../etc/shadow' '../etc/shadow' $'/etc/\x1b[2Jx'; do
	printf "cat <<'E'\n%s\nE\n" "$list" >"$evil/systemfiles"
	image localhost/evil "$evil"
	run fevil -c true
	check "a list with $(printf %q "$list") is refused" bash -c "[ $rc = 125 ] && grep -q 'names no path' '$err'"
done
rm "$evil/systemfiles"
echo /not/there/at/all >"$evil/removed"
image localhost/evil "$evil"
run fevil -c 'ls -d /host.tar || echo none'
check "a list of nothing that exists adds nothing" out_is none
mkdir -p "$T/private"; chmod 700 "$T/private"; echo secret >"$T/private/f"
ln -s "$T/private/f" /usr/share/flake-link
printf '%s\n' "$T/private/f" /proc/kallsyms /dev/kmsg /usr/share/flake-link/ >"$evil/removed"
ln -s /root "$T/root-link"; echo "$T/root-link/.bashrc" >>"$evil/removed"
image localhost/evil "$evil"
run fevil -c "cat $T/private/f $T/root-link/.bashrc /proc/kallsyms2 /usr/share/flake-link; ls -l /usr/share/flake-link"
check "private files stay private, whatever leads there" bash -c "! grep -q secret '$out'"
rm /usr/share/flake-link "$evil/removed"
ln -s /etc/passwd "$evil/removed"
image localhost/evil "$evil"
run fevil -c true
check "/removed as link leads nowhere outside the image" bash -c "! grep -q '$(id -un 0):x:0:0:root:/root' $state/~ffevil.hosts"
flake-ctl podman remove --app /usr/bin/fevil

# Triggers of a base are none of a flake's.
printf 'FROM %s\nENV A="x y" TERM=own\nVOLUME /data\nCMD ["/bin/echo","of base"]\nONBUILD RUN ["/bin/busybox","touch","/trigger"]\n' \
	"$IMAGE" >"$T/Containerfile"
podman build -q --format docker -t localhost/trigger -f "$T/Containerfile" "$T" >/dev/null 2>&1
run podman image inspect --format '{{.ManifestType}} {{.History}}' localhost/trigger
check "an image with ONBUILD" bash -c "grep -q docker '$out' && grep -qi onbuild '$out'"
images=$(podman images --all --quiet | sort)
define ftrig /bin/sh "name: localhost/layer" "base_container: localhost/trigger"
run ftrig -c 'ls /trigger /opt/two; echo "$A $TERM"'
check "ONBUILD of the base is not executed" bash -c "! grep -q ^/trigger '$out' && grep -q two '$out'"
check "the base's variables stay" out_has "x y own"
settings() { podman image inspect --format '{{json .Config.Cmd}} {{json .Config.Volumes}} {{range .Config.Env}}
{{.}}{{end}}' "$1" | sort; }
check "as do its command and volumes, and nothing comes along" [ "$(settings localhost/flake-pilot/fftrig)" = "$(settings localhost/trigger)" ]
check "the copy it was built from is gone" is_clean
flake-ctl podman remove --app /usr/bin/ftrig
check "with all of its layers" [ "$(podman images --all --quiet | sort)" = "$images" ]
podman rmi localhost/trigger >/dev/null

# Host files of the container itself, without a base.
define fself /bin/cat "name: localhost/base" "check_host_dependencies: true"
run fself /lib/hostlib.so
check "check_host_dependencies without a base" out_is lib
rm /usr/lib/hostlib.so
run fself /lib/hostlib.so
check "a host file that vanishes stops the next launch" err_has "needs /lib/hostlib.so of this host: it is not there"
flake-ctl podman remove --app /usr/bin/fself
echo lib >/usr/lib/hostlib.so

# Includes.
inc="$T/inc é 'q\" \$HOME"
mkdir -p "$inc/sub" "$T/tar/lib/deep" "$T/tar/opt"
echo path >"$inc/sub/fil é"; chmod 640 "$inc/sub/fil é"; chown 33:44 "$inc/sub/fil é"; ln -s sub "$inc/link"
echo one >"$T/one file"
echo tar >"$T/tar/lib/deep/t"; echo new >"$T/tar/opt/one"
(cd "$T" && tar -C tar -czf inc.tar.gz lib opt)
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/finc --target /bin/sh --opt "--net none" \
	--include-tar "$T/inc.tar.gz" --include-path "$inc" --include-path "$T/one file"
check "register with includes" rc_is 0
(cd "$T" && flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/frel --target /bin/sh --include-path "./one file" --include-tar tar/../inc.tar.gz)
check "relative paths are made absolute" grep -qF "$T/inc.tar.gz" /usr/share/flakes/frel.yaml
check "spaces and all" grep -qF "$T/one file" /usr/share/flakes/frel.yaml
mkdir "$T/empty"
PATHS="['$T/empty', '$T/tar']" define fempty /bin/ls "name: $IMAGE"
run fempty "$T/empty" -ld "$T/tar/opt/one"
check "an empty directory, too" bash -c "[ $rc = 0 ] && grep -q tar/opt/one '$out'"
ln "$T/tar/opt/one" "$T/tar/opt/hard"
run fempty -l "$T/tar/opt/hard"
check "hard links stay" grep -qE -- '-rw-r--r-- +2 ' "$out"
rm "$T/tar/opt/hard"; flake-ctl podman remove --app /usr/bin/fempty
for bad in "--include-tar $T/nothing.tar" "--include-path $T/nothing" "--include-tar /etc/passwd" "--include-tar $T"; do
	# shellcheck disable=SC2086
	run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fbad $bad
	check "register refuses $bad" bash -c "[ $rc != 0 ] && [ ! -e /usr/bin/fbad ]"
done
run flake-ctl podman register --container "$IMAGE" --app /usr/bin/fbad --layer x
check "--layer without --base is wrong usage" rc_is 2
run finc -c 'cat "$0/sub/fil é" "$0/link/fil é" "$1" /lib/deep/t /opt/one; ls -ln "$0/sub"' "$inc" "$T/one file"
check "tar, directory and file are there" [ "$(head -n 5 "$out" | tr '\n' ' ')" = "path path one tar new " ]
check "with mode and owner" grep -qE -- '-rw-r-----  *1 33  *44 ' "$out"
echo path2 >"$inc/sub/fil é"
run finc -c 'cat "$0/sub/fil é"' "$inc"
check "a changed file in an included directory counts" out_is path2
echo x >"$inc/sub/appears"
run finc -c 'cat "$0/sub/appears"' "$inc"
check "so does one that appears" out_is x
rm -r "$inc/sub"
run finc -c 'ls "$0"' "$inc"
check "and one that vanishes" out_is link
mkdir -p "$inc/sub"; echo path >"$inc/sub/fil é"
mv "$T/one file" "$T/moved"
run finc -c true
check "a missing include stops the launch" bash -c "[ $rc = 125 ] && grep -q 'include.path' '$err'"
mv "$T/moved" "$T/one file"
run flake-ctl podman export --bundle finc "$T/finc.flake"
check "a bundle of it" rc_is 0
flake-ctl podman remove --app /usr/bin/finc
check "remove takes its images along" [ "$(composed finc)" = 0 ]
mv "$inc" "$inc.away"
run flake-ctl import "$T/finc.flake"
check "is restored" rc_is 0
run finc -c 'cat "$0/sub/fil é" "$1" /lib/deep/t' "$inc" "$T/one file"
check "with its includes" [ "$(tr '\n' ' ' <"$out")" = "path one tar " ]
mv "$inc.away" "$inc"
flake-ctl podman remove --app /usr/bin/finc
check "remove takes what the import brought" [ ! -e /usr/share/flakes/finc.include ]

# Archives with tricks.
python3 - "$T" <<'P'
import io, sys, tarfile
t = sys.argv[1]
def make(name, *members):
    with tarfile.open(f"{t}/{name}.tar", "w") as tar:
        for path, kind, text in members:
            m = tarfile.TarInfo(path)
            m.type, m.linkname = kind, text if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            m.size = len(text) if kind == tarfile.REGTYPE else 0
            m.mode = 0o4755
            tar.addfile(m, io.BytesIO(text.encode()))
R, S, L, C = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
make("abs", ("/opt/abs", R, "abs"), ("./lib/x", R, "x"))
make("dots", ("../../../../../../../tmp/flake-evil", R, "evil"))
make("link", ("out", S, "/tmp"), ("out/flake-evil", R, "evil"), ("dev0", C, ""))
P
for tar in abs link; do
	TARS="['$T/$tar.tar']" define ftar /bin/sh "name: localhost/base"
	run ftar -c 'cat /opt/abs /tmp/flake-evil; ls -l /opt/abs; readlink /lib'
	check "archive '$tar' stays inside the image" [ ! -e /tmp/flake-evil ]
	[ $tar = link ] && check "a link in an archive is the image's" out_has evil
	[ $tar = abs ] && check "absolute members, set-id bits and links of the image" bash -c "grep -q -- '^abs-rws' '$out' && grep -q usr/lib '$out'"
done
tar -cf "$T/empty.tar" -T /dev/null
TARS="['$T/empty.tar']" define ftar /bin/sh "name: localhost/base"
run ftar -c 'ls /*.tar || echo none'
check "an empty archive adds nothing" out_is none
TARS="['$T/dots.tar']" define ftar /bin/sh "name: localhost/base"
run ftar -c true
check "members with .. are refused" bash -c "[ $rc = 125 ] && grep -q 'refusing the path' '$err' && [ ! -e /tmp/flake-evil ]"
mkdir -p "$T/deb/DEBIAN" "$T/deb/opt"
printf 'Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n' >"$T/deb/DEBIAN/control"
echo deb >"$T/deb/opt/deb"; ln -s /opt/deb "$T/deb/opt/absolute"
dpkg-deb -b "$T/deb" "$T/x.deb" >/dev/null 2>&1
flake ftar /bin/cat
cat >/usr/share/flakes/ftar.yaml <<Y
version: 2
runtime: {name: $IMAGE, path_map: {/usr/bin/ftar: {exports: /bin/cat}}}
engine: {pilot: podman, args: ["--net none"]}
static: [x.deb]
Y
cp "$T/x.deb" /usr/share/flakes/x.deb
run ftar /opt/absolute
check "static of version 2: a deb, relative to the definition" out_is deb
rm /usr/share/flakes/x.deb
if command -v rpmbuild >/dev/null; then
	mkdir -p "$T/rpm"
	printf 'Name: x\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%%description\nx\n%%install\nmkdir -p %%{buildroot}/opt; echo rpm >%%{buildroot}/opt/rpm; ln -s /opt/rpm %%{buildroot}/opt/absolute\n%%files\n/opt/rpm\n/opt/absolute\n' >"$T/rpm/x.spec"
	# rpm 6 has a format of its own, which libarchive cannot read.
	rpmbuild -bb --quiet --define "_topdir $T/rpm" --define "_rpmformat 4" "$T/rpm/x.spec" >/dev/null 2>&1
	TARS="['$(echo "$T"/rpm/RPMS/noarch/*.rpm)']" define ftar /bin/cat "name: $IMAGE"
	run ftar /opt/absolute
	check "an rpm" out_is rpm
else
	skip "an rpm" "rpmbuild is not installed"
fi
flake-ctl podman remove --app /usr/bin/ftar

# Missing parts.
define fmiss /bin/sh "name: localhost/delta" "base_container: localhost/nowhere"
run fmiss -c true
check "a missing local part: what it is and what to do" err_has "image 'localhost/nowhere' is not here, and no registry has it: load it with flake-ctl podman load"
check "refused before the app" rc_is 125
define fmiss /bin/sh "name: localhost/delta" "base_container: 127.0.0.1:9/nowhere"
run fmiss -c true
check "a missing remote part names the remedy" err_has "flake-ctl podman pull --uri 127.0.0.1:9/nowhere"
run flake-ctl podman register --force --container localhost/delta --app /usr/bin/fmiss --base localhost/nowhere --layer localhost/nolayer
check "register warns of missing base and layers" bash -c "grep -q localhost/nowhere '$err' && grep -q localhost/nolayer '$err'"
flake-ctl podman remove --app /usr/bin/fmiss
run flake-ctl podman compose finc
check "compose of a flake that is not there" rc_is 1

if start_registry; then
	podman push -q localhost/base "$REGISTRY/tools/base:1" 2>/dev/null
	define fpull /bin/cat "name: localhost/delta" "base_container: $REGISTRY/tools/base:1"
	run fpull /opt/one
	check "a missing part is pulled" out_is base
	flake-ctl podman remove --app /usr/bin/fpull
	podman rmi "$REGISTRY/tools/base:1" >/dev/null 2>&1
else
	skip "a missing part is pulled" "there is no registry"
fi

# Bundles of deltas.
run flake-ctl podman export --bundle fdelta "$T/fdelta.flake"
check "a bundle of a delta flake" rc_is 0
flake-ctl podman remove --app /usr/bin/fdelta
podman rmi -f localhost/layer localhost/delta >/dev/null 2>&1
run flake-ctl import --yes "$T/fdelta.flake"
check "brings all its parts" podman image exists localhost/layer
run fdelta -c 'cat /opt/two'
check "and runs" out_is layer

# A fresh user: all in his own store, nothing of root.
useradd -m -u 47110 tim 2>/dev/null
as_tim() { (cd /home/tim && runuser -u tim -- "$@"); }
podman save -q -m -o "$T/parts.tar" localhost/base localhost/layer localhost/delta
chmod 644 "$T/parts.tar"
run as_tim podman load -q -i "$T/parts.tar"
if [ $rc = 0 ]; then
	run as_tim fdelta -c 'cat /opt/one /opt/two /opt/three /lib/hostlib.so; ls -l /app/sh'
	check "rootless: composed by the caller" [ "$(head -n 4 "$out" | tr '\n' ' ')" = "base layer delta2 lib " ]
	check "rootless: set-id bits stay" out_has -rws--x--x
	strace -f -qq -u tim -e trace=execve -o "$T/trace" fdelta -c true </dev/null >"$out" 2>"$err"
	check "rootless: the second launch starts no flake-ctl" bash -c "! grep -qE 'flake-ctl|\"build\"' '$T/trace'"
	id=$(as_tim podman images --format '{{.Tag}}' localhost/flake-pilot/ffdelta)
	check "rootless: the image is in his store" [ -n "$id" ]
	as_tim mkdir -p /home/tim/data
	echo mine | as_tim tee /home/tim/data/f >/dev/null
	run as_tim flake-ctl podman register --user --container localhost/delta --base localhost/base --layer localhost/layer \
		--app /home/tim/bin/own --target /bin/cat --include-path data --opt "--net none"
	check "register --user composes at once" [ "$(as_tim podman images -q localhost/flake-pilot/f_7eown | sort -u | wc -l)" = 1 ]
	run as_tim /home/tim/bin/own /home/tim/data/f
	check "an own flake with base, layer and include" out_is mine
	run as_tim flake-ctl podman remove --user --app /home/tim/bin/own
	check "remove --user takes the image along" [ -z "$(as_tim podman images -q localhost/flake-pilot/f_7eown)" ]
	check "nothing is left in his store" [ -z "$(as_tim podman ps -aq --external)" ]
	PATHS="['$T/private']" define fpriv /bin/ls "name: localhost/base"
	run as_tim fpriv
	check "he includes only what he may read" rc_is 125
	flake-ctl podman remove --app /usr/bin/fpriv
	if command -v sudo >/dev/null; then
		echo 'tim ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/tim
		define froot /bin/sh "name: localhost/delta" "base_container: localhost/base"
		sed -i "s/runtime: {/runtime: {runas: root, /" /usr/share/flakes/froot.yaml
		run as_tim froot -c 'cat /opt/one'
		check "runas root: composed in root's store" bash -c "[ '$(cat "$out")' = base ] && podman image exists localhost/flake-pilot/ffroot"
		flake-ctl podman remove --app /usr/bin/froot
	else
		skip "runas root" "sudo is not installed"
	fi
else
	skip "a rootless user" "$(head -n 1 "$err")"
fi

# Definitions that change.
run flake-ctl podman register --force --container "$IMAGE" --app /usr/bin/fdelta --target /bin/true --opt "--net none"
check "register --force of a plain flake removes the composed image" [ "$(composed fdelta)" = 0 ]
for f in fdelta fentry frel; do flake-ctl podman remove --app /usr/bin/$f; done
check "in the end no composed image is left" bash -c "! podman images --format '{{.Repository}}' | grep -q flake-pilot/"
rm -f /usr/share/flake-host-file /usr/lib/hostlib.so
