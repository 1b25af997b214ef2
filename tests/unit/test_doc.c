// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc.h"
#include "utf8.h"
#include "util.h"

static void expect_json(const char *yaml, const char *json)
{
	cleanup_error struct error err = { 0 };
	cleanup_node struct node *doc = doc_parse(yaml, strlen(yaml), "test", &err);
	cleanup_free char *text = NULL;

	assert_non_null(doc);
	text = doc_json(doc);
	assert_string_equal(text, json);
}

static void test_json(void **state)
{
	(void)state;
	expect_json("", "null");
	expect_json("a: [1, -20, 0, 010, 1.5, true, yes, null, '1', 'true']",
		    "{\"a\":[1,-20,0,\"010\",\"1.5\",true,\"yes\",null,\"1\",\"true\"]}");
	expect_json("{}", "{}");
	expect_json("[]", "[]");
	expect_json("\"a\\\"b\\\\c\\n\\0\"", "\"a\\u0022b\\u005cc\\u000a\\u0000\"");
	expect_json("'\xc3\xa4 \xf0\x9f\x98\x80'", "\"\xc3\xa4 \xf0\x9f\x98\x80\"");
	// What came from JSON goes back to it.
	expect_json("{\"env\":[\"A=\\u003cb\"],\"uid\":0}", "{\"env\":[\"A=<b\"],\"uid\":0}");
}

static void test_json_of_broken_utf8(void **state)
{
	static const char *const texts[] = { "a\xff", "a\xc0\xaf", "a\xed\xa0\x80", "a\xf5\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		cleanup_node struct node *node = node_scalar(texts[i], strlen(texts[i]), false);
		cleanup_free char *text = doc_json(node);

		assert_true(str_starts(text, "\"a\xef\xbf\xbd"));
		for (const char *s = text; *s; s += utf8_length(s))
			assert_true(utf8_length(s) > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_of_broken_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
