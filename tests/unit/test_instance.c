// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "instance.h"
#include "patience.h"
#include "pilot.h"
#include "state.h"
#include "util.h"

static char root[] = "/tmp/flake-unit.XXXXXX";

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/flake-unit.XXXXXX");
	assert_non_null(mkdtemp(root));
	setenv("FLAKE_ROOT", root, 1);
	return 0;
}

static int teardown(void **state)
{
	const char *const argv[] = { "rm", "-rf", root, NULL };
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		execvp(argv[0], (char *const *)argv);
	waitpid(pid, NULL, 0);
	unsetenv("FLAKE_ROOT");
	return 0;
}

static void test_keys(void **state)
{
	static const struct {
		const char *flake, *instance, *command, *key;
	} cases[] = {
		{ "aws", NULL, NULL, "aws" },
		{ "aws", "one", NULL, "aws__one" },
		{ "aws", NULL, "aws", "aws____aws" },
		{ "aws", "one", "aws", "aws__one__aws" },
		{ "python3.11", NULL, NULL, "python3.11" },
		{ "a_b", "c", NULL, "a_5Fb__c" },
		{ "a", "_b", NULL, "a___5Fb" },
		{ "a@b", NULL, NULL, "a_40b" },
		{ "c++", "x=y", NULL, "c_2B_2B__x_3Dy" },
	};
	cleanup_free char *own = state_name("aws", true), *own_key = state_key(own, NULL, NULL);
	char longest[65], name[65];
	cleanup_free char *a = NULL, *b = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *key =
			state_key(cases[i].flake, cases[i].instance, cases[i].command);

		assert_string_equal(key, cases[i].key);
	}
	assert_string_equal(own_key, "_7Eaws");
	// Long ones stay apart, and are no longer than a file name may be.
	memset(longest, '_', 64);
	longest[64] = '\0';
	strcpy(name, longest);
	a = state_key(name, longest, NULL);
	longest[63] = '=';
	b = state_key(name, longest, NULL);
	assert_int_equal(strlen(a), STATE_KEY_MAX);
	assert_int_equal(strlen(b), STATE_KEY_MAX);
	assert_string_not_equal(a, b);
}

static void test_start_time(void **state)
{
	pid_t pid = fork();
	siginfo_t info;

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	assert_true(instance_start_time(getpid()) > 0);
	assert_true(instance_start_time(pid) >= instance_start_time(getpid()));
	kill(pid, SIGKILL);
	// A zombie does not run any more.
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	assert_int_equal(instance_start_time(pid), 0);
	waitpid(pid, NULL, 0);
	assert_int_equal(instance_start_time(pid), 0);
	assert_int_equal(instance_start_time(0), 0);
	assert_int_equal(instance_start_time(-1), 0);
}

static void test_saved_and_loaded(void **state)
{
	static char id[] = "0123abcd", runtime[] = "/run/my crun",
		    entry[] = "[[\"/bin/a b\"], null]", process[] = "{\"cwd\":\"/\"}";
	cleanup_error struct error err = { 0 };
	cleanup_instance struct instance loaded = { 0 };
	struct instance saved = { .id = id,
				  .runtime = runtime,
				  .entry = entry,
				  .process = process,
				  .pid = getpid(),
				  .start = instance_start_time(getpid()) };
	cleanup_fd int dir = state_open(NULL, &err);

	(void)state;
	assert_true(dir >= 0);
	assert_int_equal(instance_load(dir, "x", &loaded), 0);
	assert_int_equal(instance_save(dir, "x", &saved, &err), 0);
	assert_int_equal(instance_load(dir, "x", &loaded), 1);
	assert_string_equal(loaded.id, id);
	assert_string_equal(loaded.runtime, runtime);
	assert_string_equal(loaded.entry, entry);
	assert_string_equal(loaded.process, process);
	assert_int_equal(loaded.pid, getpid());
	instance_forget(dir, "x");
	instance_free(&loaded);
	assert_int_equal(instance_load(dir, "x", &loaded), 0);
}

// What instance_tells says in a process whose /proc has nothing in it; 77: it cannot have such a
// one.
static int tell_without_proc(void)
{
	cleanup_error struct error err = { 0 };

	if (unshare(getuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return 77;
	return instance_tells(&err) == -1 && err.code == ERR_FLAKE ? 1 : 0;
}

// The same with the /proc of another PID namespace.
static int tell_in_another_namespace(void)
{
	pid_t pid;
	int status = 0;

	if (unshare(getuid() == 0 ? CLONE_NEWPID : CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return 77;
	pid = fork();
	if (pid == 0)
		_exit(instance_tells(NULL) < 0 ? 1 : 0);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void test_what_cannot_be_told(void **state)
{
	static int (*const cases[])(void) = { tell_without_proc, tell_in_another_namespace };
	int status = 0;

	(void)state;
	assert_int_equal(instance_tells(NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(cases[i]());
		waitpid(pid, &status, 0);
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 1);
	}
}

static void test_stale_and_broken(void **state)
{
	cleanup_error struct error err = { 0 };
	cleanup_fd int dir = state_open(NULL, &err);
	cleanup_free char *start = xasprintf("start %llu\n", instance_start_time(getpid()));
	cleanup_free char *good = xasprintf("id a\npid %d\n%s", (int)getpid(), start);
	cleanup_free char *other = xasprintf("id a\npid %d\nstart 1\n", (int)getpid());
	cleanup_free char *no_id = xasprintf("pid %d\n%s", (int)getpid(), start);
	cleanup_free char *empty_id = xasprintf("id \npid %d\n%s", (int)getpid(), start);
	const char *const texts[] = { other,
				      no_id,
				      empty_id,
				      "",
				      "\n\n\n",
				      "id a\npid 1 2\n",
				      "id a\npid -1\nstart 18446744073709551616\n",
				      "id a\npid 99999999999999999999\nstart 0\n" };
	cleanup_instance struct instance instance = { 0 };

	(void)state;
	assert_int_equal(state_write(dir, "x.run", good, strlen(good), &err), 0);
	assert_int_equal(instance_load(dir, "x", &instance), 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		instance_free(&instance);
		assert_int_equal(state_write(dir, "x.run", texts[i], strlen(texts[i]), &err), 0);
		assert_int_equal(instance_load(dir, "x", &instance), 0);
		assert_null(instance.id);
	}
	assert_int_equal(unlinkat(dir, "x.run", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "x.run"), 0);
	assert_int_equal(instance_load(dir, "x", &instance), 0);
}

static void test_lock_excludes(void **state)
{
	cleanup_error struct error err = { 0 };
	cleanup_fd int dir = state_open(NULL, &err), lock = state_lock(dir, "x", &err);
	int ends[2], status;
	char byte = 0;
	pid_t pid;

	(void)state;
	assert_true(lock >= 0);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		int mine;

		close(steal_fd(&lock)); // a copy of the parent's
		if (write(ends[1], "a", 1) != 1)
			_exit(1);
		mine = state_lock(dir, "x", NULL);
		_exit(mine >= 0 && write(ends[1], "l", 1) == 1 ? 0 : 1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_true(wait_until(is_still, &pid));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(read(ends[0], &byte, 1), -1);
	close(steal_fd(&lock));
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
}

static void test_names_lead_nowhere_else(void **state)
{
	static const char *const names[] = { "../x", "sub/x", "/tmp/x", "", ".", "..", ".x" };
	cleanup_fd int dir = state_open(NULL, NULL);
	cleanup_free char *victim = xasprintf("%s/victim.run", root);

	(void)state;
	close(open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(mkdirat(dir, "sub", 0700), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cleanup_error struct error err = { 0 };
		cleanup_free char *text = NULL;

		assert_int_equal(state_lock(dir, names[i], &err), -1);
		assert_int_equal(err.code, EINVAL);
		assert_int_equal(state_write(dir, names[i], "x", 1, NULL), -1);
		assert_int_equal(state_read(dir, names[i], &text, NULL, NULL), -1);
	}
	instance_forget(dir, "../../victim");
	assert_int_equal(access(victim, F_OK), 0);
}

static void test_relay_carries_the_plan(void **state)
{
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .command = xstrdup("c"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("i=j"),
					  .target = xstrdup("/t"),
					  .user = xstrdup("joe"),
					  .tty = true,
					  .resume = true };
	cleanup_plan struct plan there = { 0 };
	cleanup_strv struct strv argv = { 0 };
	cleanup_error struct error err = { 0 };

	(void)state;
	strv_push(&plan.options, "--volume");
	strv_push(&plan.options, "--");
	strv_push(&plan.env, "A=b c\n");
	strv_push(&plan.args, "--");
	strv_push(&plan.args, "resume=1");
	strv_push(&plan.args, "\xff");
	relay_pack(&argv, &plan);
	assert_int_equal(relay_unpack(&there, (int)argv.n, argv.v, &err), 0);
	assert_string_equal(there.image, "i=j");
	assert_null(there.user);
	assert_null(there.instance);
	assert_true(there.tty && there.resume && !there.attach && !there.remove);
	assert_int_equal(there.options.n, 2);
	assert_string_equal(there.options.v[1], "--");
	assert_string_equal(there.env.v[0], "A=b c\n");
	assert_int_equal(there.args.n, 3);
	assert_string_equal(there.args.v[0], "--");
	assert_string_equal(there.args.v[2], "\xff");
}

static void test_relay_refuses(void **state)
{
	static char what[] = "what=1", user[] = "user=root", flag[] = "--help", end[] = "--";
	char *cases[][2] = { { what, end }, { user, end }, { flag, end }, { end, NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_plan struct plan plan = { 0 };
		cleanup_error struct error err = { 0 };

		assert_int_equal(relay_unpack(&plan, cases[i][1] ? 2 : 1, cases[i], &err), -1);
		assert_int_equal(err.code, ERR_FLAKE);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_keys),
		T(test_start_time),
		T(test_saved_and_loaded),
		T(test_what_cannot_be_told),
		T(test_stale_and_broken),
		T(test_lock_excludes),
		T(test_names_lead_nowhere_else),
		T(test_relay_carries_the_plan),
		T(test_relay_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
