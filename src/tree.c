// SPDX-License-Identifier: MIT
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "tree_remove.h"
#include "util.h"

int tree_root(const char *dir, struct error *err)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? error_set(err, errno, "cannot open directory %s", dir) : fd;
}

int tree_below(int root, const char *path, struct error *err)
{
	int fd = tree_open(root, path, TREE_LINKS_INSIDE, O_PATH | O_DIRECTORY, 0);

	return fd < 0 ? error_set(err, errno, "cannot open directory %s", path) : fd;
}

static int find(int root, const char *path, const char *what, struct tree_place *place,
		struct error *err)
{
	if (tree_find(root, path, TREE_LINKS_INSIDE, place) < 0)
		return error_set(err, errno, "cannot %s %s", what, path);
	return 0;
}

int tree_stat(int root, const char *path, bool follow, struct stat *st, struct error *err)
{
	int flags = O_PATH | (follow ? 0 : O_NOFOLLOW);
	cleanup_fd int fd = tree_open(root, path, TREE_LINKS_INSIDE, flags, 0);

	if (fd < 0 || fstat(fd, st) < 0)
		return error_set(err, errno, "cannot stat %s", path);
	return 0;
}

// A chmod afterwards could hit what somebody put in its place: our programs have one thread, so
// that nothing else is made meanwhile.
int tree_make_dir(int dir, const char *name, mode_t mode)
{
	mode_t mask = umask(0);
	int rc = mkdirat(dir, name, mode);
	int code = errno;

	umask(mask);
	errno = code;
	return rc;
}

int tree_mkdir(int root, const char *path, mode_t mode, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };

	if (find(root, path, "make directory", &place, err) < 0)
		return -1;
	if (tree_make_dir(place.dir, place.name, mode) < 0)
		return error_set(err, errno, "cannot make directory %s", path);
	return 0;
}

static bool is_dir(int root, const char *path)
{
	cleanup_fd int fd = tree_open(root, path, TREE_LINKS_INSIDE, O_PATH | O_DIRECTORY, 0);

	return fd >= 0;
}

int tree_mkdir_p(int root, const char *path, mode_t mode, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };
	cleanup_free char *above = NULL;
	char *slash;

	if (is_dir(root, path))
		return 0;
	if (errno != ENOENT)
		return error_set(err, errno, "cannot make directory %s", path);
	above = xstrdup(path);
	slash = strrchr(above, '/');
	if (slash) {
		*slash = '\0';
		if (tree_mkdir_p(root, above, mode, err) < 0)
			return -1;
	}
	// EEXIST: the path ends in a slash, or is a link that leads nowhere, whose target is not
	// made.
	if (!is_dir(root, path) && (tree_find(root, path, TREE_LINKS_INSIDE, &place) < 0 ||
				    tree_make_dir(place.dir, place.name, mode) < 0))
		return error_set(err, errno, "cannot make directory %s", path);
	return 0;
}

int tree_symlink(int root, const char *target, const char *path, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };

	if (find(root, path, "make link", &place, err) < 0)
		return -1;
	if (symlinkat(target, place.dir, place.name) < 0)
		return error_set(err, errno, "cannot make link %s", path);
	return 0;
}

int tree_rename(int root, const char *from, const char *to, struct error *err)
{
	cleanup_tree_place struct tree_place old = { .dir = -1 }, new = { .dir = -1 };

	if (find(root, from, "rename", &old, err) < 0 || find(root, to, "rename to", &new, err) < 0)
		return -1;
	if (renameat(old.dir, old.name, new.dir, new.name) < 0)
		return error_set(err, errno, "cannot rename %s to %s", from, to);
	return 0;
}

int tree_rmdir(int root, const char *path, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };

	if (find(root, path, "remove directory", &place, err) < 0)
		return -1;
	if (unlinkat(place.dir, place.name, AT_REMOVEDIR) < 0)
		return error_set(err, errno, "cannot remove directory %s", path);
	return 0;
}

int tree_remove(int root, const char *path, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };

	if (tree_find(root, path, TREE_LINKS_INSIDE, &place) < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "cannot remove %s", path);
	return tree_remove_at(place.dir, place.name, err);
}

int tree_chmod(int root, const char *path, mode_t mode, struct error *err)
{
	cleanup_fd int fd = tree_open(root, path, TREE_LINKS_INSIDE, O_PATH | O_NOFOLLOW, 0);
	char self[64];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot change mode of %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return error_set(err, ERR_FILE,
				 "cannot change mode of %s: it is no file or directory", path);
	// fchmod wants more than O_PATH, which a mode without r would not give.
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (chmod(self, mode) < 0)
		return error_set(err, errno, "cannot change mode of %s", path);
	return 0;
}

char *tree_readlink(int root, const char *path, struct error *err)
{
	cleanup_fd int fd = tree_open(root, path, TREE_LINKS_INSIDE, O_PATH | O_NOFOLLOW, 0);
	char target[PATH_MAX];
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));

	if (n < 0) {
		error_set(err, errno, "cannot read link %s", path);
		return NULL;
	}
	return xstrndup(target, (size_t)n);
}

int tree_open_dir(int root, const char *path, struct error *err)
{
	int fd = tree_open(root, path, TREE_LINKS_INSIDE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return fd < 0 ? error_set(err, errno, "cannot read directory %s", path) : fd;
}

int tree_open_file(int root, const char *path, struct error *err)
{
	// A FIFO must not make us wait.
	cleanup_fd int fd =
		tree_open(root, path, TREE_LINKS_INSIDE, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_FILE, "cannot read %s: it is no regular file", path);
	return steal_fd(&fd);
}

int tree_make_file(int root, const char *path, mode_t mode, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };
	cleanup_fd int fd = -1;

	if (tree_find(root, path, TREE_LINKS_INSIDE, &place) < 0 ||
	    (unlinkat(place.dir, place.name, 0) < 0 && errno != ENOENT))
		return error_set(err, errno, "cannot write %s", path);
	fd = openat(place.dir, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return error_set(err, errno, "cannot write %s", path);
	return steal_fd(&fd);
}

int tree_read(int root, const char *path, size_t limit, char **out, size_t *len, struct error *err)
{
	cleanup_fd int fd = tree_open_file(root, path, err);

	if (fd < 0)
		return -1;
	return read_fd_all(fd, limit, out, len, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

int tree_write(int root, const char *path, const char *data, size_t len, mode_t mode,
	       struct error *err)
{
	cleanup_fd int fd = tree_make_file(root, path, mode, err);

	if (fd < 0)
		return -1;
	if (write_fd_all(fd, data, len) < 0)
		return error_set(err, errno, "cannot write %s", path);
	return 0;
}

int tree_copy(int from_root, const char *from, int to_root, const char *to, mode_t mode,
	      struct error *err)
{
	cleanup_fd int in = tree_open_file(from_root, from, err), out = -1;

	if (in < 0)
		return -1;
	out = tree_make_file(to_root, to, mode, err);
	if (out < 0)
		return -1;
	if (copy_fd_all(in, out) < 0)
		return error_set(err, errno, "cannot copy %s to %s", from, to);
	return 0;
}
