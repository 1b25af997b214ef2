// SPDX-License-Identifier: MIT
// A new file that gets its place whole or not at all, in the directory as it was when it was
// opened: who can change the directories above it cannot lead it elsewhere. Killed, it leaves
// nothing where the file system has files without a name.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

// Initialise with FS_NEW; clean up with cleanup_fs_new, which also takes back what isn't finished.
struct fs_new {
	int fd;	 // to be written to
	int dir; // where the file goes
	char *path;
	const char *name; // the last part of path
	char *temp;	  // its name until then; NULL: it has none yet
};
#define FS_NEW                                                                                     \
	{                                                                                          \
		.fd = -1, .dir = -1                                                                \
	}

int fs_new_open(struct fs_new *file, const char *path, struct error *err);

// Gives the file its mode and its name, and syncs both. exclusive: EEXIST if there is one.
int fs_new_finish(struct fs_new *file, mode_t mode, bool exclusive, struct error *err);

void fs_new_close(struct fs_new *file);
#define cleanup_fs_new __attribute__((cleanup(fs_new_close)))
