// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "flake.h"
#include "fs.h"
#include "pilot.h"
#include "util.h"

struct place {
	char root[64];
	char dir[128];
};

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	char usr[100];

	strcpy(p->root, "/tmp/flake-unit.XXXXXX");
	assert_non_null(mkdtemp(p->root));
	snprintf(usr, sizeof(usr), "%s/usr", p->root);
	mkdir(usr, 0755);
	snprintf(usr, sizeof(usr), "%s/usr/share", p->root);
	mkdir(usr, 0755);
	snprintf(p->dir, sizeof(p->dir), "%s/usr/share/flakes", p->root);
	mkdir(p->dir, 0755);
	*state = p;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct place *p = *state;

	nftw(p->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void put(const struct place *p, const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", p->dir, name);
	cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
}

static int load(const struct place *p, const char *name, struct flake *flake, struct error *err)
{
	struct flake_where where = { .dir = p->dir };

	return flake_load(name, &where, flake, err);
}

static void plan_of(const struct place *p, const char *name, char *const *args, int tty,
		    struct plan *plan)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };
	struct call call = { .args = args, .tty = tty };

	if (load(p, name, &flake, &err) < 0 ||
	    plan_make(plan, &flake, &call, &engine_podman, &err) < 0)
		fail_msg("%s", err.message);
}

static bool has(const struct strv *s, const char *want)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->v[i], want))
			return true;
	return false;
}

static const char v1[] = "container:\n"
			 "  name: joe\n"
			 "  target_app_path: /usr/bin/joe\n"
			 "  host_app_path: /usr/bin/joe\n"
			 "  runtime:\n"
			 "    podman: ['-ti', '--net host', '\\--env=A=b c']\n";

static void test_v1_plan(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	char *args[] = { (char *)"a b", (char *)"@x", NULL };

	put(*state, "joe.yaml", v1);
	plan_of(*state, "joe", args, 0, &plan);
	assert_string_equal(plan.argv.v[0], "podman");
	assert_true(has(&plan.argv, "-i"));
	assert_false(has(&plan.argv, "-t"));
	assert_false(has(&plan.argv, "-ti"));
	assert_true(has(&plan.argv, "--net"));
	assert_true(has(&plan.argv, "host"));
	assert_true(has(&plan.argv, "--env=A=b c"));
	assert_true(has(&plan.argv, "--entrypoint=/usr/bin/joe"));
	assert_string_equal(plan.argv.v[plan.argv.n - 3], "joe");
	assert_string_equal(plan.argv.v[plan.argv.n - 2], "a b");
	assert_string_equal(plan.argv.v[plan.argv.n - 1], "@x");
}

static void test_terminal(void **state)
{
	cleanup_plan struct plan plan = { 0 };

	put(*state, "joe.yaml", v1);
	plan_of(*state, "joe", NULL, 1, &plan);
	assert_true(has(&plan.argv, "-t"));
}

static void test_pilot_arguments(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	char *args[] = { (char *)"@one", (char *)"%debug", (char *)"@@x", (char *)"%remove", NULL };

	put(*state, "joe.yaml", v1);
	plan_of(*state, "joe", args, 0, &plan);
	assert_string_equal(plan.instance, "one");
	assert_true(plan.debug);
	assert_false(plan.remove);
	assert_int_equal(plan.args.n, 2);
	assert_string_equal(plan.args.v[0], "@x");
	assert_string_equal(plan.args.v[1], "%remove");
}

static void test_app_keeps_foreign_marks(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	char *args[] = { (char *)"@scope/pkg", (char *)"%s", NULL };

	put(*state, "joe.yaml", v1);
	plan_of(*state, "joe", args, 0, &plan);
	assert_null(plan.instance);
	assert_string_equal(plan.args.v[0], "@scope/pkg");
	assert_string_equal(plan.args.v[1], "%s");
}

static void test_merge_order(void **state)
{
	const struct place *p = *state;
	cleanup_free char *dir = xasprintf("%s/joe.d", p->dir);
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	put(p, "joe.yaml", v1);
	mkdir(dir, 0755);
	put(p, "joe.d/20-b.yaml", "container: {name: two, runtime: {resume: ~}}\n");
	put(p, "joe.d/10-a.yaml",
	    "container: {name: one, runtime: {podman: [--x], resume: true}}\n");
	put(p, "joe.d/notes.txt", "{{{ not read\n");
	assert_int_equal(load(p, "joe", &flake, &err), 0);
	assert_string_equal(flake.image, "two");
	assert_true(flake.instance.resume);
	assert_int_equal(flake.options.n, 1);
	assert_int_equal(flake.files.n, 3);
}

static void test_v2_commands(void **state)
{
	const struct place *p = *state;
	cleanup_free char *alias = xasprintf("%s/rotten.yaml", p->dir);
	cleanup_plan struct plan plan = { 0 }, other = { 0 };

	put(p, "banana.yaml",
	    "version: 2\nruntime:\n  name: fruit\n  path_map:\n"
	    "    /usr/bin/banana: {exports: /usr/bin/foo}\n"
	    "    /usr/bin/rotten:\nengine: {pilot: podman, args: [--net host]}\n");
	assert_int_equal(symlink("banana.yaml", alias), 0);
	plan_of(p, "banana", NULL, 0, &plan);
	assert_string_equal(plan.target, "/usr/bin/foo");
	plan_of(p, "rotten", NULL, 0, &other);
	assert_string_equal(other.flake, "banana");
	assert_string_equal(other.target, "/usr/bin/rotten");
}

static void test_expansion(void **state)
{
	cleanup_strv struct strv in = { 0 }, out = { 0 }, missing = { 0 };
	cleanup_error struct error err = { 0 };

	(void)state;
	setenv("FLAKE_T", "%HOME", 1);
	unsetenv("FLAKE_NONE");
	strv_push(&in, "--volume %FLAKE_T:/x%FLAKE_NONE");
	strv_push(&in, "--date=%s");
	assert_int_equal(plan_expand(&out, &in, &missing, &err), 0);
	assert_string_equal(out.v[0], "--volume");
	assert_string_equal(out.v[1], "%HOME:/x");
	assert_string_equal(out.v[2], "--date=%s");
	assert_int_equal(missing.n, 1);
}

static void test_expansion_is_bounded(void **state)
{
	cleanup_strv struct strv in = { 0 }, out = { 0 };
	cleanup_error struct error err = { 0 };
	cleanup_free char *big = xcalloc(1, 70001);

	(void)state;
	memset(big, 'x', 70000);
	setenv("FLAKE_BIG", big, 1);
	strv_push(&in, "%FLAKE_BIG%FLAKE_BIG");
	assert_int_equal(plan_expand(&out, &in, NULL, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	unsetenv("FLAKE_BIG");
}

static void test_missing_volume(void **state)
{
	cleanup_plan struct plan plan = { 0 };
	char *args[] = { (char *)"%ignore_missing_volume_path", NULL };

	put(*state, "joe.yaml",
	    "container:\n  name: joe\n  runtime:\n    podman:\n"
	    "      - --volume /nonexistent-a:/a\n      - --volume=/nonexistent-b:/b\n"
	    "      - -v /tmp:/tmp\n      - --volume named:/n\n");
	plan_of(*state, "joe", args, 0, &plan);
	assert_false(has(&plan.argv, "/nonexistent-a:/a"));
	assert_false(has(&plan.argv, "--volume=/nonexistent-b:/b"));
	assert_true(has(&plan.argv, "/tmp:/tmp"));
	assert_true(has(&plan.argv, "named:/n"));
}

static void expect_error(const struct place *p, const char *text, int code, const char *part)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	put(p, "bad.yaml", text);
	assert_int_equal(load(p, "bad", &flake, &err), -1);
	assert_int_equal(err.code, code);
	if (!strstr(err.message, part))
		fail_msg("'%s' lacks '%s'", err.message, part);
}

static void test_broken_definitions(void **state)
{
	expect_error(*state, "container: [", ERR_YAML, "bad.yaml:");
	expect_error(*state, "- a\n", ERR_FLAKE, "must be a map");
	expect_error(*state, "container: {}\n", ERR_FLAKE, "'name' is missing");
	expect_error(*state, "a: 1\n", ERR_FLAKE, "'container'");
	expect_error(*state, "version: 42\n", ERR_FLAKE, "'version' must be 1 or 2");
	expect_error(*state, "container: {name: a}\ncontainer: {name: b}\n", ERR_YAML, "twice");
	expect_error(*state, "container: {name: a}\n---\nx: y\n", ERR_YAML, "second document");
	expect_error(*state, "container:\n  name: a\n  runtime:\n    podman: x\n", ERR_FLAKE,
		     "bad.yaml:4: 'podman' must be a list");
	expect_error(*state, "container: {name: --privileged}\n", ERR_FLAKE, "begin with '-'");
	expect_error(*state, "container: {name: a, runtime: {resume: true, attach: true}}\n",
		     ERR_FLAKE, "exclude");
	expect_error(
		*state,
		"version: 2\nruntime:\n  name: a\n  path_map:\n    /b: {instance: attach resume}\n"
		"engine: {pilot: podman}\n",
		ERR_FLAKE, "exclude");
	expect_error(*state, "container: {name: a, layers: [b]}\n", ERR_FLAKE, "need a base");
}

static void test_missing_and_bad_names(void **state)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	assert_int_equal(load(*state, "nothing", &flake, &err), -1);
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(load(*state, "../joe", &flake, &err), -1);
	assert_int_equal(err.code, EINVAL);
	assert_int_equal(load(*state, "", &flake, &err), -1);
	assert_int_equal(load(*state, ".hidden", &flake, &err), -1);
	assert_int_equal(load(*state, "a\nb", &flake, &err), -1);
}

static void test_refuses_what_others_can_write(void **state)
{
	const struct place *p = *state;
	cleanup_free char *path = xasprintf("%s/joe.yaml", p->dir);
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	put(p, "joe.yaml", v1);
	chmod(path, 0666);
	assert_int_equal(load(p, "joe", &flake, &err), -1);
	assert_int_equal(err.code, EPERM);
	chmod(path, 0644);
	chmod(p->dir, 0777);
	assert_int_equal(load(p, "joe", &flake, &err), -1);
	assert_int_equal(err.code, EPERM);
	chmod(p->dir, 0755);
	assert_int_equal(load(p, "joe", &flake, &err), 0);
}

static void test_unknown_keys(void **state)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	put(*state, "joe.yaml", "container: {name: a, colour: red}\nextra: 1\n");
	assert_int_equal(load(*state, "joe", &flake, &err), 0);
	assert_true(has(&flake.unknown, "extra"));
	assert_true(has(&flake.unknown, "container.colour"));
}

static void test_names_the_fragment(void **state)
{
	const struct place *p = *state;
	cleanup_free char *dir = xasprintf("%s/joe.d", p->dir);
	cleanup_flake struct flake flake = { 0 }, broken = { 0 };
	cleanup_error struct error err = { 0 };

	put(p, "joe.yaml", v1);
	mkdir(dir, 0755);
	put(p, "joe.d/10.yaml", "\ncontainer:\n  colour: red\nversion: ~\n");
	assert_int_equal(load(p, "joe", &flake, &err), 0);
	assert_int_equal(flake.unknown.n, 1);
	assert_string_equal(path_base(flake.unknown_at.v[0]), "10.yaml:3");
	put(p, "joe.d/20.yaml", "container:\n  runtime:\n    podman: {no: list}\n");
	assert_int_equal(load(p, "joe", &broken, &err), -1);
	assert_non_null(strstr(err.message, "/joe.d/20.yaml:3: 'podman' must be a list"));
}

static void test_hooks_probe(void **state)
{
	const struct place *p = *state;
	cleanup_free char *dir = xasprintf("%s/joe.d", p->dir);
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	setenv("FLAKE_ROOT", p->root, 1);
	put(p, "joe.yaml", v1);
	mkdir(dir, 0755);
	assert_int_equal(load(p, "joe", &flake, &err), 0);
	assert_int_equal(hooks_present(&flake, &err), 0);
	put(p, "joe.d/launch.lua", "return function() end\n");
	assert_int_equal(hooks_present(&flake, &err), 1);
	unsetenv("FLAKE_ROOT");
}

// A link to itself is what even root cannot look into.
static void test_hooks_that_cannot_be_seen(void **state)
{
	const struct place *p = *state;
	cleanup_free char *dir = xasprintf("%s/etc/flakes/hooks", p->root);
	cleanup_free char *launch = xasprintf("%s/launch.d", dir);
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error err = { 0 };

	setenv("FLAKE_ROOT", p->root, 1);
	put(p, "joe.yaml", v1);
	assert_int_equal(load(p, "joe", &flake, &err), 0);
	assert_int_equal(fs_mkdir_p(dir, 0755, &err), 0);
	assert_int_equal(symlink("launch.d", launch), 0);
	assert_int_equal(hooks_present(&flake, &err), -1);
	assert_int_equal(err.code, ELOOP);
	assert_non_null(strstr(err.message, launch));
	unsetenv("FLAKE_ROOT");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_v1_plan),
		T(test_terminal),
		T(test_pilot_arguments),
		T(test_app_keeps_foreign_marks),
		T(test_merge_order),
		T(test_v2_commands),
		T(test_expansion),
		T(test_expansion_is_bounded),
		T(test_missing_volume),
		T(test_broken_definitions),
		T(test_missing_and_bad_names),
		T(test_refuses_what_others_can_write),
		T(test_unknown_keys),
		T(test_names_the_fragment),
		T(test_hooks_probe),
		T(test_hooks_that_cannot_be_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
