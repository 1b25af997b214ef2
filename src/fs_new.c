// SPDX-License-Identifier: MIT
#include "fs_new.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "util.h"

enum { ATTEMPTS = 100 };

// What another process would have to guess is what makes O_EXCL fail: then it is another name's
// turn.
static char *temp_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	char end[7] = { 0 };
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(end) - 1; i++, random /= sizeof(letters) - 1)
		end[i] = letters[random % (sizeof(letters) - 1)];
	return xasprintf("%s.tmp.%s", name, end);
}

static int open_directory(const char *path)
{
	const char *base = path_base(path);
	cleanup_free char *dir = xstrndup(path, (size_t)(base - path));

	return open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// By the name that /proc has for it, a file without one gets its first.
static bool can_be_linked(void)
{
	return access("/proc/self/fd", X_OK) == 0;
}

static int open_named(struct fs_new *file)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		cleanup_free char *temp = temp_name(file->name);

		if (!temp)
			return -1;
		file->fd = openat(file->dir, temp,
				  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (file->fd >= 0)
			file->temp = steal_ptr(&temp);
		if (file->fd >= 0 || errno != EEXIST)
			break;
	}
	return file->fd;
}

int fs_new_open(struct fs_new *file, const char *path, struct error *err)
{
	file->dir = open_directory(path);
	file->path = xstrdup(path);
	file->name = path_base(file->path);
	if (file->dir < 0 || !*file->name)
		return error_set(err, file->dir < 0 ? errno : EISDIR, "cannot write %s", path);
	if (can_be_linked())
		file->fd = openat(file->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (file->fd < 0 && open_named(file) < 0)
		return error_set(err, errno, "cannot write %s", path);
	return 0;
}

static int link_as(const struct fs_new *file, const char *name)
{
	cleanup_free char *self = xasprintf("/proc/self/fd/%d", file->fd);

	if (file->temp)
		return linkat(file->dir, file->temp, file->dir, name, 0);
	return linkat(AT_FDCWD, self, file->dir, name, AT_SYMLINK_FOLLOW);
}

static int give_temp_name(struct fs_new *file)
{
	for (int i = 0; !file->temp && i < ATTEMPTS; i++) {
		cleanup_free char *temp = temp_name(file->name);
		int rc = temp ? link_as(file, temp) : -1;

		if (rc < 0 && (!temp || errno != EEXIST))
			return -1;
		if (rc == 0)
			file->temp = steal_ptr(&temp);
	}
	return file->temp ? 0 : -1;
}

static int give_name(struct fs_new *file, bool exclusive)
{
	if (exclusive)
		return link_as(file, file->name);
	if (give_temp_name(file) < 0 || renameat(file->dir, file->temp, file->dir, file->name) < 0)
		return -1;
	free(steal_ptr(&file->temp));
	return 0;
}

int fs_new_finish(struct fs_new *file, mode_t mode, bool exclusive, struct error *err)
{
	if (fchmod(file->fd, mode) < 0 || fsync(file->fd) < 0 || give_name(file, exclusive) < 0)
		return error_set(err, errno, "cannot write %s", file->path);
	return fsync(file->dir) < 0
		       ? error_set(err, errno, "cannot sync the directory of %s", file->path)
		       : 0;
}

void fs_new_close(struct fs_new *file)
{
	if (file->temp)
		unlinkat(file->dir, file->temp, 0);
	if (file->fd >= 0)
		close(file->fd);
	if (file->dir >= 0)
		close(file->dir);
	free(file->path);
	free(file->temp);
}
