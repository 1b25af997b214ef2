# What stays of a pilot beside its VM has given up all that it does not need. Real VMs, under QEMU.
# shellcheck shell=bash
. tests/e2e/vm.sh

# confined PID…: rights and system calls of each are gone.
confined() {
	local pid
	[ $# -gt 0 ] || return 1
	for pid in "$@"; do
		[ "$(grep -cE '^(CapEff|CapPrm|CapBnd):.0+$|^NoNewPrivs:.1$|^Seccomp:.2$' "/proc/$pid/status")" = 5 ] ||
			{ grep -E '^(Cap|NoNew|Seccomp:)' "/proc/$pid/status" >"$err"; return 1; }
	done
}

# A call that says when its program runs, and ends when it may.
start_call() {
	mkfifo "$T/confined-in" "$T/confined-out"
	# Both ways, so that nobody waits for a pilot that has ended.
	exec 8<>"$T/confined-in" 9<>"$T/confined-out"
	"$1" -c 'echo runs; read x; exit 7' <&8 >&9 2>"$err" 8>&- 9>&- &
	call=$!
	said=
	read -r -t 120 -u 9 said
}

end_call() {
	echo >&8
	exec 8>&- 9<&-
	rc=0
	wait "$call" || rc=$?
	rm "$T/confined-in" "$T/confined-out"
}

pilots_are_confined() {
	local call said
	start_call vsh
	check "a call's program runs" [ "$said" = runs ]
	check "the pilot of a VM of one call is confined" confined "$call"
	end_call
	check "and its call ends as it should" rc_is 7
	vm_flake vconf /bin/sh --no-net --resume --overlay-size 32M
	start_call vconf
	check "a VM that stays: its program runs" [ "$said" = runs ]
	check "the call's pilot is confined" confined "$call"
	check "so is the holder" confined "$(sed -n 's/^pid //p' "$STATE/vconf.run")"
	end_call
	check "and the call ends as it should" rc_is 7
	run vconf -c 'exit 8'
	check "the next call finds the VM" rc_is 8
	run vconf %remove -c 'exit 9'
	check "%remove ends it" [ "$rc" = 9 -a "$(wait_for no_qemu; qemus)" = 0 ]
	check "and nothing is left but the template" [ -z "$(left | grep vconf | grep -v "\.ext4$")" ]
	run flake-ctl firecracker remove --app /usr/bin/vconf
}

reason=$(vm_obstacle)
if [ -n "$reason" ]; then
	skip "confinement of pilots" "$reason"
else
	vm_setup
	pilots_are_confined
fi
