// SPDX-License-Identifier: MIT
// From the options of a plan to a machine, as QEMU and Firecracker take it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "doc.h"
#include "firecracker.h"
#include "fs.h"
#include "state.h"
#include "util.h"

static char *dir;

static void file(const char *name, const char *text, mode_t mode)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(fs_write(path, text, strlen(text), mode, false, NULL), 0);
}

// A host with both engines on PATH (nothing is run), and an image.
static int set_up(void **state)
{
	cleanup_free char *path = NULL;

	(void)state;
	dir = fs_temp_dir(NULL, "machine", NULL);
	path = xasprintf("%s/bin", dir);
	mkdir(path, 0755);
	file("bin/firecracker", "", 0755);
	file("bin/" VM_QEMU_PROGRAM, "", 0755);
	file("kernel", "\177ELF", 0644);
	file("rootfs", "", 0644);
	file("channel", "1\n", 0644);
	setenv("PATH", path, 1);
	return setenv("FLAKE_ROOT", dir, 1);
}

static int clear(void **state)
{
	(void)state;
	fs_remove_tree(dir, NULL);
	free(dir);
	return 0;
}

static void base_plan(struct plan *plan)
{
	*plan = (struct plan){ .flake = xstrdup("tool"),
			       .command = xstrdup("tool"),
			       .engine = xstrdup("firecracker"),
			       .image = xstrdup("box"),
			       .target = xstrdup("/bin/sh"),
			       .definition = xstrdup("0") };
	strv_pushf(&plan->options, "--kernel=%s/kernel", dir);
	strv_pushf(&plan->options, "--rootfs=%s/rootfs", dir);
}

// With the kernel's command line, as the engine does it.
static int read_machine(struct machine *machine, const struct plan *plan, struct error *err)
{
	if (machine_read(machine, plan, err) < 0)
		return -1;
	machine->command_line = machine_command_line(machine, plan, err);
	return machine->command_line ? 0 : -1;
}

static void with(struct machine *machine, struct plan *plan, const char *const *options)
{
	cleanup_error struct error err = { 0 };

	base_plan(plan);
	for (; *options; options++)
		strv_push(&plan->options, *options);
	if (read_machine(machine, plan, &err) < 0)
		fail_msg("%s", err.message);
}

static bool has_word(const struct machine *machine, const char *word)
{
	cleanup_free char *line = xasprintf(" %s ", machine->command_line);
	cleanup_free char *wanted = xasprintf(" %s ", word);

	return strstr(line, wanted) != NULL;
}

static void defaults(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };

	(void)state;
	with(&machine, &plan, (const char *[]){ "--engine=qemu", NULL });
	assert_int_equal(machine.vcpu, 2);
	assert_int_equal(machine.mem, 4096);
	assert_true(machine.network && machine.framed);
	assert_int_equal(machine.overlay, 0);
	assert_true(has_word(&machine, "root=/dev/vda"));
	assert_true(has_word(&machine, "sci_channel=port"));
	assert_true(has_word(&machine, "hostname=tool"));
	assert_false(has_word(&machine, "sci_resume=1"));
}

static void settings(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };

	(void)state;
	with(&machine, &plan,
	     (const char *[]){ "--engine=firecracker", "--vcpu=4", "--mem=512",
			       "--overlay-size=20GiB", "--no-net", "--boot-arg=ip=dhcp",
			       "--boot-arg=acpi=off", "--boot-arg=reboot=x",
			       "--include-tar=/a b.tar", NULL });
	assert_int_equal(machine.vcpu, 4);
	assert_int_equal(machine.overlay, 20ULL << 30);
	assert_int_equal(machine.engine, VM_FIRECRACKER);
	assert_string_equal(machine.includes.v[0], "tar:/a b.tar");
	assert_true(has_word(&machine, "acpi=off"));
	assert_true(has_word(&machine, "overlay_root=/dev/vdb"));
	assert_true(has_word(&machine, "sci_channel=vsock"));
	assert_true(has_word(&machine, "reboot=x"));
	assert_false(has_word(&machine, "reboot=k"));
	assert_false(has_word(&machine, "ip=dhcp"));
}

static void qemu_words(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };

	(void)state;
	with(&machine, &plan,
	     (const char *[]){ "--engine=qemu", "--boot-arg=ip=dhcp", "--boot-arg=acpi=off",
			       NULL });
	assert_false(has_word(&machine, "acpi=off"));
	assert_false(has_word(&machine, "ip=dhcp"));
	assert_non_null(strstr(machine.command_line, "ip=10.0.2.15::10.0.2.2:"));
}

static void refused(const char *option, const char *why)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };
	cleanup_error struct error err = { 0 };

	base_plan(&plan);
	strv_push(&plan.options, "--engine=qemu");
	strv_push(&plan.options, option);
	assert_int_equal(read_machine(&machine, &plan, &err), -1);
	if (!strstr(err.message, why))
		fail_msg("'%s' does not say '%s'", err.message, why);
}

static void refusals(void **state)
{
	cleanup_free char *longer = xmalloc(3000);

	(void)state;
	refused("--vcpu=0", "out of range");
	refused("--vcpu=33", "out of range");
	refused("--vcpu=two", "not a number");
	refused("--mem=-5", "not a number");
	refused("--mem=31", "out of range");
	refused("--overlay-size=1", "no size");
	refused("--overlay-size=huge", "no size");
	refused("--engine=xen", "must be auto");
	refused("--what", "unknown option");
	refused("--kernel=/does/not/exist", "cannot read");
	refused("--initrd=/does/not/exist", "cannot read");
	refused("--snapshot", "needs Firecracker");
	refused("--boot-arg=\303\251", "printable ASCII");
	refused("--boot-arg=a\nb", "printable ASCII");
	memset(longer, 'x', 2999);
	memcpy(longer, "--boot-arg=", 11);
	longer[2999] = '\0';
	refused(longer, "2047 are the limit");
}

static void no_files(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { .flake = xstrdup("f"), .image = xstrdup("box") };
	cleanup_error struct error err = { 0 };

	(void)state;
	assert_int_equal(read_machine(&machine, &plan, &err), -1);
	assert_string_equal(err.message, "flake 'f' has no kernel image");
}

static void firecracker_config(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };
	cleanup_free char *mac = machine_mac("tool"), *text = NULL, *again = machine_mac("tool");
	cleanup_node struct node *config = NULL;
	const struct node *drives;

	(void)state;
	with(&machine, &plan,
	     (const char *[]){ "--engine=firecracker", "--overlay-size=1GiB", "--tap=tap-x",
			       NULL });
	text = machine_config(&machine, mac);
	assert_null(strchr(text, '\n'));
	config = doc_parse(text, strlen(text), "config", NULL);
	assert_non_null(config);
	drives = doc_get(config, "drives");
	assert_int_equal(drives->n, 2);
	assert_string_equal(doc_get(drives->items[1], "path_on_host")->value, VM_OVERLAY);
	assert_string_equal(doc_get(drives->items[1], "cache_type")->value, "Unsafe");
	assert_true(doc_get(drives->items[0], "is_read_only")->plain);
	assert_string_equal(
		doc_get(doc_get(config, "network-interfaces")->items[0], "host_dev_name")->value,
		"tap-x");
	assert_string_equal(doc_get(doc_get(config, "vsock"), "uds_path")->value, VM_SOCKET);
	assert_string_equal(mac, again);
	assert_int_equal(strlen(mac), 17);
	assert_true(str_starts(mac, "02:"));
}

// Where nobody uses it, it would make a socket wherever the caller is.
static void no_channel_no_socket(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };
	cleanup_free char *text = NULL;

	(void)state;
	with(&machine, &plan, (const char *[]){ "--engine=firecracker", "--no-net", NULL });
	machine.framed = false;
	text = machine_config(&machine, "02:00:00:00:00:01");
	assert_null(strstr(text, "vsock\":"));
}

// That it doesn't run is believed for a while only: a hypervisor that was in the way may be gone.
static void kvm_again(void **state)
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	cleanup_fd int place = state_open(NULL, NULL);
	cleanup_free char *text = NULL, *known = NULL, *why = NULL;
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	(void)state;
	if (fd < 0 || access("/dev/kvm", R_OK | W_OK) < 0)
		skip();
	assert_int_equal(read_fd_all(fd, 100, &text, NULL, NULL), 0);
	known = xasprintf("%.*s made up", (int)strcspn(text, "\n"), text);
	assert_int_equal(state_write(place, "kvm", known, strlen(known), NULL), 0);
	assert_false(vm_kvm(&why));
	assert_string_equal(why, "made up");
	free(steal_ptr(&why));
	assert_int_equal(utimensat(place, "kvm", old, 0), 0);
	vm_kvm(&why);
	assert_string_not_equal(why, "made up");
}

static size_t find(const struct strv *argv, const char *text)
{
	for (size_t i = 0; i < argv->n; i++)
		if (strstr(argv->v[i], text))
			return i;
	return SIZE_MAX;
}

static void qemu_argv(void **state)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_plan struct plan plan = { 0 };
	cleanup_strv struct strv argv = { 0 };

	(void)state;
	file("roo,t", "", 0644);
	base_plan(&plan);
	strv_pushf(&plan.options, "--rootfs=%s/roo,t", dir);
	strv_push(&plan.options, "--engine=qemu");
	strv_push(&plan.options, "--overlay-size=1GiB");
	strv_push(&plan.options, "--no-net");
	assert_int_equal(read_machine(&machine, &plan, NULL), 0);
	machine.framed = true;
	machine_argv(&machine, "02:00:00:00:00:01", &argv);
	assert_string_equal(argv.v[0], VM_QEMU_PROGRAM);
	assert_true(find(&argv, "/roo,,t,") < find(&argv, "file=" VM_OVERLAY));
	assert_true(find(&argv, "file.locking=off") == find(&argv, "file=" VM_OVERLAY));
	assert_true(find(&argv, "fd=5") != SIZE_MAX);
	assert_true(find(&argv, "-netdev") == SIZE_MAX);
	assert_true(find(&argv, "werror=report") != SIZE_MAX);
}

// The -bios of a command line; NULL: none.
static const char *bios_of(const struct strv *argv)
{
	size_t at = find(argv, "-bios");

	return at == SIZE_MAX ? NULL : argv->v[at + 1];
}

static void directory(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(fs_mkdir_p(path, 0755, NULL), 0);
}

// A QEMU with its qboot, and a link to it alone on PATH.
static void other_qemu(void)
{
	cleanup_free char *link = xasprintf("%s/links/" VM_QEMU_PROGRAM, dir);
	cleanup_free char *path = xasprintf("%s/links", dir);

	directory("links");
	directory("own/bin");
	directory("own/share/qemu");
	file("own/bin/" VM_QEMU_PROGRAM, "", 0755);
	file("own/share/qemu/qboot.rom", "", 0644);
	assert_int_equal(symlink("../own/bin/" VM_QEMU_PROGRAM, link), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
}

// The firmware is qboot, that of the QEMU on PATH; where there is none, the interrupt controller is
// left out of a machine that is emulated.
static void qemu_firmware(void **state)
{
	cleanup_machine struct machine machine = {
		.engine = VM_QEMU, .kernel = "k", .rootfs = "r", .command_line = xstrdup("quiet")
	};
	cleanup_strv struct strv own = { 0 }, none = { 0 }, kvm = { 0 };
	cleanup_free char *rom = xasprintf("%s/own/share/qemu/qboot.rom", dir);
	cleanup_free char *path = xstrdup(getenv("PATH"));
	bool general = access("/usr/share/qemu/qboot.rom", R_OK) == 0;

	(void)state;
#ifdef __aarch64__
	skip();
#endif
	other_qemu();
	machine_argv(&machine, "02:00:00:00:00:01", &own);
	assert_int_equal(unlink(rom), 0);
	machine_argv(&machine, "02:00:00:00:00:01", &none);
	machine.kvm = true;
	machine_argv(&machine, "02:00:00:00:00:01", &kvm);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_string_equal(bios_of(&own), rom);
	assert_string_equal(own.v[find(&own, "microvm")], "microvm");
	assert_int_equal(bios_of(&none) != NULL, general);
	assert_string_equal(none.v[find(&none, "microvm")],
			    general ? "microvm" : "microvm,pic=off");
	assert_string_equal(kvm.v[find(&kvm, "microvm")], "microvm");
}

static void taps(void **state)
{
	cleanup_free char *first = machine_tap("tool"), *second = machine_tap("elevenbytes"),
			  *third = machine_tap("twelve-bytes"), *fourth = machine_tap("a b");

	(void)state;
	assert_string_equal(first, "tap-tool");
	assert_string_equal(second, "tap-elevenbytes");
	assert_int_equal(strlen(third), 15);
	assert_int_equal(strlen(fourth), 15);
	assert_string_not_equal(third, fourth);
}

// The older init has the kernel's console for the application.
static void older_init(void **state)
{
	static const struct {
		const char *arg, *other;
		bool debug;
		const char *word, *missing;
	} cases[] = {
		{ "--boot-arg=quiet", NULL, false, "loglevel=1", "sci_channel=port" },
		{ "--boot-arg=quiet", NULL, true, "run=\"/bin/sh\"", "loglevel=1" },
		{ "--boot-arg=rw", NULL, false, "run=\"/bin/sh\"", "loglevel=1" },
		{ "--boot-arg=quiet", "--boot-arg=loglevel=3", false, "loglevel=3", "loglevel=1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_machine struct machine machine = { 0 };
		cleanup_plan struct plan plan = { .debug = cases[i].debug };

		with(&machine, &plan,
		     (const char *[]){ "--engine=qemu", cases[i].arg, cases[i].other, NULL });
		plan.debug = cases[i].debug;
		assert_false(has_word(&machine, "loglevel=1"));
		machine.framed = false;
		free(machine.command_line);
		machine.command_line = machine_command_line(&machine, &plan, NULL);
		assert_true(has_word(&machine, cases[i].word));
		assert_false(has_word(&machine, cases[i].missing));
	}
}

static void template_names(void **state)
{
	cleanup_strv struct strv none = { 0 }, one = { 0 };
	cleanup_free char *a = vm_template_name("tool", 4096, &none);
	cleanup_free char *b = vm_template_name("tool", 8192, &none), *c = NULL;

	(void)state;
	strv_push(&one, "tar:/x");
	c = vm_template_name("tool", 4096, &one);
	assert_int_equal(strlen(a), strlen("tool-0123456789abcdef.ext4"));
	assert_string_not_equal(a, b);
	assert_string_not_equal(a, c);
}

// A copy has what the template has, and its holes stay holes.
static void overlays(void **state)
{
	(void)state;
	// Only root's storage is below FLAKE_ROOT.
	if (geteuid() != 0)
		skip();

	cleanup_machine struct machine machine = { .overlay = 64 << 20 };
	cleanup_plan struct plan plan = { .flake = xstrdup("tool") };
	cleanup_strv struct strv none = { 0 };
	cleanup_free char *name = vm_template_name("tool", machine.overlay, &none);
	cleanup_free char *storage = NULL, *path = NULL, *kept = NULL;
	cleanup_fd int place = -1, fd = -1, template = -1;
	char text[5] = "";
	struct stat st;
	sigset_t set;

	place = vm_storage(&storage, NULL);
	assert_true(place >= 0);
	assert_false(vm_template_exists(&plan, &machine));
	path = xasprintf("%s/%s", storage, name);
	template = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(template, (off_t)machine.overlay), 0);
	assert_int_equal(pwrite(template, "data", 4, 33 << 20), 4);
	assert_true(vm_template_exists(&plan, &machine));
	fd = vm_overlay(&plan, &machine, "tool", NULL);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, text, 4, 33 << 20), 4);
	assert_string_equal(text, "data");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, machine.overlay);
	assert_true(st.st_blocks < 2048);
	assert_int_equal(st.st_nlink, 0);
	// Who is to end does not copy first.
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGTERM);
	assert_int_equal(vm_overlay(&plan, &machine, "tool", NULL), -1);
	assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){ 0 }), SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	machine.stays = true;
	close(fd);
	fd = vm_overlay(&plan, &machine, "tool", NULL);
	kept = xasprintf("%s/tool.overlay", storage);
	assert_int_equal(access(kept, F_OK), 0);
	vm_overlay_remove("tool");
	assert_int_equal(access(kept, F_OK), -1);
}

// Where all can write, somebody may have put a link in the place of a user's storage.
static void storage_behind_a_link(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();

	uid_t uid = 3000000 + (uid_t)getpid();
	cleanup_free char *link = xasprintf("/var/tmp/flakes-%u", uid);
	char temp[] = "/var/tmp/flake-test.XXXXXX";
	cleanup_free char *made = NULL;
	int status = -1;
	pid_t pid;

	assert_non_null(mkdtemp(temp));
	made = xasprintf("%s/storage", temp);
	assert_int_equal(chown(temp, uid, (gid_t)-1), 0);
	assert_int_equal(symlink(temp, link), 0);
	pid = fork();
	if (pid == 0) {
		bool bad = setresuid(uid, uid, uid) < 0 || vm_storage(NULL, NULL) >= 0;

		// valgrind looks for leaks in the child, too.
		free(link);
		free(made);
		_exit(bad);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(link);
	assert_int_equal(rmdir(made), -1);
	rmdir(temp);
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(settings),
		cmocka_unit_test(qemu_words),
		cmocka_unit_test(refusals),
		cmocka_unit_test(no_files),
		cmocka_unit_test(firecracker_config),
		cmocka_unit_test(qemu_argv),
		cmocka_unit_test(qemu_firmware),
		cmocka_unit_test(taps),
		cmocka_unit_test(older_init),
		cmocka_unit_test(template_names),
		cmocka_unit_test(overlays),
		cmocka_unit_test(storage_behind_a_link),
		cmocka_unit_test(no_channel_no_socket),
		cmocka_unit_test(kvm_again),
	};

	return cmocka_run_group_tests(tests, set_up, clear);
}
