// SPDX-License-Identifier: MIT
// UTF-8 (RFC 3629, section 4).
#pragma once

#include <stddef.h>

// Length in bytes of the well-formed sequence at s, which is NUL-terminated; 0 if there is none.
size_t utf8_length(const char *s);
