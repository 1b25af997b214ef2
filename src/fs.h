// SPDX-License-Identifier: MIT
// Files: atomic writes, locks, temporary directories, trees that are removed without following
// links.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "error.h"
#include "strv.h"

// Reads a regular file of at most limit bytes.
int fs_read(const char *path, size_t limit, char **out, size_t *len, struct error *err);

// Writes path as a whole or not at all: temp file beside it, fsync, rename, fsync of the directory.
// exclusive: EEXIST if the path is there already.
int fs_write(const char *path, const char *data, size_t len, mode_t mode, bool exclusive,
	     struct error *err);

// Opens (creates) path and takes a flock. timeout in seconds, negative: wait for ever; ERR_TIMEOUT.
// Returns the descriptor, whose close unlocks.
int fs_lock(const char *path, bool shared, double timeout, struct error *err);

// A new directory PREFIX.XXXXXX, mode 0700, in dir (NULL: $TMPDIR or /tmp). Caller frees.
char *fs_temp_dir(const char *dir, const char *prefix, struct error *err);

// Makes a directory of exactly that mode, whatever the umask.
int fs_mkdir(const char *path, mode_t mode, struct error *err);

// mkdir -p: existing directories are fine and stay as they are.
int fs_mkdir_p(const char *path, mode_t mode, struct error *err);

// Removes a file, link or whole tree; links are removed, never followed. Missing is fine.
int fs_remove_tree(const char *path, struct error *err);

// Copies a regular file, atomically.
int fs_copy(const char *from, const char *to, mode_t mode, struct error *err);

// fsync of a file or directory.
int fs_sync(const char *path, struct error *err);

// Opens a directory, never through a link, that only its owner can change: the caller or, with
// root_too, root. EPERM: it's another's, or others can write to it. What counts is what was opened.
int fs_open_private(int at, const char *name, bool root_too, struct error *err);
