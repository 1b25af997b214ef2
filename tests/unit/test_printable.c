// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "printable.h"
#include "util.h"

static void test_printable(void **state)
{
	static const char *const cases[][2] = {
		{ "plain \xc3\xbc \xe2\x82\xac", "plain \xc3\xbc \xe2\x82\xac" },
		{ "\033[31mred\033[0m", "?[31mred?[0m" },
		{ "a\nb\tc\rd\x7f", "a?b?c?d?" },
		{ "\xc2\x9b"
		  "31m",
		  "?31m" },
		{ "\xc2\xa0", "\xc2\xa0" },
		{ "\x9b\xff\xc3", "???" },
		{ "\xed\xa0\x80", "???" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *got = printable(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
