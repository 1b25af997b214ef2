// SPDX-License-Identifier: MIT
// The kernel's command line, and texts that look like a shell's.
#pragma once

#include <stdbool.h>

#include "strv.h"

struct params {
	struct strv words; // NAME or NAME=VALUE, without quotes
};

// Splits a command line as the kernel does: at blanks that are not in double quotes.
void params_parse(struct params *params, const char *text);

// Reads /proc/cmdline. What cannot be read is empty.
void params_read(struct params *params);

// The value of the last NAME=VALUE; NULL: there is none. Not owned.
const char *params_get(const struct params *params, const char *name);

// The same, "1" being true.
bool params_true(const struct params *params, const char *name);

// Splits at blanks with '…', "…" and \ as a shell, without expanding anything. Returns -1 when a
// quote stays open.
int words_split(struct strv *out, const char *text);
