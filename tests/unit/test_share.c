// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "flake_schema.h"
#include "pilot.h"
#include "util.h"

static char root[64];

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/flake-share.XXXXXX");
	assert_non_null(mkdtemp(root));
	assert_int_equal(chdir(root), 0);
	unsetenv("TZ");
	unsetenv("SSH_AUTH_SOCK");
	unsetenv("DISPLAY");
	unsetenv("WAYLAND_DISPLAY");
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return chdir("/") < 0 ? -1 : nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

// Plans a call of a flake with these words (the inside of a YAML list); < 0: err says why.
static int plan_of(const char *words, const char *options, struct plan *plan, struct error *err)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_free char *text =
		xasprintf("container:\n  name: img\n  target_app_path: /bin/x\n  runtime:\n"
			  "    share: [%s]\n    podman: [%s]\n",
			  words, options);
	struct call call = { .tty = 0 };

	flake.doc = doc_parse(text, strlen(text), "x.yaml", err);
	assert_non_null(flake.doc);
	flake.name = xstrdup("x");
	flake.command = xstrdup("x");
	flake.file = xstrdup("x.yaml");
	if (schema_read(&flake, err) < 0)
		return -1;
	return plan_make(plan, &flake, &call, &engine_podman, err);
}

static bool has(const struct strv *s, const char *want)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->v[i], want))
			return true;
	return false;
}

static void good(const char *words, const char *options, struct plan *plan)
{
	cleanup_error struct error err = { 0 };

	if (plan_of(words, options, plan, &err) < 0)
		fail_msg("%s", err.message);
}

static void refused(const char *words, const char *why)
{
	cleanup_error struct error err = { 0 };
	cleanup_plan struct plan plan = { 0 };

	assert_int_equal(plan_of(words, "", &plan, &err), -1);
	if (!strstr(err.message, why))
		fail_msg("'%s' is not in '%s'", why, err.message);
}

static void enter(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", root, name);

	mkdir(path, 0755);
	assert_int_equal(chdir(path), 0);
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_nothing_unless_asked(void **state)
{
	cleanup_plan struct plan plan = { 0 };

	(void)state;
	setenv("LANG", "de_DE.UTF-8", 1);
	good("", "", &plan);
	assert_int_equal(plan.mounts.n, 0);
	assert_int_equal(plan.env.n, 0);
	assert_null(plan.workdir);
	assert_null(plan.run_user);
}

static void test_unknown_word(void **state)
{
	(void)state;
	refused("cwd, hone", "x.yaml:5: 'hone' is nothing to share");
	refused("[cwd]", "must hold texts only");
}

static void test_cwd(void **state)
{
	static const char *const names[] = { "plain",	 "a b",	   "it's \"q\"",
					     "\xc3\xbc", "a,b\\c", NULL };

	(void)state;
	for (size_t i = 0; names[i]; i++) {
		cleanup_plan struct plan plan = { 0 };
		cleanup_free char *want =
			xasprintf("--volume=%s/%s:%s/%s", root, names[i], root, names[i]);
		cleanup_free char *workdir = xasprintf("--workdir=%s/%s", root, names[i]);

		enter(names[i]);
		good("cwd", "", &plan);
		assert_true(has(&plan.argv, want));
		assert_true(has(&plan.argv, workdir));
	}
}

static void test_colon(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	cleanup_free char *want = xasprintf("--mount=type=bind,\"source=%s/a:\"\"b\","
					    "\"destination=%s/a:\"\"b\"",
					    root, root);

	(void)state;
	enter("a:\"b");
	good("cwd", "", &plan);
	assert_true(has(&plan.argv, want));
}

static void test_refused_directories(void **state)
{
	static const char *const system[] = { "/",    "/usr", "/etc",	  "/proc/self",
					      "/sys", "/dev", "/usr/bin", "/usr/share",
					      "/run", "/var", NULL };

	(void)state;
	for (size_t i = 0; system[i]; i++) {
		assert_int_equal(chdir(system[i]), 0);
		refused("cwd", "it would hide that directory of the image");
	}
	enter("new\nline");
	refused("cwd", "new?line: its name holds control characters");
	enter("broken\xff");
	refused("cwd", "is not UTF-8");
	enter("gone");
	rmdir("../gone");
	refused("cwd", "No such file");
}

static void test_instances_do_not_follow(void **state)
{
	(void)state;
	refused("cwd]\n    resume: true\n    x: [", "cannot hold 'cwd' beside resume");
	refused("cwd]\n    attach: true\n    x: [", "cannot hold 'cwd' beside resume");
}

static void test_home(void **state)
{
	const struct passwd *pw = getpwuid(getuid());
	cleanup_plan struct plan plan = { 0 }, fixed = { 0 };
	cleanup_free char *mount = xasprintf("rw:%s", pw->pw_dir);
	cleanup_free char *volume = xasprintf("--volume=%s:%s", pw->pw_dir, pw->pw_dir);
	cleanup_free char *env = xasprintf("HOME=%s", pw->pw_dir);
	cleanup_free char *own = xasprintf("'--volume /srv:%s:ro'", pw->pw_dir);

	(void)state;
	setenv("HOME", "/somebody/elses", 1);
	assert_int_equal(chdir(pw->pw_dir), 0);
	good("cwd, home", "", &plan);
	assert_int_equal(plan.mounts.n, 1);
	assert_true(has(&plan.mounts, mount));
	assert_true(has(&plan.env, env));
	assert_true(has(&plan.argv, volume));
	assert_string_equal(plan.workdir, pw->pw_dir);
	good("home", own, &fixed);
	assert_false(has(&fixed.argv, volume));
}

static void test_locale(void **state)
{
	cleanup_plan struct plan plan = { 0 }, odd = { 0 };

	(void)state;
	setenv("LANG", "de_DE.UTF-8", 1);
	setenv("LC_TIME", "C", 1);
	setenv("LC_", "no", 1);
	setenv("LANGX", "no", 1);
	setenv("TZ", "UTC", 1);
	good("locale", "", &plan);
	assert_true(has(&plan.env, "LANG=de_DE.UTF-8"));
	assert_true(has(&plan.env, "LC_TIME=C"));
	assert_true(has(&plan.env, "TZ=UTC"));
	assert_false(has(&plan.env, "LC_=no"));
	assert_false(has(&plan.env, "LANGX=no"));
	if (access("/usr/share/zoneinfo/UTC", F_OK) == 0)
		assert_true(has(&plan.mounts, "ro:/usr/share/zoneinfo/UTC"));
	setenv("TZ", "../../../etc/passwd", 1);
	good("locale", "", &odd);
	assert_int_equal(odd.mounts.n, 0);
}

static void test_user(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	cleanup_free char *want = xasprintf("--user=%u:%u", getuid(), getgid());

	(void)state;
	good("user", "", &plan);
	assert_true(has(&plan.argv, want));
	assert_int_equal(has(&plan.argv, "--userns=keep-id"), geteuid() != 0);
}

static void test_ssh_agent(void **state)
{
	cleanup_plan struct plan plan = { 0 }, none = { 0 }, file = { 0 };
	cleanup_free char *path = xasprintf("%s/agent", root);
	cleanup_free char *mount = xasprintf("rw:%s", path);

	(void)state;
	good("ssh-agent", "", &none);
	assert_int_equal(none.mounts.n, 0);
	setenv("SSH_AUTH_SOCK", "/etc/passwd", 1);
	good("ssh-agent", "", &file);
	{
		cleanup_plan struct plan open = { 0 };
		cleanup_free char *dir = xasprintf("%s/open", root);
		cleanup_free char *inside = xasprintf("%s/agent", dir);

		// Anybody could put his own in its place before the engine mounts it.
		assert_int_equal(mkdir(dir, 0700), 0);
		make_socket(inside);
		assert_int_equal(chmod(dir, 0777), 0);
		setenv("SSH_AUTH_SOCK", inside, 1);
		good("ssh-agent", "", &open);
		assert_int_equal(open.mounts.n, 0);
		setenv("SSH_AUTH_SOCK", path, 1);
	}
	assert_int_equal(file.mounts.n, 0);
	make_socket(path);
	setenv("SSH_AUTH_SOCK", path, 1);
	good("ssh-agent", "", &plan);
	assert_true(has(&plan.mounts, mount));
	unlink(path);
}

static void test_display(void **state)
{
	cleanup_plan struct plan plan = { 0 }, none = { 0 };
	cleanup_free char *authority = xasprintf("%s/.Xauthority", root);
	cleanup_free char *socket_path = xasprintf("%s/wayland-7", root);
	cleanup_free char *x = xasprintf("ro:%s", authority);
	cleanup_free char *wayland = xasprintf("rw:%s", socket_path);

	(void)state;
	setenv("XDG_RUNTIME_DIR", root, 1);
	setenv("XAUTHORITY", authority, 1);
	setenv("WAYLAND_DISPLAY", "wayland-7", 1);
	good("display", "", &none);
	assert_int_equal(none.mounts.n + none.env.n, 0);
	setenv("DISPLAY", ":7", 1);
	make_socket(socket_path);
	fclose(fopen(authority, "w"));
	good("display", "", &plan);
	assert_true(has(&plan.mounts, x));
	assert_true(has(&plan.mounts, wayland));
	assert_true(has(&plan.env, "DISPLAY=:7"));
	assert_true(has(&plan.env, "WAYLAND_DISPLAY=wayland-7"));
	unlink(authority);
	unlink(socket_path);
}

// In the child: somebody in a directory below one that is closed to him. Returns what went wrong.
static const char *leave_closed_directory(void)
{
	cleanup_error struct error err = { 0 };
	cleanup_plan struct plan plan = { .flake = xstrdup("x") }, sharing = { 0 };
	char here[PATH_MAX] = "";

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return "he is still root";
	if (access(".", X_OK) < 0)
		return "he is not in it";
	if (plan_of("cwd", "", &sharing, &err) == 0 || !strstr(err.message, "cannot share"))
		return "he shares what he cannot reach";
	plan_leave_directory(&plan);
	return getcwd(here, sizeof(here)) && streq(here, "/") ? NULL : "he stays";
}

static void test_closed_directory(void **state)
{
	cleanup_free char *closed = xasprintf("%s/closed", root);
	int status = -1;
	pid_t pid;

	(void)state;
	chmod(root, 0755);
	enter("closed");
	enter("closed/open");
	assert_int_equal(chmod(closed, geteuid() == 0 ? 0700 : 0), 0);
	pid = fork();
	if (pid == 0) {
		const char *wrong = leave_closed_directory();

		if (wrong)
			fprintf(stderr, "%s\n", wrong);
		_exit(wrong != NULL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	chmod(closed, 0700);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_unless_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cwd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_colon, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(test_instances_do_not_follow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_home, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ssh_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_display, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_directory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
