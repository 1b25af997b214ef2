// SPDX-License-Identifier: MIT
// Waiting for events instead of for a while: a busy machine takes its time.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

// For what is sure to come.
enum { PATIENCE_MS = 120000 };

// Looks every few milliseconds until it is done; false: patience is at its end.
static inline bool wait_until(bool (*done)(const void *arg), const void *arg)
{
	for (int left = PATIENCE_MS; left > 0; left -= 5) {
		if (done(arg))
			return true;
		poll(NULL, 0, 5);
	}
	return done(arg);
}

// The process waits for something, or has ended: it does not run any more by itself.
static inline bool is_still(const void *pid)
{
	char path[64], state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)*(const pid_t *)pid);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(f);
	return state == 'S' || state == 'Z';
}
