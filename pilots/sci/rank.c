// SPDX-License-Identifier: MIT
#include <sched.h>

#include "rank.h"

// Process 1 goes before its programs (which inherit nothing of that): then what one of them wrote
// is with the host before the program goes on, and is not lost if it takes the kernel down next.
// A program that writes and writes would pay for each of its writes with a turn of the loop. So
// there are only so many in a period; in the rest of it process 1 takes turns as all others do, and
// finds more to pass on at a time.
void rank_turn(struct rank *rank, int64_t now)
{
	bool before = rank_allows(rank, now);
	struct sched_param level = { .sched_priority = before };

	if (before == rank->before)
		return;
	rank->before = before;
	// Where a kernel has no such classes, all is as it was.
	sched_setscheduler(0, (before ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK, &level);
}
