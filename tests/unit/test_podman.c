// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pilot.h"
#include "podman_options.h"
#include "util.h"

static void push_words(struct strv *out, const char *words)
{
	cleanup_free char *copy = xstrdup(words);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " ")))
		if (*word)
			strv_push(out, word);
}

// The options as they come out of compose, between the label and the entry point.
static char *composed(const char *options)
{
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .command = xstrdup("f"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("img"),
					  .target = xstrdup("/t") };
	cleanup_error struct error err = { 0 };
	char *out = xstrdup("");
	bool inside = false;

	push_words(&plan.options, options);
	assert_int_equal(engine_podman.compose(&plan, &err), 0);
	for (size_t i = 0; i < plan.argv.n; i++) {
		const char *word = plan.argv.v[i];
		char *more;

		if (streq(word, "--entrypoint=/t"))
			break;
		if (inside) {
			more = xasprintf("%s%s%s", out, *out ? " " : "", word);
			free(out);
			out = more;
		}
		inside |= streq(word, "--label=flake-pilot.flake=f");
	}
	return out;
}

static void test_terminal_options(void **state)
{
	static const char *const cases[][2] = {
		{ "-t", "" },
		{ "-ti -it -i", "" },
		{ "--tty --interactive --rm", "" },
		{ "--tty=true --interactive=false --rm=false", "" },
		{ "-t=true --net none", "--net none" },
		{ "-dti", "-d" },
		{ "-tv /:/host -ite A=b", "-v /:/host -e A=b" },
		{ "--env -t", "--env -t" },
		{ "-e --rm -t", "-e --rm" },
		{ "--privileged -t", "--privileged" },
		{ "--read-only=true -i -eA=t", "--read-only=true -eA=t" },
		{ "--env=A --tty", "--env=A" },
		{ "-", "-" },
		{ "--label", "--label" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *got = composed(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
	}
}

static bool has_init(const char *options)
{
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("img"),
					  .target = xstrdup("/t") };
	cleanup_error struct error err = { 0 };
	bool found = false;

	push_words(&plan.options, options);
	assert_int_equal(engine_podman.compose(&plan, &err), 0);
	for (size_t i = 0; i < plan.argv.n; i++)
		found |= streq(plan.argv.v[i], "--init");
	return found;
}

static void test_own_init(void **state)
{
	static const char *const without[] = {
		"--init=false",	  "--init-path=/x", "--init-path /x",	     "--systemd always",
		"--systemd=true", "--pid host",	    "--net none --pid=host", "--pid=container:x",
	};
	static const char *const with[] = {
		"", "--pid=private", "--systemd=false", "--env --pid", "--pids-limit 5", "-h --pid",
	};
	char *here = realpath("/proc/self/exe", NULL), *init;

	(void)state;
	// Our process 1 is looked for beside the program that composes.
	*strrchr(here, '/') = '\0';
	init = xasprintf("%s/flake-init", here);
	free(here);
	assert_int_equal(symlink("/bin/true", init), 0);
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++)
		assert_false(has_init(without[i]));
	for (size_t i = 0; i < sizeof(with) / sizeof(*with); i++)
		assert_true(has_init(with[i]));
	unlink(init);
	free(init);
}

static void test_missing_volumes(void **state)
{
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("img"),
					  .target = xstrdup("/t"),
					  .skip_missing_volumes = true };
	cleanup_error struct error err = { 0 };
	size_t n = 0;

	(void)state;
	push_words(&plan.options, "-v /nowhere:/a --volume /nowhere:/b --volume=/nowhere:/c "
				  "--env --volume /tmp -v /tmp:/tmp");
	assert_int_equal(engine_podman.compose(&plan, &err), 0);
	for (size_t i = 0; i < plan.argv.n; i++)
		n += strstr(plan.argv.v[i], "/nowhere") || strstr(plan.argv.v[i], "/tmp");
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_options),
		cmocka_unit_test(test_own_init),
		cmocka_unit_test(test_missing_volumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
