// SPDX-License-Identifier: MIT
#include "fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "fs_new.h"
#include "tree_remove.h"
#include "util.h"

// What strangers may have put there, a FIFO or a terminal, must not make us wait.
static int open_file(const char *path, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, EISDIR, "cannot read %s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_FILE, "cannot read %s: it is no regular file", path);
	return steal_fd(&fd);
}

int fs_read(const char *path, size_t limit, char **out, size_t *len, struct error *err)
{
	cleanup_fd int fd = open_file(path, err);

	if (fd < 0)
		return -1;
	return read_fd_all(fd, limit, out, len, err) < 0 ? error_wrap(err, "%s", path) : 0;
}

int fs_sync(const char *path, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fsync(fd) < 0)
		return error_set(err, errno, "cannot sync %s", path);
	return 0;
}

int fs_write(const char *path, const char *data, size_t len, mode_t mode, bool exclusive,
	     struct error *err)
{
	cleanup_fs_new struct fs_new file = FS_NEW;

	if (fs_new_open(&file, path, err) < 0)
		return -1;
	if (write_fd_all(file.fd, data, len) < 0)
		return error_set(err, errno, "cannot write %s", path);
	return fs_new_finish(&file, mode, exclusive, err);
}

int fs_copy(const char *from, const char *to, mode_t mode, struct error *err)
{
	cleanup_fs_new struct fs_new file = FS_NEW;
	cleanup_fd int in = open_file(from, err);

	if (in < 0 || fs_new_open(&file, to, err) < 0)
		return -1;
	if (copy_fd_all(in, file.fd) < 0)
		return error_set(err, errno, "cannot copy %s to %s", from, to);
	return fs_new_finish(&file, mode, false, err);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int fs_lock(const char *path, bool shared, double timeout, struct error *err)
{
	static const struct timespec pause = { 0, 10 * 1000 * 1000 };
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	double deadline = now() + timeout;
	int op = shared ? LOCK_SH : LOCK_EX;

	if (fd < 0)
		return error_set(err, errno, "cannot lock %s", path);
	// flock has no time-out: with one, ask again every 10 ms.
	while (flock(fd, timeout < 0 ? op : op | LOCK_NB) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return error_set(err, errno, "cannot lock %s", path);
		if (now() >= deadline)
			return error_set(err, ERR_TIMEOUT, "%s is locked by another process", path);
		nanosleep(&pause, NULL);
	}
	return steal_fd(&fd);
}

char *fs_temp_dir(const char *dir, const char *prefix, struct error *err)
{
	const char *base = dir ? dir : secure_getenv("TMPDIR");
	cleanup_free char *path = NULL;

	if (!base || !*base)
		base = "/tmp";
	path = xasprintf("%s/%s.XXXXXX", base, prefix ? prefix : "flake");
	if (!mkdtemp(path)) {
		error_set(err, errno, "cannot make a directory in %s", base);
		return NULL;
	}
	return steal_ptr(&path);
}

// A chmod afterwards could hit what somebody put in its place: our programs have one thread, so
// that nothing else is made meanwhile.
static int make_dir(const char *path, mode_t mode)
{
	mode_t mask = umask(0);
	int rc = mkdir(path, mode);
	int code = errno;

	umask(mask);
	errno = code;
	return rc;
}

int fs_mkdir(const char *path, mode_t mode, struct error *err)
{
	if (make_dir(path, mode) < 0)
		return error_set(err, errno, "cannot make directory %s", path);
	return 0;
}

int fs_mkdir_p(const char *path, mode_t mode, struct error *err)
{
	cleanup_free char *part = xstrdup(path);
	struct stat st;

	for (char *p = part + (*part == '/');; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (*part && make_dir(part, mode) < 0 && errno != EEXIST)
			return error_set(err, errno, "cannot make directory %s", part);
		*p = c;
		if (!c)
			break;
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "cannot make directory %s", path);
	return 0;
}

int fs_remove_tree(const char *path, struct error *err)
{
	return tree_remove_at(AT_FDCWD, path, err);
}

int fs_open_private(int at, const char *name, bool root_too, struct error *err)
{
	cleanup_fd int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot open %s", name);
	if ((st.st_uid != geteuid() && !(root_too && st.st_uid == 0)) || (st.st_mode & 022))
		return error_set(err, EPERM, "refusing %s: others can change it", name);
	return steal_fd(&fd);
}
