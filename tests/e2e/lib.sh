# Helpers of the e2e tests; sourced.
# shellcheck shell=bash
passed=0 failed=0 skipped=0
T=$FLAKE_SANDBOX/scratch
ROOT=$PWD
IMAGE=localhost/busybox
REGISTRY=127.0.0.1:5077
out=$T/out err=$T/err rc=0
# Before a topic writes an os-release of its own.
# shellcheck disable=SC1091
CODENAME=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

# run COMMAND…: keeps output in $out and $err, exit status in $rc.
run() {
	rc=0
	"$@" >"$out" 2>"$err" </dev/null || rc=$?
}

# check NAME COMMAND…: the command must succeed.
check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "FAILED $name (rc=$rc)"
		sed 's/^/    out: /' "$out" 2>/dev/null | head -n 8
		sed 's/^/    err: /' "$err" 2>/dev/null | head -n 8
	fi
}

skip() {
	skipped=$((skipped + 1))
	echo "skipped $1: $2"
}

# podman_is VERSION: or later.
podman_is() { printf '%s\n' "$1" "$(podman --version | tr -dc 0-9.)" | sort -CV; }

rc_is() { [ "$rc" = "$1" ]; }
out_is() { [ "$(cat "$out")" = "$1" ]; }
out_has() { grep -qF -- "$1" "$out"; }
err_has() { grep -qF -- "$1" "$err"; }

summary() {
	[ -z "${registry_pid:-}" ] || kill "$registry_pid" 2>/dev/null
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
	exit
}

# An image of busybox-static, its entry point a script that reports its arguments.
make_image() {
	local tree=$T/tree c
	mkdir -p "$tree/bin" "$tree/tmp" "$tree/etc"
	cp /bin/busybox "$tree/bin/"
	for c in sh cat echo true false printf sleep stty id env ls sha256sum kill test yes head tty ps; do
		ln -sf busybox "$tree/bin/$c"
	done
	echo 'root:x:0:0:root:/:/bin/sh' >"$tree/etc/passwd"
	echo 'about: this is busybox' >"$tree/busybox.yaml"
	tar -C "$tree" -c . | podman import --change 'CMD ["/bin/echo","default"]' - "$IMAGE" >/dev/null 2>&1
}

# start_registry: a real registry on loopback, if none runs yet.
start_registry() {
	[ -z "${registry_pid:-}" ] || ! kill -0 "$registry_pid" 2>/dev/null || return 0
	cat >"$T/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $T/registry}}
http: {addr: $REGISTRY}
YML
	docker-registry serve "$T/registry.yml" >"$T/registry.log" 2>&1 &
	registry_pid=$!
	# What answers while the registry itself has ended is somebody else's.
	while kill -0 "$registry_pid" 2>/dev/null; do
		(exec 3<>"/dev/tcp/${REGISTRY%:*}/${REGISTRY#*:}") 2>/dev/null && kill -0 "$registry_pid" && return
		sleep 0.1
	done
	echo "the registry ended: $(tail -n 1 "$T/registry.log")"
	return 1
}

# online COMMAND…: with the host's network, for what comes from the distribution's archive.
online() { nsenter --net="$FLAKE_SANDBOX/host-net" "$@"; }

# flake NAME TARGET [OPTION…]: registers /usr/bin/NAME, replacing an older one.
flake() {
	local name=$1 target=$2
	shift 2
	flake-ctl podman register --force --container "$IMAGE" --app "/usr/bin/$name" \
		--target "$target" --opt "--net none" "$@"
}
