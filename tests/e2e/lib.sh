# Helpers of the e2e tests; sourced by each topic's process.
# shellcheck shell=bash
T=$FLAKE_SANDBOX/scratch
ROOT=$PWD
IMAGE=localhost/busybox
REGISTRY=127.0.0.1:5077
out=$T/out err=$T/err rc=0
# Seconds that something may take which is sure to come: many, for the machine may be busy.
export PATIENCE=300
# Before a topic writes an os-release of its own.
# shellcheck disable=SC1091
export CODENAME=${CODENAME-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")}

# now TEXT: what the topic is at, should it hang (tests/limit).
now() { printf '%.300s\n' "$1" >"${FLAKE_NOW:-/dev/null}"; }

# run COMMAND…: keeps output in $out and $err, exit status in $rc.
run() {
	rc=0
	now "after \"${last_check:-}\": $*"
	"$@" >"$out" 2>"$err" </dev/null || rc=$?
}

# count passed|failed|skipped: a file has the counts, so that they outlive the topic.
count() { echo "$1" >>"$T/counts"; }

# check NAME COMMAND…: the command must succeed.
check() {
	last_check=$1
	now "\"$1\""
	shift
	if "$@"; then
		count passed
		echo "ok $last_check"
	else
		count failed
		echo "FAILED $last_check (rc=$rc)"
		sed 's/^/    out: /' "$out" 2>/dev/null | head -n 8
		sed 's/^/    err: /' "$err" 2>/dev/null | head -n 8
	fi
	now "after \"$last_check\""
}

skip() {
	count skipped
	echo "skipped $1: $2"
}

# podman_is VERSION: or later.
podman_is() { printf '%s\n' "$1" "$(podman --version | tr -dc 0-9.)" | sort -CV; }

# check_python SCRIPT [ARG…]: checks that a script of this directory makes and prints.
check_python() {
	local word name
	now "$*"
	while read -r word name; do
		case $word in
		ok) check "$name" true ;;
		FAILED) rc=1; check "$name" false ;;
		*) echo "    $word $name" ;;
		esac
	done < <(python3 "tests/e2e/$1.py" "${@:2}" 2>"$T/python.err")
	cp "$T/python.err" "$err"
	check "$1 ran to its end" [ ! -s "$err" ]
}

rc_is() { [ "$rc" = "$1" ]; }
out_is() { [ "$(cat "$out")" = "$1" ]; }
out_has() { grep -qF -- "$1" "$out"; }
err_has() { grep -qF -- "$1" "$err"; }

# wait_for COMMAND…: until it succeeds; false when patience is at its end.
wait_for() {
	local end=$((SECONDS + PATIENCE))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}
has_line() { grep -q -- "$1" "$2" 2>/dev/null; }
run_containers() { [ "$(podman ps -q | wc -l)" = "$1" ]; }
no_containers() { [ -z "$(podman ps -aq)" ]; }

# fresh COMMAND… &: a background process with the signals of a command of a terminal; in those of a
# shell without job control SIGINT and SIGQUIT are ignored. It leads a process group of its own.
fresh() {
	exec python3 -c '
import os, signal, sys
for s in signal.SIGINT, signal.SIGQUIT:
    signal.signal(s, signal.SIG_DFL)
os.setsid()
os.execvp(sys.argv[1], sys.argv[1:])' "$@"
}

# stand_in NAME: a program of the text on standard input, found before the real one by what has
# $in_front as its PATH.
in_front=$T/in-front:$PATH
stand_in() {
	mkdir -p "$T/in-front"
	cat >"$T/in-front/$1"
	chmod 755 "$T/in-front/$1"
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

# start_registry: a real registry on loopback, one for all topics.
registry_runs() { grep -qs "$T/registry.yml" "/proc/$(cat "$T/registry.pid" 2>/dev/null)/cmdline"; }
registry_answers() { (exec 3<>"/dev/tcp/${REGISTRY%:*}/${REGISTRY#*:}") 2>/dev/null; }
start_registry() {
	! registry_runs || return 0
	cat >"$T/registry.yml" <<YML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $T/registry}}
http: {addr: $REGISTRY}
YML
	docker-registry serve "$T/registry.yml" >"$T/registry.log" 2>&1 &
	echo $! >"$T/registry.pid"
	# What answers while the registry itself has ended is somebody else's.
	wait_for eval 'registry_answers || ! kill -0 $! 2>/dev/null'
	registry_runs && return
	echo "the registry does not run: $(tail -n 1 "$T/registry.log")" >&2
	return 1
}
stop_registry() { ! registry_runs || kill "$(cat "$T/registry.pid")"; }

# online COMMAND…: with the host's network, for what comes from the distribution's archive.
online() { nsenter --net="$FLAKE_SANDBOX/host-net" "$@"; }

# flake NAME TARGET [OPTION…]: registers /usr/bin/NAME, replacing an older one.
flake() {
	local name=$1 target=$2
	shift 2
	flake-ctl podman register --force --container "$IMAGE" --app "/usr/bin/$name" \
		--target "$target" --opt "--net none" "$@"
}
