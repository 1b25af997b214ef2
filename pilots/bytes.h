// SPDX-License-Identifier: MIT
// Arguments that are not UTF-8, as text: BYTES_MARK, then the bytes taken for Latin-1, in UTF-8.
// That may be twice as long, and one argument of execve is 128 KiB at most: long ones become
// several, BYTES_MORE in front of all but the last. Only used between a pilot and flake-init.
#pragma once

#include <stdbool.h>

#define BYTES_PREFIX "\001flake-bytes"
#define BYTES_MARK BYTES_PREFIX ":"
#define BYTES_MORE BYTES_PREFIX "+"

// Bytes in one encoded argument.
enum { BYTES_CHUNK = 60 * 1024 };

// Must the argument be encoded: broken UTF-8 (RFC 3629), or text that looks encoded?
bool bytes_need_encoding(const char *arg);

// The next argument that encodes *arg, which goes on to what is left of it. Caller frees.
char *bytes_encode(const char **arg);

// Decodes and joins in place what is encoded; leaves everything else alone.
void bytes_decode(char **argv);
