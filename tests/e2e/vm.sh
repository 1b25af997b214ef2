# Helpers of the topics with VMs; sourced. Real QEMU, Debian's cloud kernel, images of containers.
# shellcheck shell=bash
STORAGE=/var/lib/firecracker/storage
IMAGES=/var/lib/firecracker/images
STATE=/run/flakes/0
kernel=$(tests/kernel --path)

qemus() { pgrep -c '^qemu-system'; }
no_qemu() { [ "$(qemus)" = 0 ]; }
# What launches leave: names of files, without locks and what is said once a boot.
left() { ls -A "$STATE" "$STORAGE" 2>/dev/null | grep -vE '\.lock$|^\.lock$|^kvm$'; }
nothing_left() { [ "$(left)" = "$(cat "$T/left")" ]; }

# wait_full: until the pipe on standard input holds about what it can.
wait_full() {
	python3 -c '
import fcntl, struct, termios, time
full = fcntl.fcntl(0, fcntl.F_GETPIPE_SZ) - 8192
while struct.unpack("i", fcntl.ioctl(0, termios.FIONREAD, bytes(4)))[0] < full:
    time.sleep(0.05)'
}

# has_term PID SET: whether SIGTERM is in that set of signals of a process, SigBlk or ShdPnd.
has_term() { grep -q "^$2:.*[4-7c-f]...\$" "/proc/$1/status" 2>/dev/null; }
# ask_to_end PID: SIGTERM for a pilot that looks at its signals, when it has seen all earlier ones.
ask_to_end() {
	wait_for has_term "$1" SigBlk
	wait_for eval "! has_term $1 ShdPnd"
	kill -TERM "$1"
}

# Why no VM can be tested here; nothing, if one can.
vm_obstacle() {
	if [ "$(uname -m)" != x86_64 ]; then
		echo "the tests have a kernel for amd64 only"
	elif ! command -v qemu-system-x86_64 >/dev/null; then
		echo "qemu-system-x86_64 is missing"
	elif [ -z "$kernel" ]; then
		echo "no kernel in build/kernel (tests/kernel gets it, where there is apt)"
	fi
}

# The container image of the VMs: owners, modes and names to be found again.
make_vm_image() {
	local tree=$T/vmtree c
	mkdir -p "$tree"/{bin,etc,tmp,dev,proc,sys,run,root,lib,usr/sbin,owners}
	cp /bin/busybox "$tree/bin/"
	for c in sh cat echo true false printf sleep stty id env ls sha256sum kill test yes head tail tty ps \
		od stat mount ip nc dd sync df hostname dmesg mkdir rm wc readlink seq tee touch reboot \
		pidof nproc grep find setsid date ping cut; do
		ln -sf busybox "$tree/bin/$c"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nown:x:1000:2000::/:/bin/sh\n' >"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	chmod 1777 "$tree/tmp"
	chmod 700 "$tree/root"
	echo '#!/bin/sh' >"$tree/etc/not-executable"
	printf '#!/bin/sh\necho ready\nexec cat\n' >"$tree/bin/ready-cat"
	chmod 755 "$tree/bin/ready-cat"
	(
		cd "$tree/owners" || exit
		echo data >plain; chown 1000:2000 plain; chmod 640 plain
		cp /bin/busybox setuid; chown 0:2000 setuid; chmod 4750 setuid
		mkdir shared; chown 1000:1000 shared; chmod 2775 shared
		mkdir sticky; chmod 1777 sticky
		mkdir closed; chmod 0 closed
		ln -s ../etc/passwd relative; ln -s /nowhere/at/all dangling; chown -h 1000:2000 dangling
		echo linked >hard; ln hard hard2
		echo odd >'a "b'"'"' %s ä'; : >empty
		head -c 3000000 /dev/urandom >big
	)
	tar -C "$tree" --numeric-owner -c . | podman import - localhost/vmbox >/dev/null 2>&1
}

# vm_flake NAME TARGET [OPTION…]: registers /usr/bin/NAME, replacing an older one.
vm_flake() {
	local name=$1 target=$2
	shift 2
	flake-ctl firecracker register --force --vm box --app "/usr/bin/$name" --target "$target" \
		--mem 192 --vcpu 1 --engine qemu "$@" 2>"$T/register.err" ||
		{ cat "$T/register.err" >&2; return 1; }
}

# The image "box" and the flake "vsh", once for all topics of a run that leave them there.
vm_setup() {
	[ ! -e $IMAGES/box ] || [ ! -L /usr/bin/vsh ] || return 0
	rm -rf $IMAGES/box
	make_vm_image
	run flake-ctl firecracker build-image --from-oci localhost/vmbox --name box --kernel "$kernel"
	check "build-image makes a VM image of a container image" rc_is 0
	run vm_flake vsh /bin/sh --no-net
	check "register makes a command of it" [ "$rc" = 0 -a -L /usr/bin/vsh ]
}
