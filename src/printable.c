// SPDX-License-Identifier: MIT
#include "printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"
#include "util.h"

// Of a sequence of n bytes.
static bool is_control(const unsigned char *s, size_t n)
{
	return (n == 1 && (*s < 0x20 || *s == 0x7f)) || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

char *printable(const char *text)
{
	char *out = xmalloc(strlen(text) + 1), *to = out;

	while (*text) {
		size_t n = utf8_length(text);

		if (n == 0 || is_control((const unsigned char *)text, n)) {
			*to++ = '?';
			text += n ? n : 1;
			continue;
		}
		memcpy(to, text, n);
		to += n;
		text += n;
	}
	*to = '\0';
	return out;
}

void show_message(const char *who, const char *message)
{
	cleanup_free char *name = printable(who);
	cleanup_free char *line = printable(message ? message : "unknown error");

	fprintf(stderr, "%s: %s\n", name, line);
}
