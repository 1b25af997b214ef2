// SPDX-License-Identifier: MIT
#include "error.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "util.h"

__attribute__((format(printf, 1, 0))) static char *vformat(const char *fmt, va_list ap)
{
	char *out = NULL;

	if (vasprintf(&out, fmt, ap) < 0)
		abort();
	return out;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	cleanup_free char *text = NULL;
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	text = vformat(fmt, ap);
	va_end(ap);
	error_clear(err);
	err->code = code;
	if (code > 0 && code < ERR_YAML) {
		cleanup_free char *why = xstrdup(strerror(code));

		// House style: reasons are lower case; keep "I/O error" and the like.
		if (islower((unsigned char)why[1]))
			why[0] = (char)tolower((unsigned char)why[0]);
		err->message = xasprintf("%s: %s", text, why);
	} else {
		err->message = steal_ptr(&text);
	}
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	cleanup_free char *context = NULL;
	char *old;
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	context = vformat(fmt, ap);
	va_end(ap);
	old = err->message;
	err->message = xasprintf("%s: %s", context, old ? old : "unknown error");
	free(old);
	return -1;
}

void error_clear(struct error *err)
{
	if (!err)
		return;
	free(err->message);
	err->message = NULL;
	err->code = 0;
}

static const char *errno_name(int code)
{
	static const char *const names[] = { NAMES_OF_ERRORS(NAME_AT) };

	return code > 0 && (size_t)code < sizeof(names) / sizeof(*names) ? names[code] : NULL;
}

const char *error_name(int code)
{
	const char *name;

	switch (code) {
	case ERR_YAML:
		return "EYAML";
	case ERR_HTTP:
		return "EHTTP";
	case ERR_ARCHIVE:
		return "EARCHIVE";
	case ERR_FLAKE:
		return "EFLAKE";
	case ERR_TIMEOUT:
		return "ETIMEDOUT";
	case ERR_LIMIT:
		return "ELIMIT";
	case ERR_FILE:
		return "EFILE";
	default:
		name = errno_name(code);
		return name ? name : "EUNKNOWN";
	}
}
