// SPDX-License-Identifier: MIT
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include "utf8.h"

bool bytes_need_encoding(const char *arg)
{
	size_t n;

	if (strncmp(arg, BYTES_MARK, strlen(BYTES_MARK)) == 0)
		return true;
	for (; *arg; arg += n) {
		n = utf8_length(arg);
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
