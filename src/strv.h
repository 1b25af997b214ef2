// SPDX-License-Identifier: MIT
// Growing, NULL-terminated vector of owned strings.
#pragma once

#include <stddef.h>

// Zero-initialise. v is NULL while nothing was pushed, NULL-terminated afterwards.
struct strv {
	char **v;
	size_t n;
	size_t cap;
};

void strv_push(struct strv *s, const char *value); // copies
void strv_pushf(struct strv *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_take(struct strv *s, char *value); // owns value from now on
void strv_append(struct strv *s, const struct strv *other);
char *strv_join(const struct strv *s, size_t *len); // one text; caller frees
void strv_free(struct strv *s);

#define cleanup_strv __attribute__((cleanup(strv_free)))
