// SPDX-License-Identifier: MIT
// A machine as Firecracker and QEMU take it:
// https://github.com/firecracker-microvm/firecracker/blob/main/src/firecracker/swagger/firecracker.yaml
// https://www.qemu.org/docs/master/system/i386/microvm.html
#include <inttypes.h>

#include "channel.h"
#include "doc.h"
#include "firecracker.h"
#include "process.h"
#include "util.h"

#ifdef __aarch64__
#define VM_CPU "max"
#else
#define VM_CPU "max,la57=off,erms=off,fsrm=off"
#define QBOOT "share/qemu/qboot.rom"
#endif

enum { TAP_NAME_MAX = 15 }; // IFNAMSIZ - 1

char *machine_mac(const char *key)
{
	uint64_t hash = text_hash(key);

	// The first byte: locally administered, for one station.
	return xasprintf("02:%02x:%02x:%02x:%02x:%02x", (unsigned)(hash >> 32 & 0xff),
			 (unsigned)(hash >> 24 & 0xff), (unsigned)(hash >> 16 & 0xff),
			 (unsigned)(hash >> 8 & 0xff), (unsigned)(hash & 0xff));
}

char *machine_tap(const char *name)
{
	if (strlen(name) + strlen("tap-") <= TAP_NAME_MAX && !strpbrk(name, "/: ~"))
		return xasprintf("tap-%s", name);
	return xasprintf("tap-%011llx", (unsigned long long)text_hash(name) & 0xfffffffffffULL);
}

static void add(struct node *map, const char *key, struct node *value)
{
	node_add(map, xstrdup(key), value);
}

static struct node *text(const char *value)
{
	return node_scalar(value, strlen(value), false);
}

// Numbers and truth values.
static struct node *plain(const char *value)
{
	return node_scalar(value, strlen(value), true);
}

static struct node *number(unsigned n)
{
	char digits[16];

	sprintf(digits, "%u", n);
	return plain(digits);
}

static struct node *list_of(struct node *item)
{
	struct node *list = node_new(NODE_SEQ);

	node_add(list, NULL, item);
	return list;
}

static struct node *drive(const char *id, const char *path, bool root, const char *cache)
{
	struct node *map = node_new(NODE_MAP);

	add(map, "drive_id", text(id));
	add(map, "path_on_host", text(path));
	add(map, "is_root_device", plain(root ? "true" : "false"));
	add(map, "is_read_only", plain(root ? "true" : "false"));
	if (cache)
		add(map, "cache_type", text(cache));
	return map;
}

// What is thrown away afterwards needs no care.
static const char *cache_of(const struct machine *machine)
{
	if (!machine->stays)
		return "Unsafe";
	return machine->cache ? machine->cache : "Writeback";
}

static struct node *boot_source(const struct machine *machine)
{
	struct node *map = node_new(NODE_MAP);

	add(map, "kernel_image_path", text(machine->kernel));
	if (machine->initrd)
		add(map, "initrd_path", text(machine->initrd));
	add(map, "boot_args", text(machine->command_line));
	return map;
}

static struct node *network(const struct machine *machine, const char *mac)
{
	struct node *map = node_new(NODE_MAP);

	add(map, "iface_id", text("eth0"));
	add(map, "guest_mac", text(mac));
	add(map, "host_dev_name", text(machine->tap));
	return list_of(map);
}

static struct node *channel(void)
{
	struct node *map = node_new(NODE_MAP);

	add(map, "guest_cid", number(3));
	add(map, "uds_path", text(VM_SOCKET));
	return map;
}

char *machine_config(const struct machine *machine, const char *mac)
{
	cleanup_node struct node *config = node_new(NODE_MAP);
	struct node *drives = list_of(drive("rootfs", machine->rootfs, true, NULL));
	struct node *size = node_new(NODE_MAP);

	if (machine->overlay)
		node_add(drives, NULL, drive("overlay", VM_OVERLAY, false, cache_of(machine)));
	add(size, "vcpu_count", number(machine->vcpu));
	add(size, "mem_size_mib", number(machine->mem));
	add(config, "boot-source", boot_source(machine));
	add(config, "drives", drives);
	add(config, "machine-config", size);
	if (machine->network)
		add(config, "network-interfaces", network(machine, mac));
	// Without our channel there is no directory of ours for its socket, either.
	if (machine->framed)
		add(config, "vsock", channel());
	return doc_json(config);
}

static void add_api(struct strv *argv)
{
	strv_push(argv, "--api-sock");
	strv_push(argv, VM_API);
}

// Its own log would stand among the kernel's messages.
static void add_quiet(struct strv *argv)
{
	strv_push(argv, "--level");
	strv_push(argv, "Error");
}

static void firecracker_argv(const struct machine *machine, struct strv *argv)
{
	strv_push(argv, "firecracker");
	if (machine->saving)
		add_api(argv);
	else
		strv_push(argv, "--no-api");
	strv_push(argv, "--config-file");
	strv_push(argv, VM_CONFIG);
	add_quiet(argv);
}

void machine_argv_restore(struct strv *argv)
{
	strv_push(argv, "firecracker");
	add_api(argv);
	add_quiet(argv);
}

// A comma in a value is written twice.
static char *escape(const char *value)
{
	char *out = xmalloc(2 * strlen(value) + 1), *end = out;

	for (; *value; value++) {
		if (*value == ',')
			*end++ = ',';
		*end++ = *value;
	}
	*end = '\0';
	return out;
}

#ifndef __aarch64__
// The file qboot.rom of that QEMU which would be run: below the prefix where QEMU is installed, or,
// for a wrapper of QEMU, where distributions have it. Caller frees; NULL: there is none.
static char *find_qboot(void)
{
	cleanup_free char *program = process_which(VM_QEMU_PROGRAM, NULL);
	cleanup_free char *real = program ? realpath(program, NULL) : NULL;
	cleanup_free char *beside = NULL;

	for (int i = 0; real && i < 2 && *real; i++)
		*strrchr(real, '/') = '\0';
	if (real)
		beside = xasprintf("%s/" QBOOT, real);
	if (beside && access(beside, R_OK) == 0)
		return steal_ptr(&beside);
	return access("/usr/" QBOOT, R_OK) == 0 ? xstrdup("/usr/" QBOOT) : NULL;
}

// Chooses the firmware: qboot, by an absolute path, for QEMU looks for a plain name in the working
// directory first. Most QEMUs have SeaBIOS as their own choice, which leaves the old interrupt
// controller as it was at power-on: a kernel to which ACPI names none takes the first tick of the
// emulated timer for a division by zero. Without that controller SeaBIOS does. (KVM's timer does
// not tick before it is asked to.)
static void qemu_microvm(const struct machine *machine, struct strv *argv)
{
	cleanup_free char *firmware = find_qboot();

	strv_push(argv, firmware || machine->kvm ? "microvm" : "microvm,pic=off");
	if (firmware) {
		strv_push(argv, "-bios");
		strv_push(argv, firmware);
	}
}
#endif

static void qemu_machine(const struct machine *machine, struct strv *argv)
{
	strv_push(argv, VM_QEMU_PROGRAM);
	strv_push(argv, "-M");
#ifdef __aarch64__
	strv_push(argv, "virt");
#else
	qemu_microvm(machine, argv);
#endif
	strv_push(argv, "-accel");
	strv_push(argv, machine->kvm ? "kvm" : "tcg");
	strv_push(argv, "-cpu");
	// Emulated, five levels of page tables and string moves "made fast" are slow.
	strv_push(argv, machine->kvm ? "host" : VM_CPU);
	strv_push(argv, "-smp");
	strv_pushf(argv, "%u", machine->vcpu);
	strv_push(argv, "-m");
	strv_pushf(argv, "%u", machine->mem);
	strv_push(argv, "-nodefaults");
	strv_push(argv, "-no-user-config");
	strv_push(argv, "-no-reboot");
	// With -nographic SeaBIOS would write to the console.
	strv_push(argv, "-display");
	strv_push(argv, "none");
	strv_push(argv, "-sandbox");
	strv_push(argv, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	strv_push(argv, "-chardev");
	strv_push(argv, "stdio,id=console,signal=off");
	strv_push(argv, "-serial");
	strv_push(argv, "chardev:console");
}

// The kernel numbers disks in the order in which they stand here.
static void qemu_drive(struct strv *argv, const char *id, const char *path, const char *options)
{
	cleanup_free char *file = escape(path);

	strv_push(argv, "-drive");
	strv_pushf(argv, "id=%s,file=%s,format=raw,if=none,werror=report,rerror=report,%s", id,
		   file, options);
	strv_push(argv, "-device");
	strv_pushf(argv, "virtio-blk-device,drive=%s", id);
}

static void qemu_channel(struct strv *argv)
{
	strv_push(argv, "-device");
	strv_push(argv, "virtio-serial-device,max_ports=2");
	strv_push(argv, "-chardev");
	strv_pushf(argv, "socket,id=channel,fd=%d", VM_FD_CHANNEL);
	strv_push(argv, "-device");
	strv_push(argv, "virtserialport,chardev=channel,name=" CHANNEL_PORT_NAME);
}

static void qemu_network(const struct machine *machine, const char *mac, struct strv *argv)
{
	cleanup_free char *tap = escape(machine->tap ? machine->tap : "");

	strv_push(argv, "-netdev");
	if (machine->tap)
		strv_pushf(argv, "tap,id=net,ifname=%s,script=no,downscript=no", tap);
	else
		strv_push(argv, "user,id=net");
	strv_push(argv, "-device");
	strv_pushf(argv, "virtio-net-device,netdev=net,mac=%s", mac);
}

static void qemu_argv(const struct machine *machine, const char *mac, struct strv *argv)
{
	qemu_machine(machine, argv);
	strv_push(argv, "-kernel");
	strv_push(argv, machine->kernel);
	if (machine->initrd) {
		strv_push(argv, "-initrd");
		strv_push(argv, machine->initrd);
	}
	strv_push(argv, "-append");
	strv_push(argv, machine->command_line);
	qemu_drive(argv, "root", machine->rootfs, "readonly=on");
	// Its lock is ours; where both kinds of locks are one (NFS) it would be in QEMU's way.
	if (machine->overlay)
		qemu_drive(argv, "overlay", VM_OVERLAY,
			   streq(cache_of(machine), "Unsafe")
				   ? "file.locking=off,discard=unmap,cache=unsafe"
				   : "file.locking=off,discard=unmap,cache=writeback");
	if (machine->framed)
		qemu_channel(argv);
	if (machine->network)
		qemu_network(machine, mac, argv);
}

void machine_argv(const struct machine *machine, const char *mac, struct strv *argv)
{
	if (machine->engine == VM_FIRECRACKER)
		firecracker_argv(machine, argv);
	else
		qemu_argv(machine, mac, argv);
}
