// SPDX-License-Identifier: MIT
// Answers of Firecracker's API: HTTP/1.1 (RFC 9112), as much of it as that has, read strictly.
#pragma once

#include <stddef.h>

enum { HTTP_HEAD_MAX = 8192, HTTP_BODY_MAX = 1 << 20 };

struct http_answer {
	int status;  // 200 to 599
	size_t head; // bytes before the body
	size_t body; // bytes of the body
};

// The answer that the bytes are. Returns 1: it is whole; 0: not all of it is there yet; -1: it is
// none, or more than one; *why says what is wrong (static text).
int http_read(const char *data, size_t len, struct http_answer *out, const char **why);

// The reason in the body of an answer that is an error, printable and on one line. Caller frees.
char *http_fault(const char *body, size_t len);
