// SPDX-License-Identifier: MIT
// Sizes as people write them.
#pragma once

#include <stdint.h>

// Bytes of a text such as "20GiB", "20g", "512M", "1.5 GB", "4096": KiB, MiB, GiB, TiB and the bare
// letters count in 1024s, kB, MB, GB, TB in 1000s (IEC 80000-13). Returns 0, or -1 if it is no size
// or more than 2^62.
int size_parse(const char *text, uint64_t *bytes);
