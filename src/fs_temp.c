// SPDX-License-Identifier: MIT
#include "fs_temp.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fs.h"
#include "util.h"

enum { ATTEMPTS = 20, RANDOM = 6 };

// Opens a directory of the caller's by a name in dir, and locks it. Returns a descriptor, or -1 if
// it is none, in use (unless wait), or gone by the time it is locked.
static int hold(int dir, const char *name, bool wait)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return -1;
	// Where there are no locks what is made counts as held, and what is found as in use.
	if (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0 && !wait)
		return -1;
	return fstat(fd, &st) < 0 || st.st_nlink == 0 ? -1 : steal_fd(&fd);
}

int fs_temp_open(const char *dir, const char *prefix, char **path, struct error *err)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		cleanup_free char *made = fs_temp_dir(dir, prefix, err);
		int fd = made ? hold(AT_FDCWD, made, true) : -1;

		if (!made)
			return -1;
		if (fd >= 0) {
			*path = steal_ptr(&made);
			return fd;
		}
		// Somebody who cleans up took it between the two calls.
	}
	return error_set(err, EAGAIN, "cannot make a directory in %s", dir ? dir : "/tmp");
}

static bool is_name(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	if (strncmp(name, prefix, n) != 0 || name[n] != '.' || strlen(name) != n + 1 + RANDOM)
		return false;
	for (name += n + 1; *name; name++)
		if (!isalnum((unsigned char)*name))
			return false;
	return true;
}

void fs_temp_left(const char *dir, const char *prefix, bool remove, struct strv *found)
{
	cleanup_dir DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		cleanup_fd int fd =
			is_name(e->d_name, prefix) ? hold(dirfd(d), e->d_name, false) : -1;
		cleanup_free char *path = xasprintf("%s/%s", dir, e->d_name);

		if (fd >= 0 && (!remove || fs_remove_tree(path, NULL) == 0))
			strv_take(found, steal_ptr(&path));
	}
}
