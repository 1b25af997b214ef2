// SPDX-License-Identifier: MIT
// From the options of a plan to a machine, its engine and its kernel's command line.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "firecracker.h"
#include "firecracker_kvm.h"
#include "flake_schema.h"
#include "process.h"
#include "state.h"
#include "util.h"

enum { RETRY_SECONDS = 600 };

static int bad(const struct plan *plan, const char *option, const char *why, struct error *err)
{
	return error_set(err, ERR_FLAKE, "flake '%s': %s: %s", plan->flake, option, why);
}

static int number(const struct plan *plan, const char *option, unsigned low, unsigned high,
		  unsigned *out, struct error *err)
{
	const char *text = strchr(option, '=') + 1;
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || n < low || n > high)
		return bad(plan, option, "not a number, or out of range", err);
	*out = (unsigned)n;
	return 0;
}

static const char *value_of(const char *option, const char *name)
{
	size_t n = strlen(name);

	return strncmp(option, name, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

// Options whose value is a text. Returns whether it was one.
static bool take_text(struct machine *machine, const char *option)
{
	const struct {
		const char *name;
		const char **member;
	} texts[] = {
		{ "--kernel", &machine->kernel }, { "--initrd", &machine->initrd },
		{ "--rootfs", &machine->rootfs }, { "--cache", &machine->cache },
		{ "--tap", &machine->tap },	  { "--engine", &machine->want },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *value = value_of(option, texts[i].name);

		if (value) {
			*texts[i].member = value;
			return true;
		}
	}
	return false;
}

static bool take_list(struct machine *machine, const char *option)
{
	const char *value = value_of(option, "--boot-arg");

	if (value && *value)
		strv_push(&machine->boot_args, value);
	else if ((value = value_of(option, "--include-tar")))
		strv_pushf(&machine->includes, "tar:%s", value);
	else if ((value = value_of(option, "--include-path")))
		strv_pushf(&machine->includes, "path:%s", value);
	return value != NULL;
}

static int take(struct machine *machine, const struct plan *plan, const char *option,
		struct error *err)
{
	if (take_text(machine, option) || take_list(machine, option))
		return 0;
	if (value_of(option, "--vcpu"))
		return number(plan, option, 1, 32, &machine->vcpu, err);
	if (value_of(option, "--mem"))
		return number(plan, option, 32, 1 << 22, &machine->mem, err);
	if (value_of(option, "--overlay-size"))
		return size_of_overlay(value_of(option, "--overlay-size"), &machine->overlay) < 0
			       ? bad(plan, option, "no size from 1 MiB to 16 TiB", err)
			       : 0;
	if (streq(option, "--no-net"))
		machine->network = false;
	else if (streq(option, "--snapshot"))
		machine->snapshot = true;
	else
		return bad(plan, option, "unknown option of a VM", err);
	return 0;
}

// The image's files, and whether its init is ours: that stands beside the root file system.
static int check_files(struct machine *machine, const struct plan *plan, struct error *err)
{
	const char *files[] = { machine->kernel, machine->rootfs, machine->initrd };
	cleanup_free char *mark = NULL;
	const char *slash;

	if (!machine->kernel || !machine->rootfs)
		return error_set(err, ERR_FLAKE, "flake '%s' has no %s image", plan->flake,
				 machine->kernel ? "rootfs" : "kernel");
	for (size_t i = 0; i < 3; i++)
		if (files[i] && access(files[i], R_OK) < 0)
			return error_set(err, errno, "cannot read %s, of VM image '%s'", files[i],
					 plan->image);
	slash = strrchr(machine->rootfs, '/');
	mark = xasprintf("%.*s/channel", slash ? (int)(slash - machine->rootfs) : 0,
			 machine->rootfs);
	machine->framed = access(mark, F_OK) == 0;
	return 0;
}

// Firecracker boots what is not compressed.
static int check_kernel(const struct machine *machine, struct error *err)
{
#ifdef __x86_64__
	cleanup_fd int fd = open(machine->kernel, O_RDONLY | O_CLOEXEC);
	char magic[4] = "";

	if (machine->engine == VM_FIRECRACKER && read(fd, magic, 4) == 4 &&
	    memcmp(magic, "\177ELF", 4) != 0)
		return error_set(err, ERR_FLAKE,
				 "%s is no uncompressed kernel (ELF), which Firecracker needs",
				 machine->kernel);
#else
	(void)machine;
	(void)err;
#endif
	return 0;
}

static char *boot_id(void)
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t len;

	if (fd < 0 || read_fd_all(fd, 256, &text, &len, NULL) < 0)
		return xstrdup("?");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

// What was found out lately is not tried again: that it works holds for the boot; that it doesn't
// may have been another hypervisor's doing, or a busy host's.
static bool is_known(int dir, const char *boot, char **answer)
{
	cleanup_free char *text = NULL;
	size_t len, n = strlen(boot);
	struct timespec now;
	struct stat st;

	if (dir < 0 || state_read(dir, "kvm", &text, &len, NULL) < 0 || !str_starts(text, boot) ||
	    text[n] != ' ' || fstatat(dir, "kvm", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!streq(text + n + 1, "usable") &&
	    (now.tv_sec < st.st_mtime || now.tv_sec - st.st_mtime > RETRY_SECONDS))
		return false;
	*answer = xstrdup(text + n + 1);
	return true;
}

bool vm_kvm(char **why)
{
	cleanup_fd int node = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	cleanup_fd int dir = node < 0 ? -1 : state_open(NULL, NULL);
	cleanup_free char *boot = boot_id(), *known = NULL, *text = NULL, *reason = NULL;
	bool usable;

	// Trying it takes a moment.
	if (is_known(dir, boot, &known)) {
		usable = streq(known, "usable");
		if (why)
			*why = steal_ptr(&known);
		return usable;
	}
	usable = kvm_usable(&reason);
	text = xasprintf("%s %s", boot, usable ? "usable" : reason);
	if (dir >= 0)
		state_write(dir, "kvm", text, strlen(text), NULL);
	if (why)
		*why = usable ? xstrdup("usable") : steal_ptr(&reason);
	return usable;
}

static bool on_path(const char *program)
{
	cleanup_free char *path = process_which(program, NULL);

	return path != NULL;
}

static int choose_engine(struct machine *machine, const struct plan *plan, struct error *err)
{
	const char *want = machine->want ? machine->want : "auto";
	cleanup_free char *why = NULL;
	bool firecracker = on_path("firecracker");

	machine->kvm = vm_kvm(&why);
	if (!streq(want, "auto") && !streq(want, "firecracker") && !streq(want, "qemu"))
		return bad(plan, "--engine", "must be auto, firecracker or qemu", err);
	machine->engine = VM_FIRECRACKER;
	if (streq(want, "qemu") || (streq(want, "auto") && !(firecracker && machine->kvm)))
		machine->engine = VM_QEMU;
	if (machine->engine == VM_FIRECRACKER)
		return firecracker ? 0
				   : error_set(err, ENOENT, "flake '%s' needs firecracker",
					       plan->flake);
	if (!on_path(VM_QEMU_PROGRAM))
		return error_set(err, ENOENT, "flake '%s' needs %s (firecracker: %s%s%s)",
				 plan->flake, VM_QEMU_PROGRAM, firecracker ? "there" : "not found",
				 machine->kvm ? "" : ", KVM: ", machine->kvm ? "" : why);
	return 0;
}

int machine_read(struct machine *machine, const struct plan *plan, struct error *err)
{
	machine->network = true;
	machine->vcpu = 2;
	machine->mem = 4096;
	machine->stays = plan->resume;
	for (size_t i = 0; i < plan->options.n; i++)
		if (take(machine, plan, plan->options.v[i], err) < 0)
			return -1;
	if (check_files(machine, plan, err) < 0 || choose_engine(machine, plan, err) < 0 ||
	    check_kernel(machine, err) < 0)
		return -1;
	if (machine->snapshot &&
	    (machine->engine != VM_FIRECRACKER || !machine->framed || machine->stays))
		return bad(plan, "--snapshot",
			   "needs Firecracker, an image with our sci, and a VM that does not stay",
			   err);
	return 0;
}

void machine_free(struct machine *machine)
{
	strv_free(&machine->boot_args);
	strv_free(&machine->includes);
	free(machine->command_line);
	*machine = (struct machine){ 0 };
}
