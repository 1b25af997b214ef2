// SPDX-License-Identifier: MIT
// The guest init as an ordinary process: sci --serve on one end of a socket pair, the frames of
// doc/channel.md by hand on the other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "channel.h"
#include "util.h"

enum { PATIENCE = 20000, MANY = 8 << 20 };

static struct guest {
	pid_t pid;
	int fd;
	struct channel_buffer in, out;
} guest;

// How a session went.
struct result {
	unsigned type, status, sig;
	char text[128]; // of FAILED
	size_t bytes[3];
	char first[3][4096];
	bool ended[3]; // END came
};

static char *program(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(self, '/') = '\0';
	return xasprintf("%s/sci", self);
}

static struct channel_frame next(void);

static int setup(void **state)
{
	cleanup_free char *path = program(), *number = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	number = xasprintf("%d", fds[1]);
	guest = (struct guest){ .fd = fds[0] };
	guest.pid = fork();
	if (guest.pid == 0) {
		close(fds[0]);
		execl(path, path, "--serve", number, NULL);
		_exit(99);
	}
	close(fds[1]);
	assert_int_equal(next().type, CHANNEL_HELLO);
	return 0;
}

// Whatever was said to it: sci ends by itself, in peace, when the stream does.
static int teardown(void **state)
{
	int status;

	(void)state;
	if (guest.fd >= 0)
		close(guest.fd);
	free(guest.in.data);
	free(guest.out.data);
	assert_int_equal(waitpid(guest.pid, &status, 0), guest.pid);
	assert_int_equal(status, 0);
	return 0;
}

static void flush(void)
{
	assert_int_equal(write_fd_all(guest.fd, (char *)guest.out.data + guest.out.start,
				      channel_pending(&guest.out)),
			 0);
	guest.out.start = guest.out.end = 0;
}

// The next frame; type 0: the stream is at its end. Its payload lasts until the next one.
static struct channel_frame next(void)
{
	static size_t taken;
	struct channel_frame frame = { 0 };
	const char *why;

	channel_taken(&guest.in, guest.in.end ? taken : 0);
	taken = 0;
	flush();
	while (channel_next(&guest.in, CHANNEL_GUEST, &frame, &why) == 0) {
		struct pollfd p = { .fd = guest.fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE), 1);
		n = read(guest.fd, channel_room(&guest.in, 65536), 65536);
		if (n <= 0)
			return (struct channel_frame){ 0 };
		channel_grown(&guest.in, (size_t)n);
	}
	taken = CHANNEL_HEADER + frame.len;
	return frame;
}

static void arg(uint16_t id, const char *text)
{
	channel_put(&guest.out, CHANNEL_ARG, 0, id, text, strlen(text));
}

static void start(uint16_t id)
{
	channel_put(&guest.out, CHANNEL_START, 0, id, NULL, 0);
}

static void shell(uint16_t id, const char *text)
{
	arg(id, "/bin/sh");
	arg(id, "-c");
	arg(id, text);
}

static void data(uint16_t id, const char *text)
{
	channel_put(&guest.out, CHANNEL_DATA, 0, id, text, strlen(text));
}

static void end(uint16_t id, uint8_t stream)
{
	channel_put(&guest.out, CHANNEL_END, stream, id, NULL, 0);
}

static void take_output(struct result *r, const struct channel_frame *f, bool grant)
{
	size_t have = r->bytes[f->stream], room = sizeof(r->first[0]) - 1;

	if (have < room)
		memcpy(r->first[f->stream] + have, f->payload,
		       f->len < room - have ? f->len : room - have);
	r->bytes[f->stream] += f->len;
	if (grant)
		channel_put_window(&guest.out, f->stream, f->session, f->len);
}

// One frame of a session; returns true when it was the last.
static bool take(struct result *r, const struct channel_frame *f, bool grant)
{
	if (f->type == CHANNEL_DATA)
		take_output(r, f, grant);
	if (f->type == CHANNEL_END)
		r->ended[f->stream] = true;
	if (f->type == CHANNEL_FAILED) {
		r->status = channel_u16(f, 0);
		snprintf(r->text, sizeof(r->text), "%.*s", (int)f->len - 2, (char *)f->payload + 2);
	}
	if (f->type == CHANNEL_EXIT) {
		r->status = channel_u32(f, 0);
		r->sig = channel_u32(f, 4);
	}
	r->type = f->type;
	return f->type == CHANNEL_EXIT || f->type == CHANNEL_FAILED || f->type == 0;
}

static struct result finish(uint16_t id)
{
	struct result r = { 0 };

	for (;;) {
		struct channel_frame f = next();

		if ((f.session == id || f.type == 0) && take(&r, &f, true))
			return r;
	}
}

static struct result run(const char *text)
{
	shell(1, text);
	start(1);
	end(1, 0);
	return finish(1);
}

static void test_exit_status_and_signal(void **state)
{
	struct result r = run("exit 37");

	(void)state;
	assert_int_equal(r.type, CHANNEL_EXIT);
	assert_int_equal(r.status, 37);
	assert_int_equal(r.sig, 0);
	r = run("kill -9 $$");
	assert_int_equal(r.status, 0);
	assert_int_equal(r.sig, SIGKILL);
}

static void test_programs_that_do_not_run(void **state)
{
	struct result r;

	(void)state;
	arg(1, "/nowhere/program");
	start(1);
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_FAILED);
	assert_int_equal(r.status, 127);
	assert_string_equal(r.text, "cannot run /nowhere/program: No such file or directory");
	arg(1, "/etc/passwd");
	start(1);
	assert_int_equal(finish(1).status, 126);
	shell(1, "exit 0");
	channel_put(&guest.out, CHANNEL_CWD, 0, 1, "/nowhere", 8);
	start(1);
	r = finish(1);
	assert_int_equal(r.status, 126);
	assert_string_equal(r.text, "cannot enter /nowhere: No such file or directory");
	arg(1, "");
	start(1);
	assert_int_equal(finish(1).status, 127);
}

static void test_streams_are_separate(void **state)
{
	struct result r = run("echo out; echo err >&2");

	(void)state;
	assert_string_equal(r.first[1], "out\n");
	assert_string_equal(r.first[2], "err\n");
}

static void test_environment_and_directory(void **state)
{
	struct result r;

	(void)state;
	shell(1, "echo $A; pwd; echo $PATH; echo $HOME | wc -l");
	channel_put(&guest.out, CHANNEL_ENV, 0, 1, "A=old", 5);
	channel_put(&guest.out, CHANNEL_ENV, 0, 1, "A=b c", 5);
	channel_put(&guest.out, CHANNEL_CWD, 0, 1, "/usr", 4);
	channel_put_pair(&guest.out, CHANNEL_USER, 1, getuid(), getgid());
	start(1);
	r = finish(1);
	assert_string_equal(r.first[1], "b c\n/usr\n/usr/local/sbin:/usr/local/bin:/usr/sbin:"
					"/usr/bin:/sbin:/bin\n1\n");
}

// Says MANY bytes to cat and reads them back, keeping to the windows.
static void test_many_bytes_each_way(void **state)
{
	static char chunk[65536];
	struct result r = { 0 };
	size_t window = CHANNEL_WINDOW, left = MANY;
	bool over = false;

	(void)state;
	arg(1, "cat");
	start(1);
	while (!over) {
		struct channel_frame f;

		for (; left && window; left -= sizeof(chunk), window -= sizeof(chunk)) {
			channel_put(&guest.out, CHANNEL_DATA, 0, 1, chunk, sizeof(chunk));
			if (left == sizeof(chunk))
				end(1, 0);
		}
		f = next();
		if (f.type == CHANNEL_WINDOW_ADD)
			window += channel_u32(&f, 0) / sizeof(chunk) * sizeof(chunk);
		over = take(&r, &f, true);
		assert_int_not_equal(f.type, 0);
	}
	assert_int_equal(r.status, 0);
	assert_int_equal(r.bytes[1], MANY);
}

static void test_input_nobody_reads_is_told(void **state)
{
	struct result r;

	(void)state;
	shell(1, "exec <&-; sleep 0.3; echo done");
	start(1);
	data(1, "x");
	r = finish(1);
	assert_true(r.ended[0]);
	assert_string_equal(r.first[1], "done\n");
}

static void test_output_nobody_reads_is_a_broken_pipe(void **state)
{
	struct result r;

	(void)state;
	shell(1, "while echo x; do :; done 2>/dev/null; echo end >&2");
	start(1);
	end(1, 1);
	r = finish(1);
	assert_true(r.sig == SIGPIPE || strcmp(r.first[2], "end\n") == 0);
}

static void test_closed_output_is_told(void **state)
{
	struct result r = run("exec >&-; sleep 0.3; echo x >&2");

	(void)state;
	assert_true(r.ended[1]);
	assert_false(r.ended[0]);
	assert_string_equal(r.first[2], "x\n");
}

// One that fills standard output, which nobody grants more of, and then speaks on the other.
static void test_full_output_does_not_hold_up_errors(void **state)
{
	struct result r = { 0 };
	struct channel_frame f;

	(void)state;
	shell(1, "(head -c 4000000 /dev/zero) & echo err >&2; wait; exit 3");
	start(1);
	do {
		f = next();
		assert_false(take(&r, &f, false));
	} while (r.bytes[1] < CHANNEL_WINDOW || !r.bytes[2]);
	assert_int_equal(r.bytes[1], CHANNEL_WINDOW);
	shell(2, "exit 5");
	start(2);
	assert_int_equal(finish(2).status, 5);
	channel_put_window(&guest.out, 1, 1, CHANNEL_WINDOW);
	r = finish(1);
	assert_int_equal(r.status, 3);
	assert_int_equal(r.bytes[1], 4000000 - CHANNEL_WINDOW);
}

static void test_terminal(void **state)
{
	struct result r;

	(void)state;
	shell(1, "test -t 0 && test -t 2 && stty size; read x; stty size; echo got $x");
	channel_put_size(&guest.out, CHANNEL_TTY, 1, 33, 101);
	start(1);
	while (next().type != CHANNEL_DATA)
		;
	channel_put_size(&guest.out, CHANNEL_RESIZE, 1, 44, 102);
	data(1, "word\n");
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_EXIT);
	assert_non_null(strstr(r.first[1], "44 102\r\ngot word\r\n"));
	assert_int_equal(r.bytes[2], 0);
}

static void test_end_of_input_at_a_terminal(void **state)
{
	struct result r;

	(void)state;
	shell(1, "cat; echo end");
	channel_put_size(&guest.out, CHANNEL_TTY, 1, 24, 80);
	start(1);
	data(1, "no newline");
	end(1, 0);
	r = finish(1);
	assert_non_null(strstr(r.first[1], "end\r\n"));
}

static void test_signals(void **state)
{
	struct result r;

	(void)state;
	shell(1, "trap 'echo hit; exit 7' USR1; echo up; while :; do sleep 0.1; done");
	start(1);
	while (next().type != CHANNEL_DATA)
		;
	channel_put_signal(&guest.out, 1, 0);
	channel_put_signal(&guest.out, 1, 255);
	channel_put_signal(&guest.out, 1, SIGUSR1);
	r = finish(1);
	assert_int_equal(r.status, 7);
	assert_string_equal(r.first[1], "hit\n");
	// At once after START there is perhaps no group yet.
	arg(1, "sleep");
	arg(1, "60");
	start(1);
	channel_put_signal(&guest.out, 1, SIGTERM);
	assert_int_equal(finish(1).sig, SIGTERM);
}

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_hang_up(void **state)
{
	long before = now();

	(void)state;
	arg(1, "sleep");
	arg(1, "60");
	start(1);
	channel_put(&guest.out, CHANNEL_HANGUP, 0, 1, NULL, 0);
	assert_int_equal(finish(1).sig, SIGHUP);
	shell(1, "trap '' HUP; echo up; while :; do sleep 0.1; done");
	start(1);
	while (next().type != CHANNEL_DATA)
		;
	channel_put(&guest.out, CHANNEL_HANGUP, 0, 1, NULL, 0);
	assert_int_equal(finish(1).sig, SIGKILL);
	assert_true(now() - before >= 1900);
}

static void test_sessions_do_not_wait_for_each_other(void **state)
{
	struct result r;

	(void)state;
	shell(7, "read x; echo $x");
	start(7);
	shell(65535, "echo b; exit 4");
	start(65535);
	r = finish(65535);
	assert_int_equal(r.status, 4);
	assert_string_equal(r.first[1], "b\n");
	data(7, "a\n");
	assert_string_equal(finish(7).first[1], "a\n");
}

static void test_more_sessions_than_there_may_be(void **state)
{
	int failed = 0;

	(void)state;
	for (uint16_t id = 1; id <= 70; id++) {
		arg(id, "cat");
		start(id);
		// To the refused as to the others; those do not mind.
		data(id, "x");
		end(id, 0);
	}
	for (int over = 0; over < 70;) {
		struct channel_frame f = next();

		assert_int_not_equal(f.type, 0);
		over += f.type == CHANNEL_EXIT || f.type == CHANNEL_FAILED;
		failed += f.type == CHANNEL_FAILED && channel_u16(&f, 0) == 126;
	}
	// As some may have ended before the last ones came.
	assert_true(failed <= 6);
}

static void test_more_arguments_than_there_may_be(void **state)
{
	struct result r;

	(void)state;
	for (int i = 0; i < 5000; i++)
		arg(1, "x");
	start(1);
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_FAILED);
	assert_int_equal(r.status, 126);
	assert_int_equal(run("exit 2").status, 2);
}

static void test_what_children_keep_is_not_waited_for(void **state)
{
	long before = now();
	struct result r = run("sleep 30 & echo out; exit 6");

	(void)state;
	assert_int_equal(r.status, 6);
	assert_string_equal(r.first[1], "out\n");
	assert_true(now() - before < 5000);
}

static void test_frames_of_a_session_that_is_over_are_ignored(void **state)
{
	(void)state;
	assert_int_equal(run("exit 0").status, 0);
	data(1, "late");
	end(1, 0);
	channel_put_window(&guest.out, 1, 1, 5);
	channel_put_signal(&guest.out, 1, 9);
	channel_put(&guest.out, CHANNEL_HANGUP, 0, 1, NULL, 0);
	assert_int_equal(run("exit 3").status, 3);
}

static void test_shutdown(void **state)
{
	struct channel_frame f;

	(void)state;
	arg(1, "sleep");
	arg(1, "60");
	start(1);
	channel_put(&guest.out, CHANNEL_SHUTDOWN, 0, 0, NULL, 0);
	do
		f = next();
	while (f.type && f.type != CHANNEL_BYE);
	assert_int_equal(f.type, CHANNEL_BYE);
	assert_int_equal(next().type, 0);
}

static void expect_end(void)
{
	struct channel_frame f;

	do
		f = next();
	while (f.type);
}

static void break_with_start(void)
{
	start(9);
}

static void break_with_late_arg(void)
{
	arg(1, "late");
}

static void break_with_too_much(void)
{
	static char chunk[CHANNEL_MAX_PAYLOAD];

	for (int i = 0; i < 40; i++)
		channel_put(&guest.out, CHANNEL_DATA, 0, 1, chunk, sizeof(chunk));
}

static void break_with_window(void)
{
	channel_put_window(&guest.out, 1, 1, 0x7fffffff);
}

static void break_with_stream(void)
{
	channel_put(&guest.out, CHANNEL_DATA, 1, 1, "x", 1);
}

static void break_with_early_data(void)
{
	arg(9, "true");
	data(9, "x");
}

static void break_with_type(void)
{
	channel_put(&guest.out, (enum channel_type)77, 0, 1, "x", 1);
}

// After each of them the stream ends, and what ran in it is hung up.
static void test_violations_end_the_stream(void **state)
{
	static void (*const violations[])(void) = { break_with_start,	break_with_late_arg,
						    break_with_window,	break_with_stream,
						    break_with_type,	break_with_early_data,
						    break_with_too_much };

	for (size_t i = 0; i < sizeof(violations) / sizeof(violations[0]); i++) {
		if (i)
			setup(state);
		signal(SIGPIPE, SIG_IGN);
		arg(1, "sleep");
		arg(1, "60");
		start(1);
		flush();
		violations[i]();
		(void)write_fd_all(guest.fd, (char *)guest.out.data, guest.out.end);
		guest.out.start = guest.out.end = 0;
		expect_end();
		if (i + 1 < sizeof(violations) / sizeof(violations[0]))
			teardown(state);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exit_status_and_signal),
		TEST(test_programs_that_do_not_run),
		TEST(test_streams_are_separate),
		TEST(test_environment_and_directory),
		TEST(test_many_bytes_each_way),
		TEST(test_input_nobody_reads_is_told),
		TEST(test_output_nobody_reads_is_a_broken_pipe),
		TEST(test_closed_output_is_told),
		TEST(test_full_output_does_not_hold_up_errors),
		TEST(test_terminal),
		TEST(test_end_of_input_at_a_terminal),
		TEST(test_signals),
		TEST(test_hang_up),
		TEST(test_sessions_do_not_wait_for_each_other),
		TEST(test_more_sessions_than_there_may_be),
		TEST(test_more_arguments_than_there_may_be),
		TEST(test_what_children_keep_is_not_waited_for),
		TEST(test_frames_of_a_session_that_is_over_are_ignored),
		TEST(test_shutdown),
		TEST(test_violations_end_the_stream),
	};

	return cmocka_run_group_tests_name("sci", tests, NULL, NULL);
}
