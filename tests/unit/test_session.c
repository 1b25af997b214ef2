// SPDX-License-Identifier: MIT
// The host's side of a call, the guest being played by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "channel.h"
#include "firecracker.h"
#include "fs.h"
#include "patience.h"
#include "util.h"

static char *dir, *file;
static struct channel_buffer out;

static int set_up(void **state)
{
	(void)state;
	dir = fs_temp_dir(NULL, "session", NULL);
	file = xasprintf("%s/out", dir);
	return 0;
}

static int clear(void **state)
{
	(void)state;
	fs_remove_tree(dir, NULL);
	free(dir);
	free(file);
	free(out.data);
	return 0;
}

// A call whose output goes to fd; guest: the other end of its channel.
static pid_t call(int fd, int *guest)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		struct plan plan = { .flake = (char *)"f",
				     .command = (char *)"f",
				     .target = (char *)"/bin/sh" };
		struct vm_link to = { .channel = ends[1], .listener = -1 };
		struct error err = { 0 };
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC), status;

		close(ends[0]);
		dup2(null, STDIN_FILENO);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		status = session_run(&plan, &to, &err);
		_exit(status < 0 ? 255 : status);
	}
	close(ends[1]);
	*guest = ends[0];
	return pid;
}

static void say(int guest)
{
	assert_int_equal(write_fd_all(guest, (char *)out.data + out.start, channel_pending(&out)),
			 0);
	out.start = out.end = 0;
}

// Hello, and reads up to START.
static void begin(int guest)
{
	struct channel_buffer in = { 0 };
	struct channel_frame frame = { 0 };
	const char *why;

	channel_put_hello(&out);
	say(guest);
	while (frame.type != CHANNEL_START) {
		int rc = channel_next(&in, CHANNEL_HOST, &frame, &why);
		ssize_t n;

		assert_true(rc >= 0);
		if (rc > 0) {
			channel_taken(&in, CHANNEL_HEADER + frame.len);
			continue;
		}
		n = read(guest, channel_room(&in, 1), 1);
		assert_int_equal(n, 1);
		channel_grown(&in, 1);
	}
	free(in.data);
}

static int end(pid_t pid, int guest)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(guest);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

// As any program's, whatever the file system is.
static void output_to_a_file(void **state)
{
	cleanup_fd int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	cleanup_free char *data = xcalloc(1, CHANNEL_MAX_PAYLOAD);
	struct stat st;
	int guest;
	pid_t pid = call(fd, &guest);

	(void)state;
	begin(guest);
	for (int i = 0; i < 8; i++)
		channel_put(&out, CHANNEL_DATA, 1, 1, data, CHANNEL_MAX_PAYLOAD);
	channel_put_pair(&out, CHANNEL_EXIT, 1, 3, 0);
	say(guest);
	assert_int_equal(end(pid, guest), 3);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 8 * CHANNEL_MAX_PAYLOAD);
}

// All that was said has been read.
static bool is_heard(const void *guest)
{
	int left = -1;

	return ioctl(*(const int *)guest, SIOCOUTQ, &left) == 0 && left == 0;
}

// Who waits for a reader that does not read can still be ended.
static void signal_while_nobody_reads(void **state)
{
	cleanup_free char *data = xcalloc(1, CHANNEL_MAX_PAYLOAD);
	int ends[2], guest;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = call(ends[1], &guest);
	begin(guest);
	for (int i = 0; i < 4; i++)
		channel_put(&out, CHANNEL_DATA, 1, 1, data, CHANNEL_MAX_PAYLOAD);
	channel_put_pair(&out, CHANNEL_EXIT, 1, 3, 0);
	say(guest);
	// The channel is closed to it when it has read the exit.
	assert_int_equal(shutdown(guest, SHUT_WR), 0);
	assert_true(wait_until(is_heard, &guest));
	assert_true(wait_until(is_still, &pid));
	kill(pid, SIGWINCH);
	kill(pid, SIGTERM);
	assert_int_equal(end(pid, guest), 128 + SIGTERM);
	close(ends[0]);
	close(ends[1]);
}

// Reads frames of the host until that signal came so often.
static void await_signals(int guest, int count)
{
	struct channel_buffer in = { 0 };
	struct channel_frame frame = { 0 };
	const char *why;

	while (count > 0) {
		int rc = channel_next(&in, CHANNEL_HOST, &frame, &why);
		ssize_t n;

		assert_true(rc >= 0);
		if (rc > 0) {
			count -= frame.type == CHANNEL_SIGNAL;
			channel_taken(&in, CHANNEL_HEADER + frame.len);
			continue;
		}
		n = read(guest, channel_room(&in, 1), 1);
		assert_int_equal(n, 1);
		channel_grown(&in, 1);
	}
	free(in.data);
}

// Says a frame of that type after each of the first requests to end but the last one. Returns the
// exit status of the call.
static int insist(enum channel_type type, int requests)
{
	cleanup_fd int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int guest;
	pid_t pid = call(fd, &guest);

	begin(guest);
	for (int i = 1; i <= requests; i++) {
		kill(pid, i % 2 ? SIGTERM : SIGINT);
		if (i == requests)
			break;
		await_signals(guest, 1);
		if (type == CHANNEL_DATA)
			channel_put(&out, CHANNEL_DATA, 1, 1, "x", 1);
		else
			channel_put(&out, type, 0, 1, NULL, 0);
		say(guest);
	}
	return end(pid, guest);
}

// The guest, which may be anybody's, does not decide whether a call can be ended.
static void who_insists_is_heard(void **state)
{
	(void)state;
	// That it reads no input is no sign of life of the program.
	assert_int_equal(insist(CHANNEL_END, 3), 128 + SIGTERM);
	// Output is, but not for ever.
	assert_int_equal(insist(CHANNEL_DATA, 10), 128 + SIGINT);
}

static void control_characters_of_the_guest(void **state)
{
	cleanup_fd int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char text[100] = "";
	int guest;
	pid_t pid = call(fd, &guest);

	(void)state;
	begin(guest);
	channel_put_failed(&out, 1, 127, "no \033[2J \302\233 \303\244 \342\200\223");
	say(guest);
	assert_int_equal(end(pid, guest), 127);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "f: no ?[2J \302? \303\244 \342\200\223\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_to_a_file),
		cmocka_unit_test(signal_while_nobody_reads),
		cmocka_unit_test(who_insists_is_heard),
		cmocka_unit_test(control_characters_of_the_guest),
	};

	// A call that cannot be ended would last.
	alarm(120);
	return cmocka_run_group_tests(tests, set_up, clear);
}
