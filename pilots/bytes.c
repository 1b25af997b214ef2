// SPDX-License-Identifier: MIT
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

// Length of the well-formed UTF-8 sequence at s (RFC 3629, section 4); 0 if there is none.
static size_t sequence(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool bytes_need_encoding(const char *arg)
{
	const unsigned char *s = (const unsigned char *)arg;
	size_t n;

	if (strncmp(arg, BYTES_MARK, strlen(BYTES_MARK)) == 0)
		return true;
	for (; *s; s += n) {
		n = sequence(s);
		if (n == 0)
			return true;
	}
	return false;
}

char *bytes_encode(const char *arg)
{
	static const char hex[] = "0123456789abcdef";
	char *out = malloc(strlen(BYTES_MARK) + 3 * strlen(arg) + 1);
	char *p = out;

	if (!out)
		abort();
	p = stpcpy(p, BYTES_MARK);
	for (const unsigned char *s = (const unsigned char *)arg; *s; s++) {
		if (*s < 0x80 && *s != '%') {
			*p++ = (char)*s;
			continue;
		}
		*p++ = '%';
		*p++ = hex[*s >> 4];
		*p++ = hex[*s & 15];
	}
	*p = '\0';
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void bytes_decode(char *arg)
{
	const char *in = arg + strlen(BYTES_MARK);

	if (strncmp(arg, BYTES_MARK, strlen(BYTES_MARK)) != 0)
		return;
	while (*in) {
		if (in[0] == '%' && hex_digit(in[1]) >= 0 && hex_digit(in[2]) >= 0) {
			*arg++ = (char)(hex_digit(in[1]) << 4 | hex_digit(in[2]));
			in += 3;
		} else {
			*arg++ = *in++;
		}
	}
	*arg = '\0';
}
