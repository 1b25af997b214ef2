// SPDX-License-Identifier: MIT
#include "size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct suffix {
	const char *text;
	uint64_t factor;
} suffixes[] = {
	{ "", 1 },
	{ "b", 1 },
	{ "k", 1ULL << 10 },
	{ "kib", 1ULL << 10 },
	{ "kb", 1000ULL },
	{ "m", 1ULL << 20 },
	{ "mib", 1ULL << 20 },
	{ "mb", 1000000ULL },
	{ "g", 1ULL << 30 },
	{ "gib", 1ULL << 30 },
	{ "gb", 1000000000ULL },
	{ "t", 1ULL << 40 },
	{ "tib", 1ULL << 40 },
	{ "tb", 1000000000000ULL },
};

static uint64_t factor_of(const char *suffix)
{
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcasecmp(suffixes[i].text, suffix) == 0)
			return suffixes[i].factor;
	return 0;
}

// The digits behind the point, as a part of factor.
static uint64_t fraction(const char *digits, size_t n, uint64_t factor)
{
	double part = 0, place = 0.1;

	for (size_t i = 0; i < n; i++, place /= 10)
		part += (digits[i] - '0') * place;
	return (uint64_t)(part * (double)factor);
}

int size_parse(const char *text, uint64_t *bytes)
{
	size_t whole = strspn(text, "0123456789"), part = 0;
	const char *rest = text + whole;
	unsigned long long n;
	uint64_t factor;

	if (whole == 0)
		return -1;
	if (*rest == '.') {
		part = strspn(++rest, "0123456789");
		if (part == 0)
			return -1;
		rest += part;
	}
	factor = factor_of(rest + strspn(rest, " "));
	errno = 0;
	n = strtoull(text, NULL, 10);
	if (!factor || errno || n > (1ULL << 62) / factor)
		return -1;
	*bytes = n * factor + fraction(rest - part, part, factor);
	return *bytes > 1ULL << 62 ? -1 : 0;
}
