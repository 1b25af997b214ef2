// SPDX-License-Identifier: MIT
// What is said on the console.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "sci.h"
#include "util.h"

static bool tracing;

void say(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = n > (int)sizeof(text) - 2 ? (int)sizeof(text) - 2 : n;
	text[n] = '\n';
	(void)write_fd_all(STDERR_FILENO, "sci: ", 5);
	(void)write_fd_all(STDERR_FILENO, text, (size_t)n + 1);
}

void trace_from_here(bool on)
{
	tracing = on;
}

void trace(const char *phase)
{
	struct timespec now;

	if (!tracing)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	say("%ld.%06ld %s", (long)now.tv_sec, now.tv_nsec / 1000, phase);
}
