// SPDX-License-Identifier: MIT
// Owners and modes, by descriptor only: whoever can change a directory could put a link in the
// place of what was looked at.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

// Gives a directory that mode and, as root, to root; everything on the way to it must pass the
// test. Returns 1 if it changed something, 0 if it was so already.
int fs_take_dir(const char *path, mode_t mode, struct error *err);

// What fs_tighten came across: it took rights of others away, or it is another's and was left.
typedef void fs_tightened(void *arg, const char *path, bool foreign, uid_t owner);

// Takes write permission of others, and set-id bits, from files and directories of the caller below
// path. Links are not followed, and what is another's is not entered.
int fs_tighten(const char *path, fs_tightened *report, void *arg, struct error *err);

// Changes the mode of what is no link.
int fs_chmod(const char *path, mode_t mode, struct error *err);
