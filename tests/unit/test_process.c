// SPDX-License-Identifier: MIT
// Signals for the child that is served, whenever they come.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "process.h"
#include "util.h"

// Waits for that child to its end, and returns its signal. Without a limit of its own, for which
// valgrind 3.19 lacks a system call: tests/limit ends what hangs.
static int served(pid_t pid)
{
	struct process_talk talk = { .pid = pid, .in = -1, .out = -1, .err = -1 };
	int sig;

	assert_int_equal(process_communicate(&talk, NULL), 0);
	sig = talk.status.signal;
	process_talk_end(&talk);
	return sig;
}

static pid_t start(const char *program, const char *arg)
{
	const char *const argv[] = { program, arg, NULL };
	const struct process_spec spec = { .argv = argv, .fds = { -1, -1, -1 } };
	pid_t pid;

	assert_int_equal(process_start(&spec, &pid, NULL), 0);
	return pid;
}

// Between the start of a child and the moment in which it is served.
static void early_signal_arrives(void **state)
{
	pid_t pid = start("sleep", "3600");

	(void)state;
	process_pass_on(SIGINT);
	assert_int_equal(served(pid), SIGINT);
}

static void signal_before_the_start_does_not(void **state)
{
	(void)state;
	process_pass_on(SIGINT);
	assert_int_equal(served(start("true", NULL)), 0);
}

// Once.
static void next_child_does_not_get_it(void **state)
{
	pid_t first = start("sleep", "3600");

	(void)state;
	process_pass_on(SIGTERM);
	assert_int_equal(served(first), SIGTERM);
	assert_int_equal(served(start("true", NULL)), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(early_signal_arrives),
		cmocka_unit_test(signal_before_the_start_does_not),
		cmocka_unit_test(next_child_does_not_get_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
