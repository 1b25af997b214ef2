// SPDX-License-Identifier: MIT
// When the guest's process 1 may go before its programs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sci/rank.h"

// So many turns at one moment, of which the rank allowed some.
static unsigned allowed(struct rank *rank, unsigned turns, int64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < turns; i++)
		n += rank_allows(rank, now);
	return n;
}

static void so_many_in_a_period(void **state)
{
	struct rank rank = { 0 };

	(void)state;
	assert_int_equal(allowed(&rank, RANK_TURNS, 1000), RANK_TURNS);
	assert_int_equal(allowed(&rank, 1000, 1000 + RANK_PERIOD - 1), 0);
	assert_int_equal(allowed(&rank, 1000, 1000 + RANK_PERIOD), RANK_TURNS);
	// The clock of a VM that is restored may have gone back.
	assert_int_equal(allowed(&rank, 1000, 5), RANK_TURNS);
}

// Programs that write now and then never wait.
static void seldom_is_always(void **state)
{
	struct rank rank = { 0 };

	(void)state;
	for (int64_t now = 0; now < 100 * RANK_PERIOD; now += RANK_PERIOD / RANK_TURNS + 1)
		assert_true(rank_allows(&rank, now));
}

// Who lost its rank wakes up to have it again, without anything else that happens.
static void wakes_up_for_it(void **state)
{
	struct rank rank = { .before = true };

	(void)state;
	assert_int_equal(rank_wait(&rank, -1), -1);
	assert_int_equal(rank_wait(&rank, 5000), 5000);
	rank.before = false;
	assert_int_equal(rank_wait(&rank, -1), RANK_PERIOD);
	assert_int_equal(rank_wait(&rank, 5000), RANK_PERIOD);
	assert_int_equal(rank_wait(&rank, 7), 7);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_in_a_period),
		cmocka_unit_test(seldom_is_always),
		cmocka_unit_test(wakes_up_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
