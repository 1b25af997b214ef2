# What a stranger's bundle may do, and what of it is said.
# shellcheck shell=bash
podman run --help >"$T/help"
run lua5.4 tests/e2e/podman_options.lua "$T/help"
check "every option of this podman is read as podman reads it, and judged" rc_is 0

# An honest bundle of an image that differs from all others, unpacked in $T/good, its image in $T/oci.
printf 'FROM %s\nLABEL a=new\n' "$IMAGE" >"$T/Containerfile"
podman build -q -t localhost/new -f "$T/Containerfile" "$T" >/dev/null 2>&1
flake-ctl podman register --container localhost/new --app /usr/bin/ftool --target /bin/echo --opt "--net none"
run flake-ctl podman export --bundle ftool "$T/ftool.flake"
check "export --bundle" rc_is 0
flake-ctl podman remove --container localhost/new
mkdir -p "$T/good" "$T/oci"
tar -C "$T/good" -xf "$T/ftool.flake"
tar -C "$T/oci" -xf "$T/good/image"
check "its manifest is all that it says of the flake" [ "$(ls "$T/good" | paste -sd' ')" = "bundle.yaml image include part" ]
podman tag "$IMAGE" localhost/victim
victim=$(podman image inspect -f '{{.Id}}' localhost/victim)
is_victim() { [ "$(podman image inspect -f '{{.Id}}' localhost/victim)" = "$victim" ]; }

# 1. Names. forge NAME PYTHON: a bundle whose index the code has changed (d: all of it, m: the image's
# entry, v: the victim's name as annotation).
forge() {
	rm -rf "$T/o" "$T/b" && cp -a "$T/oci" "$T/o" && cp -a "$T/good" "$T/b"
	python3 - "$T/o/index.json" "$2" <<'P'
import json, sys
path, code = sys.argv[1:]
d = json.load(open(path))
m = d['manifests'][0]
v = {'org.opencontainers.image.ref.name': 'localhost/victim:latest'}
text = None
exec(code)
open(path, 'w').write(text or json.dumps(d))
P
	tar -C "$T/o" -cf "$T/b/image" .
	forged "$1"
}
forged() {
	podman rmi -f localhost/new >/dev/null 2>&1
	flake-ctl podman remove --app /usr/bin/ftool 2>/dev/null
	tar -C "$T/b" -cf "$T/b.flake" .
	run flake-ctl import --force --yes "$T/b.flake"
	check "an image that is $1 replaces no other" is_victim
	if [ "$rc" = 0 ]; then
		check "  and is the one that the manifest names" [ "$(podman image inspect -f '{{.Labels.a}}' localhost/new)" = new ]
	else
		check "  and is refused for that" err_has "$T/b.flake: image: "
	fi
}
forge "called by another name" "m['annotations'] = v"
forge "called by another name for containerd" "m['annotations'] = {'org.opencontainers.image.ref.name': 'localhost/new:latest', 'io.containerd.image.name': 'localhost/victim:latest'}"
forge "called so in other letters" "m['annotations'] = v; d['Manifests'] = d.pop('manifests')"
forge "called so by other letters" "m.pop('annotations', None); m['Annotations'] = v"
forge "called so by a second key" "text = json.dumps(d)[:-1] + ', \"Manifests\": ' + json.dumps([dict(m, annotations=v)]) + '}'"
forge "called so by the same key again" "text = json.dumps(d)[:-1] + ', \"manifests\": ' + json.dumps([dict(m, annotations=v)]) + '}'"
forge "called by its name on another host" "m['annotations'] = {'org.opencontainers.image.ref.name': 'evil.com/localhost/new:latest'}"
check "nor has it that name" bash -c "! podman image exists evil.com/localhost/new"
forge "named by a short name" "m['annotations'] = {'org.opencontainers.image.ref.name': 'victim'}"
rm -rf "$T/b" && cp -a "$T/good" "$T/b"
sed -i 's,localhost/new:latest,localhost/victim:latest,' "$T/oci/index.json"
tar -C "$T/oci" -rf "$T/b/image" index.json
forged "called so by a second index"
echo '[{"Config":"x","RepoTags":["localhost/victim:latest"],"Layers":[]}]' >"$T/manifest.json"
rm -rf "$T/b" && cp -a "$T/good" "$T/b"
tar -C "$T" -rf "$T/b/image" manifest.json
forged "called so for docker"
podman tag "$victim" localhost/new
rm -rf "$T/b" && cp -a "$T/good" "$T/b"
tar -C "$T/b" -cf "$T/b.flake" .
flake-ctl podman remove --app /usr/bin/ftool
run flake-ctl import "$T/b.flake"
check "a name that this host has for another image is not moved" err_has "image 'localhost/new:latest' exists already"
run flake-ctl import --force "$T/b.flake"
check "nor with --force, before somebody has agreed" rc_is 2
check "and is told of it" err_has "weak: replaces the image 'localhost/new:latest'"
podman rmi localhost/new >/dev/null

# 2. Powers. manifest "APP: …" KEY…: the honest bundle with another command and more keys.
manifest() {
	rm -rf "$T/b" && cp -a "$T/good" "$T/b"
	printf 'format: 2\nname: ftool\nengine: podman\nimage: localhost/new\napps: [{%s}]\n' "$1" >"$T/b/bundle.yaml"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >>"$T/b/bundle.yaml"
	tar -C "$T/b" -cf "$T/b.flake" .
}
app="path: /usr/bin/ftool, target: /bin/sh"
manifest "path: /usr/local/sbin/tar, target: /, user: root" \
	'options: ["--privileged", "--volume /:/host", "--net host", "--pid host"]'
run flake-ctl import "$T/b.flake"
check "a bundle with powers is not imported without a word" rc_is 2
for words in "open: --privileged: no isolation" "open: --volume /:/host: / of the host, writable" \
	"weak: --net host: shares the host's network" "weak: --pid host: sees all processes" "command /usr/local/sbin/tar" \
	"weak: the command /usr/local/sbin/tar hides" "weak: runs as user root" "--yes imports it"; do
	check "it says: $words" err_has "$words"
done
check "and nothing of it is there" bash -c "! podman image exists localhost/new && [ ! -e /usr/local/sbin/tar ] && [ ! -e /usr/share/flakes/ftool.yaml ]"
run flake-ctl import --show "$T/b.flake"
check "--show says the same" out_has "open: --privileged: no isolation"
check "and only that" bash -c "! podman image exists localhost/new && [ ! -e /usr/share/flakes/ftool.yaml ]"
run python3 tests/e2e/import_test.py 1 maybe n -- flake-ctl import "$T/b.flake"
check "on a terminal it asks, and no is no" out_has "cancelled"
check "after it has said all" out_has "open: --privileged: no isolation"
run python3 tests/e2e/import_test.py 1 EOF -- flake-ctl import "$T/b.flake"
check "so is no answer" rc_is 0
check "nothing of it is there" bash -c "! podman image exists localhost/new && [ ! -e /usr/share/flakes/ftool.yaml ]"
run python3 tests/e2e/import_test.py 0 y -- flake-ctl import "$T/b.flake"
check "yes imports it" out_has "imported flake ftool"
run flake-ctl import --force --yes "$T/b.flake"
check "so does --yes, without a question" rc_is 0
run flake-ctl explain --risk ftool
check "and its risk says the same" out_has "open: --volume /:/host"
flake-ctl podman remove --container localhost/new
for path in /etc/cron.d/job /etc/profile.d/x.sh /lib/modules-load.d/x.conf /boot/x /root/x; do
	manifest "path: $path"
	run flake-ctl import --yes "$T/b.flake"
	check "$path is no place for a command of a bundle" err_has "is in no directory of commands"
	check "and nothing is there" bash -c "[ ! -e '$path' ] && [ ! -L '$path' ]"
done
for key in "archive: /etc/shadow" "container: {archive: /etc/shadow}" "include: {path: [/etc/shadow]}" \
	"machine: {initrd_path: /etc/shadow}" "machine: {tap: lo}" "runas: root"; do
	manifest "$app" "$key"
	run flake-ctl import --yes "$T/b.flake"
	check "a bundle has no '$key'" rc_is 1
done
manifest "$app" 'options: ["localhost/victim"]'
run flake-ctl import --yes "$T/b.flake"
check "nor an image among its options" err_has "is no option of podman"

# Format 1, whose definition said more than its manifest.
rm -rf "$T/b" && mkdir -p "$T/b/flake.d" && cp "$T/good/image" "$T/b"
printf 'format: 1\nname: ftool\nengine: podman\nimage: localhost/new\napps: [{path: /usr/bin/ftool, target: /bin/sh}]\ninclude: []\n' >"$T/b/bundle.yaml"
printf 'include: {path: [/etc/shadow]}\ncontainer: {name: localhost/new, host_app_path: /usr/bin/ftool, target_app_path: /bin/sh}\n' >"$T/b/flake.yaml"
tar -C "$T/b" -cf "$T/b.flake" .
run flake-ctl import --yes "$T/b.flake"
check "an older bundle includes no file of the host" err_has "says something else than its bundle.yaml"
printf 'container: {name: localhost/new, host_app_path: /usr/bin/ftool, target_app_path: /bin/sh, archive: /etc/shadow, runtime: {podman: ["--net none"]}}\n' >"$T/b/flake.yaml"
echo 'return function() end' >"$T/b/flake.d/launch.lua"
echo 'container: {runtime: {podman: ["--privileged"]}}' >"$T/b/flake.d/x.yaml"
tar -C "$T/b" -cf "$T/b.flake" .
run flake-ctl import "$T/b.flake"
check "what its fragments say is said, too" err_has "open: --privileged"
rm "$T/b/flake.d/x.yaml"
tar -C "$T/b" -cf "$T/b.flake" .
run flake-ctl import "$T/b.flake"
check "an honest older bundle is imported" rc_is 0
run ftool -c 'echo works'
check "and runs" out_is works
check "with nothing of the host, and no script" bash -c "! grep -rq shadow /usr/share/flakes/ftool* && [ -z \"\$(ls /usr/share/flakes/ftool.d)\" ]"

# register says it, too.
run flake fweak /bin/true --opt "--privileged" --opt "-v /:/host" --opt "--security-opt seccomp=unconfined"
check "register warns of options that weaken" err_has "warning: open: --privileged"
check "each" err_has "weak: --security-opt seccomp=unconfined"
run flake-ctl explain --risk --format json fweak
check "explain --risk --format json" python3 -c "
import json; d = json.load(open('$out'))
assert d['confinement'] == 'none' and d['flake'] == 'fweak', d
assert any(f['level'] == 'open' and f['option'] == '-v /:/host' for f in d['findings']), d"
run flake-ctl doctor fweak
check "doctor names a flake without isolation" out_has "flake 'fweak' is not confined"
for f in fweak ftool; do flake-ctl podman remove --app "/usr/bin/$f"; done
podman rmi -f localhost/victim localhost/new >/dev/null
