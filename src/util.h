// SPDX-License-Identifier: MIT
// Allocation that cannot fail, ownership helpers and small string predicates.
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *s); // NULL stays NULL
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fdp(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_filep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define cleanup_free __attribute__((cleanup(cleanup_freep)))
#define cleanup_fd __attribute__((cleanup(cleanup_fdp)))
#define cleanup_file __attribute__((cleanup(cleanup_filep)))
#define cleanup_dir __attribute__((cleanup(cleanup_dirp)))

#define steal_ptr(pp)                                                                              \
	__extension__({                                                                            \
		__auto_type stolen = *(pp);                                                        \
		*(pp) = NULL;                                                                      \
		stolen;                                                                            \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix);

// The part after the last slash; the whole string if there is none.
const char *path_base(const char *path);

// Opens /dev/null (flags: O_RDWR, …) for those of standard input, output and error that are closed:
// else the next file that is opened becomes one of them.
void open_standard_fds(int flags);

// Reads fd to its end into a NUL-terminated buffer; more than limit bytes is ERR_LIMIT. len may be
// NULL.
int read_fd_all(int fd, size_t limit, char **out, size_t *len, struct error *err);

// Writes everything; returns 0, or -1 with errno set.
int write_fd_all(int fd, const char *data, size_t len);

// Copies all that is left to read; likewise.
int copy_fd_all(int from, int to);

// FNV-1a, 64 bit (Fowler, Noll, Vo): tells texts apart; no defence against who wants two to
// collide.
uint64_t text_hash(const char *text);
