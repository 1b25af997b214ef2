// SPDX-License-Identifier: MIT
// Arguments that are not UTF-8, as text: BYTES_MARK, then the bytes, with '%' and all bytes from
// 0x80 on as %XX. Only used between a pilot and flake-init.
#pragma once

#include <stdbool.h>

#define BYTES_MARK "\001flake-bytes:"

// Must the argument be encoded: broken UTF-8 (RFC 3629), or text that looks encoded?
bool bytes_need_encoding(const char *arg);

// The encoded text. Caller frees.
char *bytes_encode(const char *arg);

// Decodes in place what begins with BYTES_MARK; leaves everything else alone.
void bytes_decode(char *arg);
