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

bool archive_has_dotdot(const char *path);
