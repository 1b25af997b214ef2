# VM flakes under Firecracker: the stand-in plays it (strictly: it refuses what Firecracker's API
# description does not allow), and where KVM works and firecracker is on PATH, Firecracker itself.
# shellcheck shell=bash
F=$T/firecracker
real=$(command -v firecracker || true)
storage=/var/lib/firecracker/storage
ENGINE_PATTERN='(firecracker|sci) --(no-api|api-sock|serve)'
export FLAKE_STANDIN_SCI=/usr/lib/flake-pilot/sci FLAKE_STANDIN_LOG=$F/log

fc() {
	local name=$1 target=$2
	shift 2
	flake-ctl firecracker register --force --vm fcbox --app "/usr/bin/$name" --target "$target" \
		--mem 128 --vcpu 1 --engine firecracker --no-net "$@"
}
# What the stand-in wrote down since the last `forget`: one Python expression over `log`.
forget() { : >"$FLAKE_STANDIN_LOG"; }
log_is() {
	[ "$engine" = real ] && return 0
	python3 - "$FLAKE_STANDIN_LOG" "$1" <<'PY'
import json, sys
log = [json.loads(line) for line in open(sys.argv[1])]
def of(event):
    return [e for e in log if e["event"] == event]
requests = [(e["method"] + " " + e["path"], e["status"], json.loads(e["body"] or "{}"))
            for e in of("request")]
names = [r[0] for r in requests]
configs = [json.loads(e["text"]) for e in of("config")]
if not eval(sys.argv[2]):
    print("     log:", *log, sep="\n          ", file=sys.stderr)
    sys.exit(1)
PY
}
nothing_refused() { log_is 'not of("refused") and all(r[1] < 300 for r in requests)'; }
engine_runs() { pgrep -f "$ENGINE_PATTERN" >/dev/null; }
no_engine() {
	wait_for eval '! engine_runs' && return
	pgrep -af "$ENGINE_PATTERN" >&2
	return 1
}
no_directory() { [ -z "$(ls -d /run/flakes/0/*.vm 2>/dev/null)" ]; }
saved() { ls -d "$storage/$1"-*.snap 2>/dev/null; }

fc_one_call() {
	forget
	run fc fcsh /bin/sh
	check "$engine: register" rc_is 0
	check "$engine: nothing to warn of" [ ! -s "$err" ]
	run fcsh -c 'echo out; echo err >&2; exit 7'
	check "$engine: exit code" rc_is 7
	check "$engine: standard output" out_is out
	check "$engine: standard error is its own" [ "$(cat "$err")" = err ]
	check "$engine: nothing refused" nothing_refused
	check "$engine: configuration" log_is '[set(c) for c in configs] == [{"boot-source", "drives", "machine-config", "vsock"}] and configs[0]["machine-config"] == {"vcpu_count": 1, "mem_size_mib": 128} and configs[0]["vsock"] == {"guest_cid": 3, "uds_path": "v.sock"} and [(d["drive_id"], d["is_root_device"], d["is_read_only"]) for d in configs[0]["drives"]] == [("rootfs", True, True)]'
	check "$engine: command line" log_is 'of("start")[0]["argv"] == ["--no-api", "--config-file", "/proc/self/fd/3", "--level", "Error"] and {"init=/usr/sbin/sci", "console=ttyS0", "root=/dev/vda", "ro", "sci_channel=vsock", "hostname=fcsh"} <= set(configs[0]["boot-source"]["boot_args"].split()) and "sci_resume" not in configs[0]["boot-source"]["boot_args"]'
	check "$engine: the guest calls, once" log_is '[(e["by"], e["port"]) for e in of("vsock")] == [("guest", 52)]'
	run fcsh -c 'kill -TERM $$'
	check "$engine: a signal's exit code" rc_is 143
	run fcsh -c 'exec /no/such/program'
	check "$engine: no such program" rc_is 127
	run env FCVAR=x fcsh -c 'echo "$0 [$1] ${FCVAR-none}"' 'a b' '"c" $d'
	check "$engine: arguments, and no environment of the host" out_is 'a b ["c" $d] none'
	run bash -c 'head -c 3000000 /dev/urandom >$0/in; fcsh -c cat <$0/in | cmp - $0/in' "$F"
	check "$engine: 3 MB each way" rc_is 0
	run python3 -c 'import pty, sys; sys.exit(pty.spawn(["fcsh", "-c", "test -t 0 && test -t 1 && test -n \"$TERM\" && exit 4"]) >> 8)'
	check "$engine: on a terminal" rc_is 4
	check "$engine: nothing left" no_directory
	check "$engine: no process left" no_engine
}

fc_overlay() {
	mkdir -p "$F/tree/etc"
	echo included >"$F/tree/etc/included"
	forget
	run fc fcdisk /bin/sh --overlay-size 64MiB --include-path "$F/tree/etc/included"
	check "$engine: register with an overlay" rc_is 0
	run fcdisk -c 'exit 3'
	check "$engine: a call with an overlay" rc_is 3
	check "$engine: nothing refused with an overlay" nothing_refused
	check "$engine: the overlay's drive" log_is 'configs[0]["drives"][1] == {"drive_id": "overlay", "path_on_host": "/proc/self/fd/4", "is_root_device": False, "is_read_only": False, "cache_type": "Unsafe"} and "overlay_root=/dev/vdb" in configs[0]["boot-source"]["boot_args"].split()'
	check "$engine: a template, and no overlay that stays" [ "$(cd "$storage" && ls -A | grep -c '^fcdisk.*\.ext4$') $(find "$storage" -name 'fc*overlay*' | wc -l)" = "1 0" ]
	run flake-ctl firecracker remove --app /usr/bin/fcdisk
	check "$engine: remove takes the template" [ -z "$(find "$storage" -name 'fcdisk*')" ]
}

fc_resume() {
	forget
	run fc fcstay /bin/sh --resume --overlay-size 64MiB
	check "$engine: register --resume" rc_is 0
	fcstay -c 'echo one; sleep 2; exit 11' >"$F/one" &
	local first=$!
	fcstay -c 'echo two; sleep 1; exit 12' >"$F/two" &
	local second=$! codes
	wait "$first"; codes=$?
	wait "$second"; codes="$codes $?"
	check "$engine: two calls at once" [ "$codes $(cat "$F/one" "$F/two" | xargs)" = "11 12 one two" ]
	check "$engine: into one VM" log_is 'len(of("boot")) == 1 and [e["line"] for e in of("vsock") if e["by"] == "host"] == ["CONNECT 52\n"] * 2'
	check "$engine: a VM that stays" log_is '"sci_resume=1" in configs[0]["boot-source"]["boot_args"].split() and configs[0]["drives"][1]["cache_type"] == "Writeback"'
	run fcstay -c 'exit 5'
	check "$engine: a later call" rc_is 5
	check "$engine: nothing refused by a VM that stays" nothing_refused
	check "$engine: its overlay stays" [ -f "$storage/fcstay.overlay" ]
	run flake-ctl firecracker stop fcstay
	check "$engine: stop" rc_is 0
	check "$engine: it ended by itself" log_is 'any(e["over"] for e in of("channel"))'
	check "$engine: nothing left after stop" no_directory
	check "$engine: no process left after stop" no_engine
	run flake-ctl firecracker remove --app /usr/bin/fcstay
	check "$engine: remove takes the overlay" [ -z "$(find "$storage" -name 'fcstay*')" ]
}

fc_killed() {
	local pilot name
	fcsh -c 'echo up; sleep 3600' >"$F/up" 2>/dev/null &
	pilot=$!
	wait_for has_line up "$F/up"
	check "$engine: a process meanwhile" engine_runs
	kill -9 "$pilot"
	wait "$pilot" 2>/dev/null
	check "$engine: kill -9 of the pilot leaves no process" no_engine
	check "$engine: only its directory" [ "$(ls -d /run/flakes/0/*.vm | wc -l)" = 1 ]
	# One as young as that may be in the making.
	for name in /run/flakes/0/*.vm; do touch -d '1 minute ago' "$name"; done
	run fcsh -c 'exit 6'
	check "$engine: the next call" rc_is 6
	check "$engine: has collected it" no_directory
}

fc_snapshot() {
	local disk=() pilot
	[ "$1" = disk ] && disk=(--overlay-size 64MiB)
	forget
	run fc fcsnap /bin/sh --snapshot "${disk[@]}"
	check "$engine, $1: register --snapshot" rc_is 0
	check "$engine, $1: a VM is saved" [ "$(saved fcsnap | wc -l)" = 1 ]
	check "$engine, $1: state, memory$([ "$1" = disk ] && echo ", overlay")" \
		[ "$(cd "$(saved fcsnap)" && ls | xargs)" = "memory $([ "$1" = disk ] && echo "overlay ")state" ]
	check "$engine, $1: holes in its memory" [ "$(du -m "$(saved fcsnap)/memory" | cut -f1)" -lt 128 ]
	check "$engine, $1: nothing refused at saving" nothing_refused
	check "$engine, $1: pause, then create" log_is 'names == ["PATCH /vm", "PUT /snapshot/create"] and requests[0][2] == {"state": "Paused"} and requests[1][2]["snapshot_type"] == "Full"'
	check "$engine, $1: it was booted to be saved" log_is 'of("start")[0]["argv"] == ["--api-sock", "api.sock", "--config-file", "/proc/self/fd/3", "--level", "Error"] and "sci_resume=1" in configs[0]["boot-source"]["boot_args"].split()'
	check "$engine, $1: and ended" no_engine
	check "$engine, $1: no directory left of it" no_directory

	forget
	run fcsnap -c 'cat; echo err >&2; exit 9' <<<""
	check "$engine, $1: exit code of a restored VM" rc_is 9
	check "$engine, $1: its standard error" [ "$(cat "$err")" = err ]
	check "$engine, $1: nothing refused at restoring" nothing_refused
	check "$engine, $1: load and nothing else" log_is 'requests == [("PUT /snapshot/load", 204, {"snapshot_path": "/proc/self/fd/3", "mem_backend": {"backend_type": "File", "backend_path": "/proc/self/fd/5"}, "resume_vm": True})]'
	check "$engine, $1: it was not booted" log_is 'of("start")[0]["argv"] == ["--api-sock", "api.sock", "--level", "Error"] and not configs and [e["restored"] for e in of("boot")] == [True]'
	# More than once, where the guest does not answer within a second.
	check "$engine, $1: the host calls" log_is '{(e["by"], e.get("line")) for e in of("vsock")} == {("host", "CONNECT 52\n")}'
	if [ "$engine" = standin ]; then
		FLAKE_STANDIN_SCI=$F/frames run fcsnap
		check "$engine, $1: clock and randomness are told, before the start" out_is "2 7 8 9 clock"
	fi
	run bash -c 'fcsnap -c "echo a; sleep 1" & fcsnap -c "echo b; sleep 1" & wait'
	check "$engine, $1: two restored VMs at once" [ "$(sort "$out" | xargs)" = "a b" ]
	check "$engine, $1: nothing left of restored VMs" no_directory
	check "$engine, $1: no process left of restored VMs" no_engine
	run flake-ctl explain fcsnap
	check "$engine, $1: explain shows the restoring" out_has 'firecracker --api-sock api.sock'
}

# A signal while the guest of a restored VM does not answer yet.
fc_ended_while_restoring() {
	local pilot
	printf '#!/bin/sh\nexec sleep 3600\n' >"$F/mute"
	chmod 755 "$F/mute"
	forget
	FLAKE_STANDIN_SCI=$F/mute fcsnap -c 'exit 3' >/dev/null 2>&1 &
	pilot=$!
	wait_for has_line '"event": "vsock", "by": "host"' "$FLAKE_STANDIN_LOG"
	kill -TERM "$pilot"
	wait "$pilot"
	check "$engine: a signal while restoring" [ $? = 143 ]
	check "$engine: leaves no directory" no_directory
}

fc_snapshot_lost() {
	local old
	old=$(saved fcsnap)
	run fc fcsnap /bin/sh --snapshot
	check "$engine: saved anew, the old one is gone" [ ! -e "$old" -a "$(saved fcsnap | wc -l)" = 1 ]
	echo '["broken"]' >"$(saved fcsnap)/state"
	forget
	run fcsnap -c 'exit 3'
	check "$engine: one that cannot be restored: boots" rc_is 3
	check "$engine: silently" [ ! -s "$err" ]
	check "$engine: tried and booted" log_is 'names == ["PUT /snapshot/load"] and requests[0][1] == 400 and [e["restored"] for e in of("boot")] == [False]'
	run fcsnap %debug -c 'exit 3'
	check "$engine: says so with %debug" err_has 'booting a VM: firecracker: PUT /snapshot/load: '
	check "$engine: nothing left of either" no_directory
	truncate -s 1M "$(saved fcsnap)/memory"
	forget
	run fcsnap %debug -c 'exit 3'
	check "$engine: one that is no good is not tried" err_has 'booting a VM: nothing is saved of this definition'
	touch /var/lib/firecracker/images/fcbox/kernel
	run flake-ctl doctor
	check "$engine: doctor tells" out_has "flake 'fcsnap': no VM is saved"
	run fcsnap -c 'exit 3'
	check "$engine: another kernel: boots" rc_is 3
	mkdir "$storage/fcgone-0123456789abcdef.snap"
	run flake-ctl doctor
	check "$engine: doctor tells of saved VMs of nobody" out_has "there is no flake for the saved VM $storage/fcgone"
	check "$engine: and not of those that have a flake" [ "$(grep -c 'there is no flake for' "$out")" = 1 ]
	rmdir "$storage/fcgone-0123456789abcdef.snap"
	run flake-ctl firecracker remove --app /usr/bin/fcsnap
	check "$engine: remove takes the saved VM" [ -z "$(find "$storage" -name 'fcsnap*')" ]
	run fc fcsnap /bin/sh --snapshot --resume
	check "$engine: --snapshot --resume is refused" [ "$rc" != 0 -a ! -e /usr/bin/fcsnap ]
}

# What root has saved is root's alone: it tells what the guests' kernel hides. A user's calls boot, until
# he has saved a VM of his own.
fc_user() {
	run fc fcsnap /bin/sh --snapshot --overlay-size 64MiB
	useradd -m fcuser 2>/dev/null
	as_user() {
		(cd / && runuser -u fcuser -- env -i HOME=/home/fcuser USER=fcuser PATH="$PATH" \
			FLAKE_STANDIN_SCI="$FLAKE_STANDIN_SCI" FLAKE_STANDIN_LOG="$FLAKE_STANDIN_LOG" "$@")
	}
	check "$engine: what is saved is its owner's alone" [ "$(stat -c %a "$(saved fcsnap)" "$(saved fcsnap)"/* | xargs)" = "700 600 600 600" ]
	forget
	chmod 666 "$FLAKE_STANDIN_LOG"
	run as_user fcsnap %debug -c 'id -u; exit 8'
	check "$engine: a user does not restore what root has saved" rc_is 8
	check "$engine: really" log_is 'names == [] and [e["restored"] for e in of("boot")] == [False]'
	check "$engine: and is told with %debug" err_has "booting a VM: nothing is saved of this definition"
	run as_user flake-ctl firecracker compose --force fcsnap
	check "$engine: the user saves his own" rc_is 0
	forget
	chmod 666 "$FLAKE_STANDIN_LOG"
	run as_user fcsnap -c 'id -u; exit 8'
	check "$engine: and restores it" rc_is 8
	check "$engine: really" log_is 'names == ["PUT /snapshot/load"] and requests[0][1] == 204 and [e["restored"] for e in of("boot")] == [True]'
	check "$engine: nothing else stays with the user" [ -z "$(find /home/fcuser/.flakes /run/flakes/"$(id -u fcuser)" /tmp/flakes-"$(id -u fcuser)" -name '*.vm' -o -name '*.overlay*' 2>/dev/null)" ]
	run flake-ctl firecracker remove --app /usr/bin/fcsnap
}

# One that fails takes the flake back, and nothing is left.
fc_snapshot_fails() {
	FLAKE_STANDIN_SCI=/bin/false run fc fcsnap /bin/sh --snapshot
	check "$engine: a VM that does not come up is not saved" [ "$rc" != 0 -a ! -e /usr/bin/fcsnap ]
	check "$engine: why" err_has 'the VM to be saved did not come up'
	check "$engine: nothing is left of that" [ -z "$(find "$storage" -name 'fcsnap*')" ]
	check "$engine: no directory of that" no_directory
}

fc_all() {
	fc_one_call
	fc_overlay
	fc_resume
	fc_killed
	fc_snapshot memory
	fc_snapshot disk
	[ "$engine" = real ] || fc_ended_while_restoring
	fc_snapshot_lost
	[ "$engine" = real ] || fc_user
	[ "$engine" = real ] || fc_snapshot_fails
	flake-ctl firecracker remove --app /usr/bin/fcsh
}

kernel=$(tests/kernel --path)
if [ -z "$kernel" ]; then
	skip "VM flakes under Firecracker" "no kernel in build/kernel"
	return 0
fi
mkdir -p "$F"
# In place of sci: says which frames it was told up to the start, and whether the clock was right.
cat >"$F/frames" <<'PY'
#!/usr/bin/env python3
import os, struct, sys, time
fd, kinds, clock = int(sys.argv[2]), [], ""
def take(size):
    data = b""
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            sys.exit()
        data += more
    return data
def send(kind, body, stream=0, session=0):
    os.write(fd, struct.pack("<IBBH", len(body), kind, stream, session) + body)
send(1, b"flk1\x01\x00")
while 9 not in kinds:
    size, kind, _, session = struct.unpack("<IBBH", take(8))
    body = take(size)
    kinds.append(kind)
    if kind == 7 and abs(struct.unpack("<Q", body)[0] / 1e9 - time.time()) < 3600:
        clock = "clock"
send(10, " ".join([*map(str, kinds), clock]).encode() + b"\n", 1, session)
send(15, struct.pack("<II", 0, 0), 0, session)
take(1)
PY
chmod 755 "$F/frames"
run flake-ctl firecracker build-image --force --from-oci "$IMAGE" --name fcbox --kernel "$kernel"
check "build-image for Firecracker" rc_is 0
boot_id=$(cat /proc/sys/kernel/random/boot_id)
# Asks for KVM, and so has it looked for; what was found stands in a file.
flake-ctl firecracker register --vm fcbox --app /usr/bin/fcprobe --engine auto --no-net >/dev/null 2>&1
flake-ctl firecracker remove --app /usr/bin/fcprobe
usable=$(sed "s/^$boot_id //" /run/flakes/0/kvm 2>/dev/null)

if ! command -v python3 >/dev/null; then
	skip "the stand-in for Firecracker" "python3 is not installed"
elif ! { : <>/dev/kvm; } 2>/dev/null; then
	skip "the stand-in for Firecracker" "/dev/kvm does not open"
else
	engine=standin
	# Where any user reaches it.
	install -d /usr/local/lib/standin
	install -m 755 "$ROOT"/tests/firecracker_* /usr/local/lib/standin
	ln -sf /usr/local/lib/standin/firecracker_standin /usr/bin/firecracker
	hash -r
	printf '%s usable' "$boot_id" >/run/flakes/0/kvm
	fc_all
	rm -f /run/flakes/0/kvm /usr/bin/firecracker
	hash -r
fi
if [ -z "$real" ]; then
	skip "Firecracker itself" "firecracker is not installed"
elif [ "$usable" != usable ]; then
	skip "Firecracker itself" "KVM: ${usable:-does not open}"
else
	engine=real
	fc_all
fi
unset FLAKE_STANDIN_SCI FLAKE_STANDIN_LOG
