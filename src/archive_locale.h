// SPDX-License-Identifier: MIT
// libarchive converts names from and to the locale's encoding and fails in the C locale, in which
// our programs run: while one works, the calling thread's locale is UTF-8.
#pragma once

#include <locale.h>

struct utf8_locale {
	locale_t ours, before;
};

static inline struct utf8_locale utf8_locale_begin(void)
{
	struct utf8_locale l = { .ours = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) };

	if (l.ours)
		l.before = uselocale(l.ours);
	return l;
}

static inline void utf8_locale_end(const struct utf8_locale *l)
{
	if (!l->ours)
		return;
	uselocale(l->before);
	freelocale(l->ours);
}

// For the rest of the function.
#define in_utf8_locale()                                                                           \
	__attribute__((cleanup(utf8_locale_end), unused)) const struct utf8_locale utf8_locale =   \
		utf8_locale_begin()
