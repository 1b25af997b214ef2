// SPDX-License-Identifier: MIT
// Error out-parameter: every fallible function takes `struct error *err` last and returns -1 or
// NULL.
#pragma once

enum {
	ERR_YAML = 1001,
	ERR_HTTP,
	ERR_ARCHIVE,
	ERR_FLAKE,
	ERR_TIMEOUT,
	ERR_LIMIT,
	ERR_FILE, // no regular file, where one is needed
};

// Zero-initialise. `code` is an errno or one of ERR_*; `message` is owned by the struct.
struct error {
	int code;
	char *message;
};

// Sets code and message and returns -1. For an errno the reason is appended to the message.
// err may be NULL (the caller does not care); an earlier message is replaced.
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Prefixes "context: " to the message and returns -1.
int error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *err);

// Short name of a code for Lua and scripts: "ENOENT", "EYAML"; unknown: "EUNKNOWN".
const char *error_name(int code);

#define cleanup_error __attribute__((cleanup(error_clear)))
