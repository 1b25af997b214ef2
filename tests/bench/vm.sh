# VM flakes against the bare engine: QEMU with the same kernel, memory and processors; sourced by
# run. No KVM: both are emulated.
# shellcheck shell=bash
vm_kernel=$(tests/kernel --path)
if [ -z "$vm_kernel" ] || ! command -v qemu-system-x86_64 >/dev/null; then
	echo "bench: VM flakes skipped: no kernel in build/kernel, or no qemu-system-x86_64 (make deps gets both)"
	return 0
fi
vm_dir=$T/vm
mkdir -p "$vm_dir/root/dev" "$vm_dir/root/mod"
flake-ctl firecracker build-image --from-oci "$IMAGE" --name bench --kernel "$vm_kernel"
image=/var/lib/firecracker/images/bench
vm_flake() {
	flake-ctl firecracker register --force --vm bench --app "/usr/bin/$1" --target "$2" --mem 256 --vcpu 1 \
		--engine qemu --no-net "${@:3}" 2>/dev/null
}
vm_flake vmecho /bin/echo
vm_flake vmsh /bin/sh
vm_flake vmtrue /bin/true --resume

# The bare engine's initramfs: an init of one line; or one that only loads what a port needs and
# copies.
gcc -x c -O2 -static -s -o "$vm_dir/root/init" - <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char buffer[65536];

static void load(const char *path)
{
	int fd = open(path, O_RDONLY);

	syscall(SYS_finit_module, fd, "", 0);
	close(fd);
}

/* What cat does: 64 MiB of zeros to the port ("out"), or from the port to nowhere, and says one byte
   when it has them ("in"). */
static void copy(int out)
{
	int port, other = open(out ? "/dev/zero" : "/dev/null", O_RDWR);
	long left = 64L << 20;

	load("/mod/1.ko"), load("/mod/2.ko"), load("/mod/3.ko"), load("/mod/4.ko");
	while ((port = open("/dev/vport0p1", O_RDWR)) < 0)
		usleep(1000);
	if (!out)
		write(port, "<", 1);
	while (left > 0) {
		long n = read(out ? other : port, buffer, sizeof(buffer)), done = 0;

		while (done < n)
			done += write(out ? port : other, buffer + done, n - done);
		left -= n > 0 ? n : 0;
	}
	write(port, ">", 1);
	pause();
}

int main(void)
{
	char line[4096] = "";

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	read(open("/proc/cmdline", O_RDONLY), line, sizeof(line) - 1);
	if (strstr(line, "bench=out") || strstr(line, "bench=in"))
		copy(strstr(line, "bench=out") != NULL);
	write(open("/dev/console", O_WRONLY), "hello\n", 6);
	reboot(RB_AUTOBOOT);
	return 0;
}
C
n=0
for module in virtio_ring virtio virtio_mmio virtio_console; do
	n=$((n + 1))
	cp "$(find "${FLAKE_VM_KERNEL:-build/kernel}" -name "$module.ko" | head -n 1)" "$vm_dir/root/mod/$n.ko"
done
(cd "$vm_dir/root" && find . | bsdtar -cf "$vm_dir/initrd" --format newc -T -)

python3 tests/bench/vm.py "$image/kernel" "$vm_dir/initrd" "${ROUNDS:-9}" >"$vm_dir/ratios"
while read -r what value budget unit; do line "${what//_/ }" "$value" "$budget" "$unit"; done <"$vm_dir/ratios"

vmtrue </dev/null
mapfile -t m < <(RUNS=40 fine /usr/bin/vmtrue)
line "call into a VM that stays (emulated)" "${m[0]}" 30 ms
flake-ctl firecracker stop --all >/dev/null
