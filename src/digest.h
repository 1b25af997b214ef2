// SPDX-License-Identifier: MIT
// Digests by libcrypto.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum { DIGEST_SHA256_TEXT = 65 };

// SHA-256 in hexadecimal digits.
int digest_sha256(const char *data, size_t len, char out[DIGEST_SHA256_TEXT], struct error *err);

// Of the first `size` bytes of a file, or of all of it (size 0). algorithm: "sha256" or "md5".
// A file with fewer bytes is an error.
int digest_file(const char *path, const char *algorithm, uint64_t size,
		char out[DIGEST_SHA256_TEXT], struct error *err);
