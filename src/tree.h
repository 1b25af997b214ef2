// SPDX-License-Identifier: MIT
// What is done below a foreign tree: unpacked archives and images, a kernel's modules, includes. No
// path in it reaches the kernel but through here. Paths start at the tree's root; links on the way
// are followed inside of it (tree_open.h), the last part of a path is never followed, but where it
// says so.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "error.h"
#include "tree_open.h"

// Opens a directory of this host as tree. Returns a descriptor for the functions below.
int tree_root(const char *dir, struct error *err);
// A directory in it as a tree of its own.
int tree_below(int root, const char *path, struct error *err);

// follow: also the last part, inside of the tree.
int tree_stat(int root, const char *path, bool follow, struct stat *st, struct error *err);

// Of exactly that mode, whatever the umask, by its name in the directory dir; -1 with errno.
int tree_make_dir(int dir, const char *name, mode_t mode);

int tree_mkdir(int root, const char *path, mode_t mode, struct error *err);
// Directories that are there, behind links in the tree too, stay as they are.
int tree_mkdir_p(int root, const char *path, mode_t mode, struct error *err);
int tree_symlink(int root, const char *target, const char *path, struct error *err);
int tree_rename(int root, const char *from, const char *to, struct error *err);
int tree_rmdir(int root, const char *path, struct error *err);
// A file, link or directory with all in it; missing is fine.
int tree_remove(int root, const char *path, struct error *err);
// Of a file or directory; a link is ERR_FILE.
int tree_chmod(int root, const char *path, mode_t mode, struct error *err);

// The target of a link, or NULL. Caller frees.
char *tree_readlink(int root, const char *path, struct error *err);

// A directory as descriptor to read from.
int tree_open_dir(int root, const char *path, struct error *err);

// A regular file of at most limit bytes, behind links in the tree too.
int tree_read(int root, const char *path, size_t limit, char **out, size_t *len, struct error *err);

// As tree_make_file does.
int tree_write(int root, const char *path, const char *data, size_t len, mode_t mode,
	       struct error *err);

// A regular file of one tree to another one, likewise.
int tree_copy(int from_root, const char *from, int to_root, const char *to, mode_t mode,
	      struct error *err);

// The regular file as descriptor to read from, behind links in the tree too.
int tree_open_file(int root, const char *path, struct error *err);
// A new file as descriptor to write to, in place of whatever but a directory is there.
int tree_make_file(int root, const char *path, mode_t mode, struct error *err);
