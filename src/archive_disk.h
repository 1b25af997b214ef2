// SPDX-License-Identifier: MIT
// Writes the entries of an archive below a directory: into a foreign tree (tree.h), so that
// whatever the archive says, no link in it is written through.
#pragma once

#include <archive_entry.h>

#include "archive.h"

struct archive_disk {
	int root;
	const struct archive_extract *how;
	struct archive_entry **dirs; // whose modes and times are set at the end
	size_t n_dirs;
};

int archive_disk_open(struct archive_disk *disk, const char *dir, const struct archive_extract *how,
		      struct error *err);
void archive_disk_close(struct archive_disk *disk);

// Makes what the entry says at the path, which is plain (archive_plain); hard: of the file that it
// is another name of, or NULL. What is there already goes, but a directory that has something in
// it. *fd: where its content goes, -1 if it has none.
int archive_disk_make(struct archive_disk *disk, const char *path, const char *hard,
		      struct archive_entry *entry, int *fd, struct error *err);

// The content of a file is there, so many bytes: size, owner, mode and time are set.
int archive_disk_settle(const struct archive_disk *disk, int fd, struct archive_entry *entry,
			uint64_t size, struct error *err);

// All entries are there: directories get their modes and times.
int archive_disk_finish(struct archive_disk *disk, struct error *err);

#define cleanup_disk __attribute__((cleanup(archive_disk_close)))
