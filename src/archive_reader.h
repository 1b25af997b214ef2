// SPDX-License-Identifier: MIT
// What the files of the archive area share for reading with libarchive.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "archive.h"

// Makes a reader know the filters that need no program.
void archive_support_filters(struct archive *a);

// Opens an archive of any format; archive_read_free closes it.
struct archive *archive_open_reader(const char *path, struct error *err);

// 1: there is an entry, 0: the end, -1: an error or a limit.
int archive_next(struct archive *a, const char *path, const struct archive_limits *limits,
		 struct archive_result *count, struct archive_entry **entry, struct error *err);

// libarchive's own message as error; returns -1.
int archive_fail(struct archive *a, const char *path, struct error *err);

// ERR_LIMIT if the content has more bytes than it may.
int archive_check_size(const char *path, uint64_t size, const struct archive_limits *limits,
		       struct error *err);

const char *archive_type_of(struct archive_entry *entry); // as in struct archive_member

bool archive_has_dotdot(const char *path);

// The path without empty and "." parts and without its first parts; "" if nothing is left. Caller
// frees.
char *archive_plain(const char *path, unsigned int strip);

// Writes to a new file; sparse: blocks of zeros are left out. Returns 0, or -1 with errno.
int archive_put(int fd, const char *data, size_t len, uint64_t at, bool sparse);
