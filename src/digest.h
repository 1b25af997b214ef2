// SPDX-License-Identifier: MIT
// Digests by libcrypto.
#pragma once

#include <stddef.h>

#include "error.h"

enum { DIGEST_SHA256_TEXT = 65 };

// SHA-256 in hexadecimal digits.
int digest_sha256(const char *data, size_t len, char out[DIGEST_SHA256_TEXT], struct error *err);
