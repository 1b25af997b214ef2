// SPDX-License-Identifier: MIT
// How soon process 1 runs after a program wrote.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Zero-initialise.
struct rank {
	int64_t began;	// of a period, in ms
	unsigned turns; // of the loop, in it
	bool before;	// all programs
};

enum { RANK_PERIOD = 250, RANK_TURNS = 40 };

// Counts a turn of the loop. Returns whether process 1 may still go before its programs in this
// period.
static inline bool rank_allows(struct rank *rank, int64_t now)
{
	if (now < rank->began || now - rank->began >= RANK_PERIOD) {
		rank->began = now;
		rank->turns = 0;
	}
	return rank->turns++ < RANK_TURNS;
}

// How long the loop may wait for something to happen, which is ms (-1: for ever) where process 1
// goes before its programs: else it does again when the period is over.
static inline int rank_wait(const struct rank *rank, int ms)
{
	return rank->before || (ms >= 0 && ms < RANK_PERIOD) ? ms : RANK_PERIOD;
}

// Before a turn of the loop: gives process 1 its rank.
void rank_turn(struct rank *rank, int64_t now);
