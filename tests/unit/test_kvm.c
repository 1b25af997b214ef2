// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "firecracker_kvm.h"
#include "util.h"

// The answer differs from machine to machine; that there is one in time, with a reason, does not.
static bool asked(bool (*question)(char **why))
{
	cleanup_free char *why = NULL;
	struct timespec before, after;
	bool yes;

	clock_gettime(CLOCK_MONOTONIC, &before);
	yes = question(&why);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 3);
	if (yes) {
		assert_null(why);
	} else {
		assert_non_null(why);
		assert_true(str_starts(why, "/dev/kvm: "));
		assert_false(str_ends(why, "."));
	}
	// No child is left behind.
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return yes;
}

static void test_answers(void **state)
{
	(void)state;
	asked(kvm_usable);
	asked(kvm_runs_guest);
}

static void test_usable_means_guests_run(void **state)
{
	(void)state;
	if (!asked(kvm_usable))
		skip();
	assert_true(asked(kvm_runs_guest));
}

static void test_no_access(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0 || access("/dev/kvm", F_OK) < 0)
		skip();
	pid = fork();
	if (pid == 0) {
		cleanup_free char *why = NULL;
		bool yes = setgid(65534) < 0 || setuid(65534) < 0 || kvm_usable(&why);

		// A node that is open to all is the other legal answer.
		if (access("/dev/kvm", R_OK | W_OK) == 0)
			_exit(0);
		_exit(yes || !strstr(why, "group kvm"));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_usable_means_guests_run),
		cmocka_unit_test(test_no_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
