# What a flake shares of its caller's surroundings, and what it exports to the host.
# shellcheck shell=bash
FEEL=localhost/feel

# An image with a few more programs, a real ssh-add, and things to export; no zone files, no locales.
feel_image() {
	local tree=$T/feel c lib
	mkdir -p "$tree"/usr/share/{applications,pixmaps,man/man{1,8}} "$tree"/usr/bin \
		"$tree"/usr/share/icons/hicolor/{48x48,scalable}/apps \
		"$tree"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
	cp -a "$T/tree/." "$tree/"
	for c in date pwd touch stat whoami readlink mkdir; do ln -sf busybox "$tree/bin/$c"; done
	for c in ssh-add xdpyinfo; do
		[ -x "/usr/bin/$c" ] || continue
		cp "/usr/bin/$c" "$tree/usr/bin/"
		for lib in $(ldd "/usr/bin/$c" | grep -o '/[^ ]*'); do
			mkdir -p "$tree${lib%/*}"
			cp -L "$lib" "$tree$lib"
		done
	done
	cp "$tree/bin/busybox" "$tree/usr/bin/joe"
	printf '[Desktop Entry]\nType=Application\nName=Joe\nExec=joe %%U\nTryExec=joe\nIcon=joe\nDBusActivatable=true\n' \
		>"$tree/usr/share/applications/org.joe.desktop"
	printf '[Desktop Entry]\nType=Application\nName=Jim\nExec=jim\n' >"$tree/usr/share/applications/jim.desktop"
	echo png >"$tree/usr/share/icons/hicolor/48x48/apps/joe.png"
	echo svg >"$tree/usr/share/icons/hicolor/scalable/apps/joe.svg"
	printf '.TH JOE 1\n.SH NAME\njoe \\- an editor of the image\n' | gzip >"$tree/usr/share/man/man1/joe.1.gz"
	echo '.TH JOE 8' >"$tree/usr/share/man/man8/joe-admin.8"
	ln -sf /etc/passwd "$tree/usr/share/man/man8/joe-evil.8"
	ln -sf ../../../../../../etc/shadow "$tree/usr/share/man/man8/joe-shadow.8"
	echo 'complete -W "one two" joe' >"$tree/usr/share/bash-completion/completions/joe"
	echo '#compdef joe' >"$tree/usr/share/zsh/vendor-completions/_joe"
	echo 'complete -c joe -a one' >"$tree/usr/share/fish/vendor_completions.d/joe.fish"
	tar -C "$tree" -cf "$T/feel.tar" .
	chmod 644 "$T/feel.tar"
	# A user in the image must not matter.
	podman import --change 'USER 33:33' --change 'WORKDIR /tmp' "$T/feel.tar" "$FEEL" >/dev/null 2>&1
}

# feel NAME TARGET WORDS [OPTION…]
feel() {
	local name=$1 target=$2 words=$3
	shift 3
	flake-ctl podman register --force --container "$FEEL" --app "/usr/bin/$name" --target "$target" \
		--opt "--net none" --opt "--user 0:0" ${words:+--share "$words"} "$@"
}

# as_user COMMAND…: as the fresh user, without a session.
as_user() { runuser -u feeler -- "$@"; }

owner() { stat -c %u:%g "$1"; }

feel_image
chmod 755 "$FLAKE_SANDBOX" "$T"
useradd -m feeler
feeler=$(id -u feeler):$(id -g feeler)
rm -rf "/tmp/podman-run-${feeler%:*}" "/tmp/containers-user-${feeler%:*}"
(cd / && as_user podman import --change 'USER 33:33' --change 'WORKDIR /tmp' "$T/feel.tar" "$FEEL") >/dev/null 2>&1
echo 'feeler ALL=(root) NOPASSWD: /usr/bin/podman' >/etc/sudoers.d/feeler
chmod 440 /etc/sudoers.d/feeler
work=$T/work
mkdir -p "$work"

# --- nothing unless asked for ----------------------------------------------------------------------
feel gplain /bin/sh ''
cd "$work" || exit 1
run env LANG=de_DE.UTF-8 TZ=Asia/Kolkata gplain -c 'pwd; echo "$LANG$TZ"; ls '"$T"' 2>/dev/null'
check "nothing is shared unless asked for" out_is "$(printf '/tmp\n\n')"
check "and the definition does not mention it" bash -c '! grep -q share /usr/share/flakes/gplain.yaml'

# --- words ------------------------------------------------------------------------------------------
run flake-ctl podman register --container "$FEEL" --app /usr/bin/gwrong --share cwd,hone
check "an unknown word is refused at register" rc_is 2
check "and the known ones are named" err_has "ssh-agent"
feel gsh /bin/sh cwd
sed -i 's/- cwd/- hone/' /usr/share/flakes/gsh.yaml
run gsh -c true
check "one in a definition is refused at launch" rc_is 126
check "with file and line" err_has "gsh.yaml:$(grep -n hone /usr/share/flakes/gsh.yaml | cut -d: -f1): 'hone'"
feel gsh /bin/sh cwd
echo 'container: {runtime: {resume: true}}' >/usr/share/flakes/gsh.d/10.yaml
run gsh -c true
check "cwd and resume are refused" rc_is 126
check "with the reason" err_has "cannot follow the caller's directory"
rm /usr/share/flakes/gsh.d/10.yaml

# --- cwd, as root -----------------------------------------------------------------------------------
echo content >"$work/file"
run gsh -c 'pwd; cat file; echo new >made; mkdir sub'
check "the working directory is the same inside" out_is "$(printf '%s\ncontent' "$work")"
check "and can be written" grep -q new "$work/made"
mkdir -p "$work/sub/deep"
cd "$work/sub/deep" || exit 1
run gsh -c 'echo x >here; ls ..'
check "only the directory itself is there" out_is deep
for name in 'a b' "it's \"q\"" 'a:b' ':' 'a,b' 'x\y' '%HOME $HOME *' 'ünïcode 日本' '-rf' 'a="b",c:d'; do
	mkdir -p "$work/$name"
	cd "$work/$name" || exit 1
	rm -f made
	run gsh -c 'pwd; echo x >made'
	check "cwd '$name'" out_is "$PWD"
	check "cwd '$name' is written to" [ -s made ]
done
for name in $'new\nline' $'esc\e[31m'; do
	mkdir -p "$work/$name"
	cd "$work/$name" || exit 1
	run gsh -c true
	check "a cwd with control characters is refused: $(printf %q "$name")" rc_is 126
	check "clearly, in one line" [ "$(grep -c 'holds control characters' "$err"):$(wc -l <"$err")" = 1:1 ]
	check "that is safe to show" bash -c "! grep -q \$'\\e' '$err'"
done
mkdir -p "$work/"$'bad\xff'
cd "$work/"$'bad\xff' || exit 1
run gsh -c true
check "a cwd that is not UTF-8 is refused" rc_is 126
for dir in / /usr /bin /etc /lib /sbin /proc /proc/self /sys/kernel /dev /run /var /opt /usr/share; do
	cd "$dir" || continue
	run gsh -c true
	check "cwd $dir is refused" rc_is 126
	check "cwd $dir: says why" err_has "it would hide that directory of the image"
done
mkdir -p "$work/gone"
cd "$work/gone" || exit 1
rmdir "$work/gone"
run gsh -c true
check "a removed cwd is refused" rc_is 126
mkdir -p /srv/hide
cd /srv/hide || exit 1
feel ghide /srv/hide/prog cwd
run ghide
check "a cwd that hides the program is refused" err_has "it would hide the program"

# --- home, locale, user, as root ---------------------------------------------------------------------
feel gall /bin/sh cwd,home,locale,user
mkdir -p /root/feel-work
cd /root/feel-work || exit 1
run env HOME=/nowhere gall -c 'echo $HOME; pwd; echo x >made; ls -d /root/feel-work'
check "home is the caller's own, whatever HOME says" out_is "$(printf '/root\n/root/feel-work\n/root/feel-work')"
run flake-ctl explain gall
check "a cwd in the home is mounted once" [ "$(grep -o -- --volume=/root "$out" | wc -l)" = 1 ]
check "root's files are root's" [ "$(owner made)" = 0:0 ]
rm -rf /root/feel-work
cd "$work" || exit 1
run env LANG=de_DE.UTF-8 LC_TIME=C LANGUAGE=de TZ=Asia/Kolkata gall -c 'echo $LANG $LC_TIME $LANGUAGE $TZ; date +%Z%z'
check "locale and time zone are the caller's" out_is "$(printf 'de_DE.UTF-8 C de Asia/Kolkata\nIST+0530')"
run env TZ=CET-1CEST gall -c 'date +%Z'
check "a POSIX time zone" grep -qxE 'CES?T' "$out"
ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime
run env -u TZ gall -c 'date +%Z%z'
check "without TZ the host's zone" out_is JST+0900
run env TZ=../../../etc/passwd gall -c 'ls -l /etc/passwd >/dev/null && echo ok'
check "a TZ that leads elsewhere shares nothing" out_is ok
feel gown /bin/sh locale,home --opt "--env LANG=fixed" --opt "--volume $work:/root"
run env LANG=de_DE.UTF-8 gown -c 'echo $LANG; cat /root/file'
check "the definition's own options win" out_is "$(printf 'fixed\ncontent')"

# --- a fresh user, rootless --------------------------------------------------------------------------
# --user of the definition would win: what an image brings is enough to test against.
for words in cwd,home,locale,user ssh-agent,user; do
	flake-ctl podman register --force --container "$FEEL" --app "/usr/bin/guser${words%%,*}" --target /bin/sh \
		--opt "--net none" --share "$words"
done
mkdir -p "$T/theirs/a:b c"
chown -R "$feeler" "$T/theirs"
cd "$T/theirs/a:b c" || exit 1
run as_user gusercwd -c 'id -u; id -g; whoami; pwd; echo x >made; echo $HOME; echo y >~/from-inside'
check "rootless: uid, gid, name, directory and home" out_is \
	"$(printf '%s\n%s\nfeeler\n%s\n/home/feeler' "${feeler%:*}" "${feeler#*:}" "$PWD")"
check "rootless: files are the caller's" [ "$(owner made)" = "$feeler" ]
check "rootless: in the home, too" [ "$(owner /home/feeler/from-inside)" = "$feeler" ]
cd / || exit 1
run as_user gusercwd -c true
check "rootless: / is refused" rc_is 126
cd "$T/theirs" || exit 1
run as_user env TZ=Asia/Kolkata gusercwd -c 'date +%Z; stat -c %u:%g .'
check "rootless: time zone and ownership as seen inside" out_is "$(printf 'IST\n%s' "$feeler")"

# --- a user through runas root (sudo) -----------------------------------------------------------------
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/gsudo --target /bin/sh --run-as root \
	--opt "--net none" --share cwd,home,locale,user,ssh-agent
run as_user env LANG=de_DE.UTF-8 TZ=Asia/Kolkata gsudo -c 'id -u; whoami; pwd; echo x >sudo-made; echo $HOME $LANG; date +%Z'
check "sudo: the caller's uid, name, directory, home, locale, zone" out_is \
	"$(printf '%s\nfeeler\n%s\n/home/feeler de_DE.UTF-8\nIST' "${feeler%:*}" "$PWD")"
check "sudo: files are the caller's" [ "$(owner sudo-made)" = "$feeler" ]
run as_user gsudo -c 'echo x >'"$work"'/no; cat /etc/shadow; echo y >/home/feeler/sudo-made'
check "sudo: his home is his" [ "$(owner /home/feeler/sudo-made)" = "$feeler" ]
mkdir -p "$T/roots"
chmod 755 "$T/roots"
cd "$T/roots" || exit 1
run as_user gsudo -c 'echo x >no'
check "sudo: root's directory is not written to in his name" [ ! -e no ]
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/gother --target /bin/sh --run-as feeler \
	--opt "--net none" --share user
run gother -c true
check "a user's podman cannot give files to somebody else" rc_is 126
check "and this is said" err_has "cannot have files of user 0"

# --- instances ------------------------------------------------------------------------------------------
run flake-ctl podman register --container "$FEEL" --app /usr/bin/gkeep --resume --share locale,cwd
check "register refuses cwd with --resume" rc_is 2
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/gkeep --target /bin/sh \
	--opt "--net none" --resume --share home,user,locale
cd /home/feeler || exit 1
for call in first second; do
	run as_user env LANG=$call gkeep -c "id -u; whoami; echo \$HOME \$LANG; echo x >~/$call"
	check "resume, $call call: uid, name, home and locale" out_is \
		"$(printf '%s\nfeeler\n/home/feeler %s' "${feeler%:*}" $call)"
	check "resume, $call call: files are the caller's" [ "$(owner /home/feeler/$call)" = "$feeler" ]
done
run as_user flake-ctl podman stop gkeep
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/gkeep --target /bin/sh \
	--opt "--net none" --resume --run-as root --share home,user
run as_user gkeep -c true
check "an instance of another user's podman shares nothing personal" rc_is 126
check "and this is said" err_has "serves other callers, too"
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/gkeep --target /bin/sh \
	--opt "--net none" --opt "--user 0:0" --resume --share home,locale
run env TZ=Asia/Kolkata gkeep -c 'date +%Z; ls -d $HOME'
check "root's instance" out_is "$(printf 'IST\n/root')"
flake-ctl podman stop gkeep >/dev/null

# --- hooks see and change it -----------------------------------------------------------------------------
cd "$work" || exit 1
feel ghook /bin/sh cwd
cat >/usr/share/flakes/ghook.d/launch.lua <<'LUA'
return function(event)
  if #event.mounts ~= 1 or event.workdir ~= event.mounts[1]:sub(4) then flake.deny("not seen") end
  event.mounts[1] = event.mounts[1]:gsub("^rw", "ro")
  event.env.SEEN = event.workdir
end
LUA
run ghook -c 'echo "$SEEN"; pwd; echo x >from-hook || echo read-only'
check "a launch hook sees and changes what is shared" out_is "$(printf '%s
%s
read-only' "$work" "$work")"

# --- ssh agent ----------------------------------------------------------------------------------------
if command -v ssh-agent >/dev/null; then
	cd /home/feeler || exit 1
	as_user ssh-keygen -q -t ed25519 -N '' -C feel-key -f /home/feeler/key
	eval "$(as_user ssh-agent -s)" >/dev/null
	as_user env SSH_AUTH_SOCK="$SSH_AUTH_SOCK" ssh-add -q /home/feeler/key
	run as_user env SSH_AUTH_SOCK="$SSH_AUTH_SOCK" guserssh-agent -c '/usr/bin/ssh-add -l'
	check "rootless: ssh-add inside talks to the agent" out_has feel-key
	run as_user env SSH_AUTH_SOCK="$SSH_AUTH_SOCK" gsudo -c '/usr/bin/ssh-add -l'
	check "sudo: so it does" out_has feel-key
	run as_user env -u SSH_AUTH_SOCK gsudo -c 'echo "[$SSH_AUTH_SOCK]"'
	check "without an agent nothing happens" out_is '[]'
	run as_user env SSH_AUTH_SOCK=/etc/passwd gsudo -c 'echo "[$SSH_AUTH_SOCK]"'
	check "nor with what is no socket" out_is '[]'
	kill "$SSH_AGENT_PID"
	mkdir -p "$T/private"
	chmod 700 "$T/private"
	python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$T/private/sock')"
	run as_user env SSH_AUTH_SOCK="$T/private/sock" gsudo -c 'echo "[$SSH_AUTH_SOCK]"'
	check "sudo: nor with a socket that he cannot reach" out_is '[]'
	unset SSH_AUTH_SOCK SSH_AGENT_PID
else
	skip "ssh agent" "ssh-agent is not installed"
fi

# --- display ------------------------------------------------------------------------------------------
feel gdisplay /bin/sh display
run env -u DISPLAY -u WAYLAND_DISPLAY gdisplay -c 'echo "[$DISPLAY$XAUTHORITY$WAYLAND_DISPLAY]"'
check "no display: nothing happens" out_is '[]'
mkdir -p "$T/xdg" /tmp/.X11-unix
rm -f "$T/xdg/wayland-0"
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$T/xdg/wayland-0')"
run env -u DISPLAY XDG_RUNTIME_DIR="$T/xdg" WAYLAND_DISPLAY=wayland-0 gdisplay -c \
	'test -S "$XDG_RUNTIME_DIR/$WAYLAND_DISPLAY" && echo "[$DISPLAY]"'
check "the Wayland socket is inside" out_is '[]'
chown 65534 /tmp/.X11-unix
run env DISPLAY=:77 gdisplay -c '[ ! -e /tmp/.X11-unix ] && echo "$DISPLAY"'
check "a stranger's directory of X sockets is not" out_is ':77'
chown 0 /tmp/.X11-unix
if command -v Xvfb >/dev/null && command -v xauth >/dev/null && command -v xdpyinfo >/dev/null; then
	export XAUTHORITY=$T/xauthority
	xauth -q add ":77" . "$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')" 2>/dev/null
	Xvfb :77 -auth "$XAUTHORITY" -nolisten tcp >"$T/xvfb.log" 2>&1 &
	xvfb=$!
	wait_for test -S /tmp/.X11-unix/X77
	run env DISPLAY=:77 gdisplay -c 'test -r "$XAUTHORITY" && /usr/bin/xdpyinfo'
	check "an X client inside reaches the server, with the caller's cookie" out_has "name of display:    :77"
	run env DISPLAY=:77 XAUTHORITY=/nowhere gdisplay -c 'unset XAUTHORITY; /usr/bin/xdpyinfo'
	check "and not without it" [ "$rc" != 0 ]
	kill $xvfb
	unset XAUTHORITY
else
	touch "$T/xauthority"
	run env DISPLAY=:77 XAUTHORITY="$T/xauthority" gdisplay -c 'echo "$DISPLAY"; [ -d /tmp/.X11-unix ] && [ -f "$XAUTHORITY" ] && echo there'
	check "X sockets and authority are inside" out_is "$(printf ':77\nthere')"
	skip "an X client inside" "Xvfb, xauth or xdpyinfo is not installed"
fi

# --- exports ------------------------------------------------------------------------------------------
cd "$work" || exit 1
share=/usr/local/share
touch "$T/before"
exported() { find "$share" -newer "$T/before" \( -type f -o -type l \) | sort; }
expected=$(printf "$share/%s\n" applications/flake-joe.desktop bash-completion/completions/joe \
	fish/vendor_completions.d/joe.fish icons/hicolor/48x48/apps/flake-joe.png \
	icons/hicolor/scalable/apps/flake-joe.svg man/man1/joe.1.gz man/man8/joe-admin.8 \
	man/man8/joe-evil.8 zsh/site-functions/_joe)
joe() { flake-ctl podman register --container "$FEEL" --app /usr/bin/joe "$@"; }
run joe --desktop --man --completion
check "desktop entry, icons, pages, completions appear" [ "$(exported)" = "$expected" ]
check "no container stays behind" [ -z "$(podman ps -aq)" ]
check "the entry starts the flake" grep -qx 'Exec=/usr/bin/joe %U' "$share/applications/flake-joe.desktop"
check "and has its icon" grep -qx 'Icon=flake-joe' "$share/applications/flake-joe.desktop"
check "and no D-Bus name" bash -c "! grep -q DBus $share/applications/flake-joe.desktop"
check "a link in the image means the image's file" cmp -s "$T/tree/etc/passwd" "$share/man/man8/joe-evil.8"
check "never the host's" [ ! -e "$share/man/man8/joe-shadow.8" ]
command -v man >/dev/null && {
	run man -l "$share/man/man1/joe.1.gz"
	check "man shows the page" out_has "an editor of the image"
}
check "list and doctor are content" bash -c 'flake-ctl list | grep -q "^joe " && flake-ctl doctor joe'
run flake-ctl podman remove --app /usr/bin/joe
check "remove takes all away" [ -z "$(exported)" ]
joe --desktop --man --completion
run joe --force --man
check "replacing keeps only what is asked for" [ "$(exported)" = "$(grep /man/ <<<"$expected")" ]
echo changed >"$share/man/man8/joe-admin.8"
run flake-ctl podman remove --app /usr/bin/joe
check "a changed page stays" [ "$(exported)" = "$share/man/man8/joe-admin.8" ]
check "and is named" err_has "joe-admin.8 was changed since it was exported"
run joe --man
check "a foreign file is not overwritten" rc_is 1
check "and is named, too" err_has "joe-admin.8 exists and is not of this flake"
check "nothing is written then" [ "$(exported):$(ls /usr/bin/joe /usr/share/flakes/joe* 2>/dev/null)" = "$share/man/man8/joe-admin.8:" ]
rm "$share/man/man8/joe-admin.8"
run flake-ctl podman register j --container "$FEEL" --app "/opt/my apps/j" --target /usr/bin/joe --desktop --man --completion
check "another name: entry and page follow, completions do not" [ "$(exported | grep -c 'joe')" = 0 ]
check "the path is quoted in Exec" grep -qx 'Exec="/opt/my apps/j" %U' "$share/applications/flake-j.desktop"
check "and it is said" err_has "no completions for 'j'"
flake-ctl podman remove --app "/opt/my apps/j"
run flake-ctl podman register --container "$FEEL" --app /usr/bin/nothing --target /bin/sh --desktop --man --completion
check "nothing found is a warning" rc_is 0
check "for each kind" [ "$(grep -c "has no" "$err")" = 2 ]
flake-ctl podman remove --app /usr/bin/nothing
run flake-ctl podman register --container localhost/not-here --app /usr/bin/nohere --man
check "an image that is not here cannot be exported from" rc_is 1
flake-ctl podman register --force --container "$FEEL" --app /usr/bin/joe --man --root "$T/pack"
check "--root is honoured" [ -f "$T/pack$share/man/man1/joe.1.gz" ]
check "and the host is not touched" [ -z "$(exported)" ]
cd /home/feeler || exit 1
run as_user flake-ctl podman register --user --container "$FEEL" --app /home/feeler/bin/joe --desktop --man --completion
check "a user exports below his home" [ -f /home/feeler/.local/share/applications/flake-joe.desktop ]
check "as his own files" [ "$(owner /home/feeler/.local/share/man/man1/joe.1.gz)" = "$feeler" ]
run as_user flake-ctl podman remove --user --app /home/feeler/bin/joe
check "and they go with his flake" [ -z "$(find /home/feeler/.local/share/{applications,man,icons,zsh,fish,bash-completion} -type f)" ]
joe --desktop --man
run flake-ctl podman remove --force --container "$FEEL"
check "removing the image removes the exports of its flakes" [ -z "$(exported)" ]

# kill -9 at every third system call that changes the file system.
feel_image
steps=0 cured=0
calls=rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,fsync,fchmod
for n in $(seq 1 3 100); do
	strace -qq -o /dev/null -e "trace=$calls" -e "inject=$calls:signal=SIGKILL:when=$n" \
		flake-ctl podman register --container "$FEEL" --app /usr/bin/joe --completion >/dev/null 2>&1
	[ $? = 0 ] && break
	steps=$((steps + 1))
	joe --force --completion 2>"$err" && [ "$(exported | wc -l)" = 3 ] && flake-ctl podman remove --app /usr/bin/joe &&
		[ -z "$(exported)" ] && cured=$((cured + 1))
done 2>/dev/null
check "kill -9 at $steps steps of an export is cured by --force" [ $steps -ge 6 -a $cured = $steps ]
podman rm --all --force >/dev/null 2>&1
cd "$ROOT" || exit 1
