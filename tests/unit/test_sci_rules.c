// SPDX-License-Identifier: MIT
// sci: ends, limits and violations.
#include "sci_guest.h"

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
	struct result r = run("sleep 3600 & echo $!; exit 6");
	pid_t kept = (pid_t)atoi(r.first[1]);

	(void)state;
	assert_int_equal(r.status, 6);
	assert_true(kept > 1);
	assert_int_equal(kill(kept, SIGKILL), 0);
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

// Of a session for which there was no room, too, the host hears that it is over.
static void test_refused_and_hung_up(void **state)
{
	struct result r;

	(void)state;
	for (uint16_t id = 1; id <= 65; id++)
		arg(id, "true");
	channel_put(&guest.out, CHANNEL_HANGUP, 0, 65, NULL, 0);
	r = finish(65);
	assert_int_equal(r.type, CHANNEL_FAILED);
	assert_int_equal(r.status, 125);
	channel_put(&guest.out, CHANNEL_HANGUP, 0, 1, NULL, 0);
	assert_int_equal(finish(1).type, CHANNEL_FAILED);
	// Its number is free again.
	arg(65, "true");
	start(65);
	assert_int_equal(finish(65).type, CHANNEL_EXIT);
}

// To the kernel that number says "no change": root.
static void test_no_user_is_not_root(void **state)
{
	struct result r;

	(void)state;
	arg(1, "true");
	channel_put_pair(&guest.out, CHANNEL_USER, 1, UINT32_MAX, UINT32_MAX);
	start(1);
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_FAILED);
	assert_int_equal(r.status, 126);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_signals),
		TEST(test_hang_up),
		TEST(test_refused_and_hung_up),
		TEST(test_no_user_is_not_root),
		TEST(test_sessions_do_not_wait_for_each_other),
		TEST(test_more_sessions_than_there_may_be),
		TEST(test_more_arguments_than_there_may_be),
		TEST(test_what_children_keep_is_not_waited_for),
		TEST(test_frames_of_a_session_that_is_over_are_ignored),
		TEST(test_shutdown),
		TEST(test_violations_end_the_stream),
	};

	return cmocka_run_group_tests_name("sci_rules", tests, NULL, NULL);
}
