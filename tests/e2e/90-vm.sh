# VM flakes: real VMs under QEMU, of Debian's cloud kernel and of an image made from a container.
# shellcheck shell=bash
KERNELS=${FLAKE_VM_KERNEL:-/tmp/k/x}
kernel=$(ls "$KERNELS"/boot/vmlinuz-* | head -n 1)
vm() {
	local name=$1 target=$2
	shift 2
	flake-ctl firecracker register --force --vm box --app "/usr/bin/$name" --target "$target" \
		--mem 256 --vcpu 1 --engine qemu "$@"
}

run flake-ctl firecracker build-image --from-oci "$IMAGE" --name box --kernel "$kernel"
check "build-image of a container image" rc_is 0
run flake-ctl firecracker list
check "list shows it" out_has box
run vm vsh /bin/sh --no-net
check "register" rc_is 0
run time vsh -c 'echo hello; exit 3'
check "exit code" rc_is 3
check "output" out_is hello
vsh %debug -c 'echo x'
