// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bytes.h"
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

static void note(void *arg, const struct podman_option *option)
{
	struct strv *seen = arg;

	strv_pushf(seen, "%zu:%.*s%s%s", option->at, (int)option->len,
		   option->len ? option->name : "", option->value ? "=" : "",
		   option->value ? option->value : "");
}

// What podman 4.3.1 and 5.x make of the words (spf13/pflag).
static void test_reading(void **state)
{
	static const char *const cases[][2] = {
		{ "--net host --net=none", "0:network=host 2:network=none" },
		{ "-v /:/x -v/:/x -v=/:/x", "0:volume=/:/x 2:volume=/:/x 3:volume=/:/x" },
		{ "-itv /:/x", "0:interactive 0:tty 0:volume=/:/x" },
		{ "-ite=A=B -eA=B -e=A=B", "0:interactive 0:tty 0:env=A=B 1:env=A=B 2:env=A=B" },
		{ "-t=false -d --rm=false", "0:tty=false 1:detach 2:rm=false" },
		{ "--privileged=true --privileged", "0:privileged=true 1:privileged" },
		{ "--env --privileged --pid host", "0:env=--privileged 2:pid=host" },
		{ "-e --privileged --read-only x", "0:env=--privileged 2:read-only 3:" },
		{ "--remote --privileged -r -P", "0:remote 1:privileged 2:remote 3:publish-all" },
		{ "--security-opt= --label", "0:security-opt= 1:label" },
		{ "--dns-opt x --healthcheck-command y", "0:dns-option=x 2:health-cmd=y" },
		{ "--rm image --privileged", "0:rm 1: 2:" },
		{ "-- --privileged", "0: 1:" },
		{ "- --privileged", "0: 1:" },
		{ "-Z x", "0:Z=x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_strv struct strv tokens = { 0 }, seen = { 0 };
		cleanup_free char *text = xstrdup("");

		push_words(&tokens, cases[i][0]);
		podman_options_each(&tokens, note, &seen);
		for (size_t n = 0; n < seen.n; n++) {
			char *more = xasprintf("%s%s%s", text, n ? " " : "", seen.v[n]);

			free(text);
			text = more;
		}
		assert_string_equal(text, cases[i][1]);
	}
}

// An image may have labels as ours are: every container gets its own value for each.
static void test_labels(void **state)
{
	static const char *const labels[] = { "flake",	    "instance", "key",
					      "definition", "composed", "run" };
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("img"),
					  .target = xstrdup("/t") };

	(void)state;
	assert_int_equal(engine_podman.compose(&plan, NULL), 0);
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
		cleanup_free char *label = xasprintf("--label=flake-pilot.%s=", labels[i]);
		size_t found = 0;

		for (size_t j = 0; j < plan.argv.n; j++)
			found += str_starts(plan.argv.v[j], label);
		assert_int_equal(found, 1);
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

// Our process 1 is looked for beside the program that composes.
static char *put_init(void)
{
	cleanup_free char *here = realpath("/proc/self/exe", NULL);
	char *init;

	*strrchr(here, '/') = '\0';
	init = xasprintf("%s/flake-init", here);
	assert_int_equal(symlink("/bin/true", init), 0);
	return init;
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
	cleanup_free char *init = put_init();

	(void)state;
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++)
		assert_false(has_init(without[i]));
	for (size_t i = 0; i < sizeof(with) / sizeof(*with); i++)
		assert_true(has_init(with[i]));
	unlink(init);
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

// Encodes, checks what goes between, decodes.
static char *through(const char *arg, size_t *parts)
{
	char *argv[8] = { (char *)"before" }, *encoded[8];
	size_t n = 1;
	char *out;

	do
		argv[n++] = bytes_encode(&arg);
	while (*arg);
	argv[n] = (char *)"after";
	*parts = n - 1;
	for (size_t i = 1; i < n; i++) {
		assert_true(strlen(argv[i]) < 128 * 1024);
		// UTF-8, but for the mark at its beginning.
		assert_true(bytes_need_encoding(argv[i]));
		assert_false(bytes_need_encoding(argv[i] + 1));
		encoded[i] = argv[i];
	}
	bytes_decode(argv);
	assert_string_equal(argv[0], "before");
	assert_string_equal(argv[2], "after");
	assert_null(argv[3]);
	out = xstrdup(argv[1]);
	for (size_t i = 1; i <= *parts; i++)
		free(encoded[i]);
	if (*parts > 1)
		free(argv[1]);
	return out;
}

static void test_bytes_arrive(void **state)
{
	static const size_t sizes[] = { 1, 2, BYTES_CHUNK, BYTES_CHUNK + 1, 100000, 131000 };
	cleanup_free char *all = xcalloc(256, 1);
	size_t parts;

	(void)state;
	for (int c = 1; c < 256; c++)
		all[c - 1] = (char)c;
	{
		cleanup_free char *got = through(all, &parts);

		assert_string_equal(got, all);
		assert_int_equal(parts, 1);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		cleanup_free char *arg = xcalloc(sizes[i] + 1, 1);

		memset(arg, 0xff, sizes[i]);
		{
			cleanup_free char *got = through(arg, &parts);

			assert_string_equal(got, arg);
			assert_int_equal(parts, (sizes[i] + BYTES_CHUNK - 1) / BYTES_CHUNK);
		}
	}
}

static void test_bytes_that_look_encoded(void **state)
{
	char text[] = "plain \xc3\xbc", more[] = BYTES_MORE "open end";
	char *argv[] = { text, more, NULL };
	size_t parts;
	cleanup_free char *got = through(BYTES_MARK "\xc3\xbc", &parts);

	(void)state;
	assert_string_equal(got, BYTES_MARK "\xc3\xbc");
	assert_false(bytes_need_encoding("\xf0\x9f\x98\x80 \xe0\xa0\x80 %ff"));
	assert_true(bytes_need_encoding("\xc0\x80"));
	assert_true(bytes_need_encoding("\xed\xa0\x80"));
	assert_true(bytes_need_encoding("\xe0\x9f\xbf"));
	assert_true(bytes_need_encoding("\xf0\x8f\xbf\xbf"));
	assert_true(bytes_need_encoding("\xf4\x90\x80\x80"));
	assert_true(bytes_need_encoding("\xf8"));
	assert_true(bytes_need_encoding("\xc3"));
	bytes_decode(argv);
	assert_string_equal(argv[0], "plain \xc3\xbc");
	assert_string_equal(argv[1], "open end");
}

static void test_long_bytes_are_several_arguments(void **state)
{
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .engine = xstrdup("podman"),
					  .image = xstrdup("img"),
					  .target = xstrdup("/t") };
	cleanup_error struct error err = { 0 };
	cleanup_free char *arg = xcalloc(100001, 1);
	cleanup_free char *init = put_init();

	(void)state;
	memset(arg, 0xff, 100000);
	strv_push(&plan.args, arg);
	assert_int_equal(engine_podman.compose(&plan, &err), 0);
	unlink(init);
	assert_string_equal(plan.argv.v[plan.argv.n - 3], "img");
	assert_memory_equal(plan.argv.v[plan.argv.n - 2], BYTES_MORE, strlen(BYTES_MORE));
	assert_memory_equal(plan.argv.v[plan.argv.n - 1], BYTES_MARK, strlen(BYTES_MARK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminal_options),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_own_init),
		cmocka_unit_test(test_missing_volumes),
		cmocka_unit_test(test_bytes_arrive),
		cmocka_unit_test(test_bytes_that_look_encoded),
		cmocka_unit_test(test_long_bytes_are_several_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
