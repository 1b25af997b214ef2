// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "size.h"

static void good(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512M", 512ULL << 20 },
		{ "20g", 20ULL << 30 },
		{ "20GiB", 20ULL << 30 },
		{ "20 gib", 20ULL << 30 },
		{ "20GB", 20000000000ULL },
		{ "1.5k", 1536 },
		{ "1.5 kB", 1500 },
		{ "7b", 7 },
		{ "4T", 4ULL << 40 },
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(size_parse(cases[i].text, &bytes), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void bad(void **state)
{
	static const char *const cases[] = { "",
					     "GiB",
					     "-1",
					     "+1",
					     " 1",
					     "1x",
					     "1.",
					     ".5",
					     "1.5.5",
					     "1e3",
					     "0x10",
					     "1 G B",
					     "20Gi",
					     "99999999999999999999",
					     "9999999999T",
					     "1g\n" };
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(size_parse(cases[i], &bytes), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(bad) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
