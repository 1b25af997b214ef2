// SPDX-License-Identifier: MIT
#include "fs_repair.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "fs_trust.h"
#include "util.h"

// Of what fd, which may be open for nothing (O_PATH), is open on.
static int set_mode(int fd, mode_t mode)
{
	cleanup_free char *path = xasprintf("/proc/self/fd/%d", fd);

	return fchmodat(AT_FDCWD, path, mode, 0);
}

int fs_chmod(const char *path, mode_t mode, struct error *err)
{
	cleanup_fd int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot change mode of %s", path);
	if (S_ISLNK(st.st_mode))
		return error_set(err, ELOOP, "cannot change mode of %s", path);
	if (set_mode(fd, mode) < 0)
		return error_set(err, errno, "cannot change mode of %s", path);
	return 0;
}

int fs_take_dir(const char *path, mode_t mode, struct error *err)
{
	cleanup_fd int fd = fs_walk(path, err);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ENOTDIR, "cannot repair %s", path);
	if (geteuid() == 0 && st.st_uid != 0) {
		if (fchownat(fd, "", 0, 0, AT_EMPTY_PATH) < 0)
			return error_set(err, errno, "cannot change owner of %s", path);
		st.st_uid = 0;
		rc = 1;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 07777) == mode)
		return rc;
	return set_mode(fd, mode) < 0 ? error_set(err, errno, "cannot change mode of %s", path) : 1;
}

struct job {
	fs_tightened *report;
	void *arg;
};

static int tighten_entry(const struct job *job, int dir, const char *name, const char *path,
			 struct error *err);

static int tighten_dir(const struct job *job, int at, const char *path, struct error *err)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	cleanup_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir)
		return error_set(err, errno, "cannot read directory %s", path);
	while (rc == 0 && (e = readdir(dir))) {
		cleanup_free char *below = xasprintf("%s/%s", path, e->d_name);

		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			rc = tighten_entry(job, fd, e->d_name, below, err);
	}
	return rc;
}

// What vanishes meanwhile is nobody's concern.
static int tighten_entry(const struct job *job, int dir, const char *name, const char *path,
			 struct error *err)
{
	const mode_t loose = S_ISUID | S_ISGID | S_IWGRP | S_IWOTH;
	cleanup_fd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errno == ENOENT ? 0 : error_set(err, errno, "cannot repair %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	if (st.st_uid != geteuid()) {
		job->report(job->arg, path, true, st.st_uid);
		return 0;
	}
	if (st.st_mode & loose) {
		if (set_mode(fd, st.st_mode & 07777 & ~loose) < 0)
			return error_set(err, errno, "cannot change mode of %s", path);
		job->report(job->arg, path, false, st.st_uid);
	}
	return S_ISDIR(st.st_mode) ? tighten_dir(job, fd, path, err) : 0;
}

int fs_tighten(const char *path, fs_tightened *report, void *arg, struct error *err)
{
	cleanup_fd int fd = fs_walk(path, err);

	return fd < 0 ? -1 : tighten_dir(&(struct job){ report, arg }, fd, path, err);
}
