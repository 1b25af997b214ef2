// SPDX-License-Identifier: MIT
// Temporary directories that are locked as long as their process lives: what a killed one left is
// told from what is in use.
#pragma once

#include <stdbool.h>

#include "error.h"
#include "strv.h"

// Makes PREFIX.XXXXXX, mode 0700, in dir (NULL: $TMPDIR or /tmp) and locks it. Returns a
// descriptor, whose close unlocks; the path in *path is the caller's to free.
int fs_temp_open(const char *dir, const char *prefix, char **path, struct error *err);

// Paths of temporary directories of that prefix in dir that are the caller's and that nobody holds.
// remove: they go. A directory that cannot be read has none.
void fs_temp_left(const char *dir, const char *prefix, bool remove, struct strv *found);
