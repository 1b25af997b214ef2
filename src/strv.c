// SPDX-License-Identifier: MIT
#include "strv.h"

#include <stdarg.h>

#include "util.h"

void strv_take(struct strv *s, char *value)
{
	if (s->n + 2 > s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n++] = value;
	s->v[s->n] = NULL;
}

void strv_push(struct strv *s, const char *value)
{
	strv_take(s, xstrdup(value));
}

void strv_pushf(struct strv *s, const char *fmt, ...)
{
	char *out = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&out, fmt, ap) < 0)
		abort();
	va_end(ap);
	strv_take(s, out);
}

void strv_append(struct strv *s, const struct strv *other)
{
	for (size_t i = 0; i < other->n; i++)
		strv_push(s, other->v[i]);
}

char *strv_join(const struct strv *s, size_t *len)
{
	size_t size = 1;
	char *text, *end;

	for (size_t i = 0; i < s->n; i++)
		size += strlen(s->v[i]);
	text = end = xmalloc(size);
	*end = '\0';
	for (size_t i = 0; i < s->n; i++)
		end = stpcpy(end, s->v[i]);
	*len = (size_t)(end - text);
	return text;
}

void strv_free(struct strv *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strv){ 0 };
}
