// SPDX-License-Identifier: MIT
// Opens what lies below a foreign tree: a directory whose names and links strangers chose. The
// kernel resolves the path inside of the tree (openat2), so that no link and no ".." leads out of
// it; where openat2 is missing, or a seccomp filter refuses it, the same is done part by part.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

// What becomes of links on the way; the last part follows O_NOFOLLOW.
enum tree_links {
	TREE_LINKS_INSIDE,  // followed as in a root directory: "/" and ".." stop at the tree's
	TREE_LINKS_REFUSED, // ELOOP
};

// Opens a path below the directory root; an empty one, "." and "/" are the root itself. Returns a
// descriptor (O_CLOEXEC), or -1 with errno.
int tree_open(int root, const char *path, enum tree_links links, int flags, mode_t mode);

// The same without openat2; tests compare the two.
int tree_open_by_parts(int root, const char *path, enum tree_links links, int flags, mode_t mode);

// The directory that holds the last part of a path, and that part's name, which is no "." or "..".
struct tree_place {
	int dir; // O_PATH
	char *name;
};

// Returns 0, or -1 with errno. The place is to be closed.
int tree_find(int root, const char *path, enum tree_links links, struct tree_place *place);
void tree_place_close(struct tree_place *place);

#define cleanup_tree_place __attribute__((cleanup(tree_place_close)))
