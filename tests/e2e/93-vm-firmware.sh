# VMs on firmware of either kind: qboot, which our pilot asks for, and SeaBIOS, which QEMU takes by
# itself where there is no qboot. Real QEMU.
# shellcheck shell=bash
. tests/e2e/vm.sh
if [ -n "$(vm_obstacle)" ]; then
	skip "firmware of VMs" "$(vm_obstacle)"
	return 0
fi
vm_setup
QBOOT=$(dirname "$(dirname "$(readlink -f "$(command -v qemu-system-x86_64)")")")/share/qemu/qboot.rom

# A kernel that only says where ACPI tables and initrd lie.
gcc -m32 -ffreestanding -fno-pie -no-pie -fno-stack-protector -static -nostdlib -Os \
	-Wl,--build-id=none,-e,entry,-Ttext-segment=0x200000 -o "$T/tables.elf" tests/e2e/vm_tables.c
truncate -s 4M "$T/tables.rootfs"
mke2fs -q -F -t ext4 -O ^has_journal "$T/tables.rootfs"

# tables LENGTH: launches that kernel with an initrd that was so long before it was pulled.
tables() {
	head -c "$1" /dev/zero | tr '\0' i >"$T/tables.initrd"
	flake-ctl firecracker pull --name tables --force --rootfs "$T/tables.rootfs" --kernel "$T/tables.elf" \
		--initrd "$T/tables.initrd" || return
	run timeout 60 vtables
}
# What it said, "whole" or "damaged", of the tables; and four addresses as decimal numbers: of the
# tables and of the initrd, from and to.
found() {
	local hex='\([0-9a-f]*\)' word a b c d
	read -r word a b c d <<<"$(sed -n "s/.*ACPI tables \([a-z]*\) $hex-$hex initrd $hex-$hex.*/\1 \2 \3 \4 \5/p" "$err")"
	[ -n "$d" ] && echo "$word $((16#$a)) $((16#$b)) $((16#$c)) $((16#$d))"
}
# Does the initrd keep clear of the pages of the tables?
is_clear() {
	local word low high from to
	read -r word low high from to <<<"$(found)"
	[ "$word" = whole ] && ((to <= low / 4096 * 4096 || from >= high))
}
lengths() {
	local good=0 total=0 n
	for n in $(seq 30); do
		total=$((total + 1))
		tables $((4096 * (n % 4) + 137 * n)) && is_clear && good=$((good + 1)) || cat "$err"
	done
	[ "$good $total" = "30 30" ]
}
# Registers the flake of that kernel.
tables_flake() {
	flake-ctl firecracker register --force --vm tables --app /usr/bin/vtables --target /bin/true --engine qemu \
		"$@" 2>"$err" || cat "$err" >&2
}
tables 4096
tables_flake --mem 32 --vcpu 1 --no-net
check "the kernel of this test says what it is to say" [ "$(tables 5000; found | cut -d ' ' -f 1)" = whole ]
if [ -e "$QBOOT" ]; then
	run flake-ctl explain vsh
	check "QEMU is told to take its qboot" out_has "-M microvm -bios $QBOOT"
	mkdir -p "$T/elsewhere"
	echo garbage >"$T/elsewhere/qboot.rom"
	rc=0; (cd "$T/elsewhere" && vsh -c 'exit 3') >"$out" 2>"$err" </dev/null || rc=$?
	check "not one of the working directory" rc_is 3
	mv "$QBOOT" "$T/qboot.rom"
else
	skip "qboot" "this QEMU has none"
fi

# Without qboot.
run flake-ctl explain vsh
check "without qboot an emulated machine has no old interrupt controller" \
	grep -qE -- '-M (microvm,pic=off -accel tcg|microvm -accel kvm)' "$out"
for n in 1 2 3; do
	run timeout 60 vsh -c 'echo x; exit 4'
	check "a VM comes up on SeaBIOS ($n)" [ "$rc" = 4 -a "$(cat "$out")" = x -a ! -s "$err" ]
done
run timeout 60 vsh %debug -c 'exit 5'
check "SeaBIOS writes nothing to the console" bash -c "! grep -qi seabios '$err'"
check "initrds of thirty lengths keep clear of the ACPI tables" lengths
tables_flake --mem 4096 --vcpu 32 --overlay-size 16M
tables 5000
check "also where these are as large as they get" is_clear
# An initrd over the tables, as it would be without our zeros: what is seen above is no accident.
truncate -s 8000 $IMAGES/tables/initrd
run timeout 60 vtables
check "and would not with the length that they had" [ "$(found | cut -d ' ' -f 1)" = damaged ]
[ ! -e "$T/qboot.rom" ] || mv "$T/qboot.rom" "$QBOOT"
flake-ctl firecracker remove --vm tables
