// SPDX-License-Identifier: MIT
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

bool bytes_need_encoding(const char *arg)
{
	size_t n;

	if (strncmp(arg, BYTES_PREFIX, strlen(BYTES_PREFIX)) == 0)
		return true;
	for (; *arg; arg += n) {
		n = utf8_length(arg);
		if (n == 0)
			return true;
	}
	return false;
}

char *bytes_encode(const char **arg)
{
	size_t n = strnlen(*arg, BYTES_CHUNK);
	char *out = malloc(strlen(BYTES_MARK) + 2 * n + 1);
	const char *end = *arg + n;
	char *p = out;

	if (!out)
		abort();
	p = stpcpy(p, *end ? BYTES_MORE : BYTES_MARK);
	for (; *arg < end; ++*arg) {
		unsigned char c = (unsigned char)**arg;

		if (c >= 0x80)
			*p++ = (char)(0xc0 | c >> 6);
		*p++ = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
	}
	*p = '\0';
	return out;
}

// Decodes the text of one encoded argument to p; returns the end.
static char *decode(char *p, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		if ((*s & 0xfe) == 0xc2 && (s[1] & 0xc0) == 0x80) {
			*p++ = (char)(s[0] << 6 | (s[1] & 0x3f));
			s++;
		} else {
			*p++ = (char)*s;
		}
	}
	*p = '\0';
	return p;
}

static bool has_mark(const char *arg, const char *mark)
{
	return arg && strncmp(arg, mark, strlen(mark)) == 0;
}

// Decodes and joins the parts of the argument at in, which go on as long as there are marks of
// more; returns the last one's place. A single part is decoded where it is.
static char **join(char **in, char **out)
{
	char **last = in;
	size_t size = 1;
	char *text, *p;

	for (; has_mark(*last, BYTES_MORE) && last[1]; last++)
		size += strlen(*last);
	size += strlen(*last);
	text = last == in ? *in : malloc(size);
	if (!text)
		abort();
	for (p = text; in <= last; in++)
		p = decode(p, *in + (has_mark(*in, BYTES_PREFIX) ? strlen(BYTES_MARK) : 0));
	*out = text;
	return last;
}

void bytes_decode(char **argv)
{
	char **out = argv;

	for (char **in = argv; *in; in++, out++) {
		if (has_mark(*in, BYTES_MARK) || has_mark(*in, BYTES_MORE))
			in = join(in, out);
		else
			*out = *in;
	}
	*out = NULL;
}
