# The clones of a saved VM draw random numbers of their own, in a real guest: QEMU saves and restores it
# as Firecracker would.
# shellcheck shell=bash
. tests/e2e/vm.sh

# What COUNT clones draw, one a line.
clones() {
	(cd "$T/clones" && python3 "$ROOT/tests/e2e/vm_clones.py" . "$1" "$2" <"$T/argv")
}

# words N: so many different words stand in the Nth column of the output.
words() { cut -d' ' -f"$1" "$out" | sort -u | grep -c .; }

clones_differ() {
	run vm_flake vclone /bin/sh --no-net --resume
	check "clones: a flake whose VM can be saved" rc_is 0
	flake-ctl explain vclone | grep '^qemu' >"$T/argv"
	mkdir -p "$T/clones"
	run clones 5 seed
	check "clones: five of them draw" [ "$rc" = 0 -a "$(wc -l <"$out")" = 5 ]
	check "clones: other uuids" [ "$(words 1) $(words 3)" = "5 5" ]
	check "clones: other boot ids" [ "$(words 2)" = 5 ]
	# Else the test could not see what it is for.
	run clones 5 none
	check "clones: without a seed some are alike" [ "$rc" = 0 -a "$(wc -l <"$out")" = 5 -a "$(words 1)" -lt 5 ]
	run flake-ctl firecracker remove --app /usr/bin/vclone
}

reason=$(vm_obstacle)
if [ -n "$reason" ]; then
	skip "clones of saved VMs" "$reason"
else
	vm_setup
	clones_differ
fi
