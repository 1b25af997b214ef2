// SPDX-License-Identifier: MIT
// VMs that stay: their holders, and who ends them. QEMU is played by sci --serve.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "channel.h"
#include "confine.h"
#include "firecracker_place.h"
#include "fs.h"
#include "patience.h"
#include "state.h"
#include "syscalls.h"
#include "util.h"

static char *dir, *engine;

static void set_engine(const char *text)
{
	assert_int_equal(fs_write(engine, text, strlen(text), 0755, false, NULL), 0);
}

static int set_up(void **state)
{
	cleanup_free char *path = NULL, *bin = NULL;

	(void)state;
	dir = fs_temp_dir(NULL, "stay", NULL);
	bin = xasprintf("%s/bin", dir);
	mkdir(bin, 0755);
	engine = xasprintf("%s/" VM_QEMU_PROGRAM, bin);
	path = xasprintf("%s:%s", bin, getenv("PATH"));
	setenv("PATH", path, 1);
	return setenv("FLAKE_ROOT", dir, 1);
}

static int clear(void **state)
{
	(void)state;
	fs_remove_tree(dir, NULL);
	free(dir);
	free(engine);
	return 0;
}

static struct plan plan = { .flake = (char *)"tool",
			    .command = (char *)"tool",
			    .target = (char *)"/bin/sh",
			    .definition = (char *)"1",
			    .resume = true };
static const struct machine machine = { .engine = VM_QEMU,
					.framed = true,
					.stays = true,
					.vcpu = 1,
					.mem = 32,
					.kernel = "k",
					.rootfs = "r",
					.command_line = (char *)"" };

static void play_sci(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	cleanup_free char *script = NULL;

	assert_true(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(self, '/') = '\0';
	script = xasprintf("#!/bin/sh\nexec %s/sci --serve 5\n", self);
	set_engine(script);
}

static void stay(struct vm_place *place)
{
	cleanup_error struct error err = { 0 };

	assert_int_equal(vm_place_open(place, &plan, &machine, &err), 0);
	if (vm_stay(&plan, &machine, place, &err) < 0)
		fail_msg("%s", err.message);
}

static size_t directories(const struct vm_place *place)
{
	cleanup_dir DIR *d = opendir(place->state_path);
	const struct dirent *entry;
	size_t n = 0;

	while (d && (entry = readdir(d)))
		n += str_ends(entry->d_name, ".vm");
	return n;
}

// A plan that was made while the VM ran knows no engine to start; it may have ended since.
static void starts_and_stops(void **state)
{
	cleanup_vm_place struct vm_place first = { .state = -1 }, second = { .state = -1 };
	int ends[2], fd, given;
	struct pollfd on;

	(void)state;
	play_sci();
	assert_int_equal(pipe(ends), 0);
	given = fcntl(ends[1], F_DUPFD, 40);
	stay(&first);
	stay(&second);
	assert_string_equal(first.socket, second.socket);
	// The caller's pipe is not the holder's, nor the engine's.
	close(ends[1]);
	close(given);
	on = (struct pollfd){ .fd = ends[0] };
	assert_int_equal(poll(&on, 1, PATIENCE_MS), 1);
	assert_true(on.revents & POLLHUP);
	close(ends[0]);
	fd = vm_connect(first.socket, NULL);
	assert_true(fd >= 0);
	assert_int_equal(vm_stop(first.state, first.key, NULL), 0);
	assert_int_equal(directories(&first), 0);
	assert_false(vm_runs(&first, &plan));
	assert_int_equal(vm_connect(first.socket, NULL), -1);
	close(fd);
}

// Who found it mute ends that one, not the next one that somebody else has started meanwhile.
static void anew_once(void **state)
{
	cleanup_vm_place struct vm_place first = { .state = -1 }, second = { .state = -1 },
					 third = { .state = -1 };

	(void)state;
	play_sci();
	stay(&first);
	assert_int_equal(vm_stop_mute(first.state, first.key, first.socket, NULL), 0);
	stay(&second);
	assert_string_not_equal(first.socket, second.socket);
	assert_int_equal(vm_stop_mute(first.state, first.key, first.socket, NULL), 0);
	stay(&third);
	assert_string_equal(second.socket, third.socket);
	assert_int_equal(vm_stop(first.state, first.key, NULL), 0);
}

static bool is_written(const void *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_size > 1;
}

static bool has_ended(const void *pid)
{
	return !instance_start_time(*(const pid_t *)pid);
}

// The engine of a holder that is told to end has ended when the holder has.
static void engine_first(void **state)
{
	static const char hello[] =
		"#!/bin/sh\n"
		"printf '\\006\\000\\000\\000\\001\\000\\000\\000flk1\\001\\000'"
		" >&5\necho $$ >$FLAKE_ROOT/pid\nexec sleep 3600\n";
	cleanup_vm_place struct vm_place place = { .state = -1 };
	cleanup_instance struct instance instance = { 0 };
	cleanup_free char *path = xasprintf("%s/pid", dir), *text = NULL;
	size_t len;
	pid_t pid;

	(void)state;
	set_engine(hello);
	stay(&place);
	assert_int_equal(instance_load(place.state, place.key, &instance), 1);
	assert_true(wait_until(is_written, path));
	assert_int_equal(fs_read(path, 100, &text, &len, NULL), 0);
	pid = (pid_t)atoi(text);
	assert_int_equal(kill(pid, 0), 0);
	kill(instance.pid, SIGTERM);
	assert_true(wait_until(has_ended, &instance.pid));
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(vm_stop(place.state, place.key, NULL), 0);
}

// An instance of another engine may have the same key. Its files are not ours to remove, nor its
// process to kill.
static void not_of_others(void **state)
{
	cleanup_vm_place struct vm_place place = { .state = -1 };
	cleanup_error struct error err = { 0 };
	cleanup_free char *runtime = xasprintf("%s/runtime/crun", dir),
			  *precious = xasprintf("%s/precious", runtime);
	struct instance instance = { .id = (char *)"0123", .runtime = runtime };
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(fs_mkdir_p(precious, 0755, NULL), 0);
	instance.pid = pid;
	instance.start = instance_start_time(pid);
	assert_int_equal(vm_place_open(&place, &plan, &machine, NULL), 0);
	assert_int_equal(instance_save(place.state, place.key, &instance, NULL), 0);
	assert_int_equal(vm_stop(place.state, place.key, &err), -1);
	assert_string_equal(err.message, "instance 'tool' is no VM: end it first");
	assert_int_equal(access(precious, F_OK), 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	instance_forget(place.state, place.key);
}

static void run_engine(struct vm *vm, const char *script)
{
	cleanup_strv struct strv argv = { 0 };
	struct vm_fds fds = { -1, -1, -1 };

	set_engine(script);
	strv_push(&argv, engine);
	assert_int_equal(vm_start(vm, &argv, &fds, NULL, NULL), 0);
}

static void descriptors_of_the_engine(void **state)
{
	cleanup_vm struct vm vm = { VM_NONE };
	int given = dup2(STDERR_FILENO, 77), low = fcntl(STDERR_FILENO, F_DUPFD, 3);

	(void)state;
	run_engine(&vm, "#!/bin/sh\nfor i in 3 4 5 6 7 8 9 77; do [ -e /proc/$$/fd/$i ] && echo "
			"$i; done; [ \"$(readlink /proc/$$/fd/77)\" ] && echo bad; echo end\n");
	while (vm_wait(&vm, -1, PATIENCE_MS))
		;
	while (vm_listen(&vm) && !memmem(vm.tail, vm.tail_len, "end", 3))
		;
	assert_null(memmem(vm.tail, vm.tail_len, "77", 2));
	assert_null(memmem(vm.tail, vm.tail_len, "bad", 3));
	close(given);
	close(low);
}

// What failed is told, however much a guest has to say.
static void endless_console(void **state)
{
	cleanup_vm struct vm vm = { VM_NONE };
	cleanup_error struct error err = { 0 };

	(void)state;
	run_engine(&vm, "#!/bin/sh\nexec yes\n");
	error_set(&err, ERR_FLAKE, "it failed");
	assert_int_equal(vm_explain(&vm, &err), -1);
	assert_string_equal(err.message, "it failed: y");
}

// Waiting for a VM ends with a signal that is to end the call.
static void interrupted(void **state)
{
	cleanup_vm struct vm vm = { VM_NONE };
	long long before = vm_now();
	sigset_t none;

	(void)state;
	run_engine(&vm, "#!/bin/sh\nexec sleep 3600\n");
	vm.signals = vm_signals(NULL);
	assert_true(vm.signals >= 0);
	assert_false(vm_is_interrupted(&vm));
	// The terminal's size changes: that is no reason to end.
	raise(SIGWINCH);
	assert_false(vm_is_interrupted(&vm));
	kill(getpid(), SIGTERM);
	assert_false(vm_wait(&vm, -1, PATIENCE_MS));
	assert_true(vm_is_interrupted(&vm));
	assert_int_equal(vm.sig, SIGTERM);
	assert_true(vm_now() - before < PATIENCE_MS);
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGTERM, SIG_DFL);
}

int main(void)
{
	static const struct CMUnitTest anywhere[] = { cmocka_unit_test(not_of_others) };
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_stops),
		cmocka_unit_test(anew_once),
		cmocka_unit_test(engine_first),
		cmocka_unit_test(not_of_others),
		cmocka_unit_test(descriptors_of_the_engine),
		cmocka_unit_test(endless_console),
		cmocka_unit_test(interrupted),
	};
	cleanup_fd int known = sys_pidfd_open(getpid());
	const char *preload = getenv("LD_PRELOAD");

	// What valgrind itself calls would count.
	if (preload && strstr(preload, "valgrind"))
		confine_without_filter();
	if (known >= 0)
		return cmocka_run_group_tests(tests, set_up, clear);
	puts("[  SKIPPED ] test_stay: pidfd_open is not known here (valgrind 3.19)");
	return cmocka_run_group_tests(anywhere, set_up, clear);
}
