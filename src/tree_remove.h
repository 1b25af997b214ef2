// SPDX-License-Identifier: MIT
// Removes trees of any depth without following a link.
#pragma once

#include "error.h"

// A file, link or directory with all in it, by its name in the directory dirfd. Missing is fine.
int tree_remove_at(int dirfd, const char *name, struct error *err);
