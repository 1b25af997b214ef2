// SPDX-License-Identifier: MIT
#include "tree_remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "util.h"

// Each level holds a descriptor, and has a part in the path of a message.
enum { LEVELS_MAX = 64 };

// A directory that is to be empty. What lies too deep in it is hung up at its top first.
struct top {
	int fd;
	unsigned int moved;
};

static int empty(struct top *top, int fd, int levels, struct error *err);

// What is there in its place goes, too: so it may be replaced.
static int hang_up(struct top *top, int dirfd, const char *name, struct error *err)
{
	char new[32];
	int rc;

	do {
		snprintf(new, sizeof(new), ".removed-%u", top->moved++);
		rc = renameat(dirfd, name, top->fd, new);
	} while (rc < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));
	return rc < 0 ? error_set(err, errno, "cannot remove %s", name) : 0;
}

static int remove_one(struct top *top, int dirfd, const char *name, int levels, struct error *err)
{
	cleanup_fd int fd = -1;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_set(err, errno, "cannot remove %s", name);
	if (levels == 0)
		return hang_up(top, dirfd, name, err);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot remove %s", name);
	if (empty(top, fd, levels - 1, err) < 0)
		return error_wrap(err, "%s", name);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return error_set(err, errno, "cannot remove %s", name);
	return 0;
}

static int empty(struct top *top, int fd, int levels, struct error *err)
{
	cleanup_fd int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	cleanup_dir DIR *dir = own < 0 ? NULL : fdopendir(own);
	const struct dirent *e;

	if (!dir)
		return error_set(err, errno, "cannot read directory");
	steal_fd(&own);
	while ((e = readdir(dir)))
		if (!streq(e->d_name, ".") && !streq(e->d_name, "..") &&
		    remove_one(top, fd, e->d_name, levels, err) < 0)
			return -1;
	return 0;
}

int tree_remove_at(int dirfd, const char *name, struct error *err)
{
	cleanup_fd int fd = -1;
	struct top top;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return error_set(err, errno, "cannot remove %s", name);
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot remove %s", name);
	top.fd = fd;
	do {
		top.moved = 0;
		if (lseek(fd, 0, SEEK_SET) < 0 || empty(&top, fd, LEVELS_MAX, err) < 0)
			return error_wrap(err, "%s", name);
	} while (top.moved);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
		return error_set(err, errno, "cannot remove %s", name);
	return 0;
}
