// SPDX-License-Identifier: MIT
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"

static void names(void **state)
{
	(void)state;
	assert_string_equal(error_name(ENOENT), "ENOENT");
	assert_string_equal(error_name(EHWPOISON), "EHWPOISON");
	assert_string_equal(error_name(ERR_LIMIT), "ELIMIT");
	assert_string_equal(error_name(0), "EUNKNOWN");
	assert_string_equal(error_name(-ENOENT), "EUNKNOWN");
	assert_string_equal(error_name(EHWPOISON + 1), "EUNKNOWN");
}

// The table is our own, for musl has none; up to its end it must know what glibc knows.
static void names_of_glibc(void **state)
{
	(void)state;
#ifdef __GLIBC__
	for (int code = 1; code <= EHWPOISON; code++) {
		const char *name = strerrorname_np(code);

		assert_string_equal(error_name(code), name ? name : "EUNKNOWN");
	}
#else
	skip();
#endif
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(names_of_glibc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
