// SPDX-License-Identifier: MIT
// What stays of a pilot beside its VM: what it has given up, and what it can still do.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "confine.h"
#include "fs.h"
#include "util.h"

static char *dir, *file;
static pid_t sleeper;

// valgrind's own calls of the kernel would count; sanitizers have no filter.
static bool has_filter(void)
{
#ifdef FLAKE_UNCONFINED
	return false;
#else
	const char *preload = getenv("LD_PRELOAD");

	return !preload || !strstr(preload, "valgrind");
#endif
}

static int set_up(void **state)
{
	(void)state;
	dir = fs_temp_dir(NULL, "confine", NULL);
	file = xasprintf("%s/file", dir);
	return dir ? fs_write(file, "text", 4, 0600, false, NULL) : -1;
}

static int clear(void **state)
{
	(void)state;
	fs_remove_tree(dir, NULL);
	free(dir);
	free(file);
	return 0;
}

static void start_sleeper(void)
{
	pid_t parent = getpid();

	sleeper = fork();
	if (sleeper == 0) {
		// Its parent may not come to end it.
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		close(STDERR_FILENO);
		pause();
		_exit(0);
	}
}

// Does it in a process that is confined. Returns its exit status; *said: what it wrote to stderr.
static int in_confinement(int (*work)(void), bool clears, char *said, size_t size)
{
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		start_sleeper();
		status = confine(sleeper, clears, NULL) < 0 ? 99 : work();
		kill(sleeper, SIGKILL);
		_exit(status);
	}
	close(ends[1]);
	n = read(ends[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool status_has(const char *line)
{
	cleanup_free char *text = NULL;

	return fs_read("/proc/self/status", 65536, &text, NULL, NULL) == 0 && strstr(text, line);
}

static int look_at_status(void)
{
	if (!status_has("\nCapEff:\t0000000000000000\n") ||
	    !status_has("\nCapPrm:\t0000000000000000\n") || !status_has("\nNoNewPrivs:\t1\n"))
		return 1;
	return has_filter() && !status_has("\nSeccomp:\t2\n") ? 2 : 0;
}

static int do_what_is_needed(void)
{
	char text[8] = "";
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct pollfd on = { .fd = fd, .events = POLLIN };
	struct stat st;

	if (read(fd, text, 4) != 4 || !streq(text, "text") || poll(&on, 1, 10) != 1 ||
	    fstat(fd, &st) < 0 || stat(file, &st) < 0)
		return 1;
	free(xmalloc(1 << 20));
	free(xmalloc(100));
	if (kill(sleeper, SIGTERM) < 0 || waitpid(sleeper, NULL, 0) != sleeper)
		return 2;
	fprintf(stderr, "said");
	return 0;
}

static int do_and_clear_up(void)
{
	cleanup_free char *sub = xasprintf("%s/sub", dir);

	return do_what_is_needed() || fs_remove_tree(sub, NULL) < 0;
}

static int run_program(void)
{
	char *const argv[] = { (char *)"true", NULL };

	execv("/bin/true", argv);
	return 1;
}

static int fork_process(void)
{
	return fork() == 0 ? 2 : 1;
}

static int open_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 2 : 1;
}

static int write_file(void)
{
	return open(file, O_WRONLY | O_CLOEXEC) < 0 ? 2 : 1;
}

static int make_file(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) < 0 ? 2 : 1;
}

static int remove_file(void)
{
	return unlink(file) < 0 ? 2 : 1;
}

static int map_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p == MAP_FAILED ? 2 : 1;
}

static int end_another(void)
{
	return kill(getppid(), 0) < 0 ? 2 : 1;
}

static int push_input(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x") < 0 ? 2 : 1;
}

static void rights_are_gone(void **state)
{
	char said[200];

	(void)state;
	assert_int_equal(in_confinement(look_at_status, false, said, sizeof(said)), 0);
}

static void what_is_needed_works(void **state)
{
	cleanup_free char *deep = xasprintf("%s/sub/deep", dir);
	char said[200];
	int rc;

	(void)state;
	rc = in_confinement(do_what_is_needed, false, said, sizeof(said));
	assert_string_equal(said, "said");
	assert_int_equal(rc, 0);
	assert_int_equal(fs_mkdir_p(deep, 0700, NULL), 0);
	rc = in_confinement(do_and_clear_up, true, said, sizeof(said));
	assert_string_equal(said, "said");
	assert_int_equal(rc, 0);
	assert_int_equal(access(deep, F_OK), -1);
}

static void all_else_ends_it(void **state)
{
	static int (*const cases[])(void) = { run_program, fork_process, open_socket,
					      write_file,  make_file,	 remove_file,
					      map_code,	   end_another,	 push_input };

	(void)state;
	if (!has_filter())
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char said[200];
		int rc = in_confinement(cases[i], false, said, sizeof(said));

		if (rc != 125 || !str_starts(said, "flake-pilot: forbidden system call "))
			fail_msg("case %zu: %d, '%s'", i, rc, said);
	}
	assert_int_equal(access(file, F_OK), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rights_are_gone),
		cmocka_unit_test(what_is_needed_works),
		cmocka_unit_test(all_else_ends_it),
	};

	if (!has_filter())
		confine_without_filter();
	return cmocka_run_group_tests(tests, set_up, clear);
}
