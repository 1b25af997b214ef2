// SPDX-License-Identifier: MIT
// Where things are: prefix, definitions, the user's own root.
#pragma once

#include <stdbool.h>

#ifndef FLAKES_DIR
#define FLAKES_DIR "/usr/share/flakes"
#endif
#define SITE_DIR "/etc/flakes"

// FLAKE_ROOT, the directory put before FLAKES_DIR and SITE_DIR for tests and packaging; "" if
// unset or if the program runs with more rights than its caller.
const char *paths_prefix(void);

// Is the user's own root (rank 1) to be skipped? So for root, under sudo, and when uid != euid.
bool paths_skip_user(void);

// ~/.flakes with the home of the passwd entry; NULL if skipped or there is no entry. Caller frees.
char *paths_user_root(void);

// Directory of the running program, from /proc/self/exe; NULL on failure. Caller frees.
char *paths_exe_dir(void);

// The program or module file of ours beside dir: dir/../lib/flake-pilot/NAME if installed, dir/NAME
// in the build tree. Caller frees.
char *paths_lib_file(const char *exe_dir, const char *name);

// The program of ours that users call: dir/NAME, or PREFIX/bin/NAME from PREFIX/lib/flake-pilot.
// Caller frees.
char *paths_bin_file(const char *exe_dir, const char *name);
