// SPDX-License-Identifier: MIT
// Files of the host for an image. An image names them, so nothing may get out this way that a
// stranger could not read: root's rights do not count, and links are judged where they lead.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "archive.h"
#include "archive_locale.h"
#include "util.h"

enum { LINKS_MAX = 40, BLOCK = 64 * 1024 };

struct found {
	int fd;		     // of a file
	char link[PATH_MAX]; // of a symlink
	struct stat st;
};

// What the kernel makes up says more to root than to others, whatever the mode.
static bool is_made_up(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC ||
	       fs.f_type == DEBUGFS_MAGIC || fs.f_type == TRACEFS_MAGIC ||
	       fs.f_type == SECURITYFS_MAGIC;
}

static enum archive_public judge_file(int dir, const char *name, struct found *found)
{
	cleanup_fd int fd =
		openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	// What was opened counts, not what was there before.
	if (fd < 0 || fstat(fd, &found->st) < 0 || !S_ISREG(found->st.st_mode) ||
	    !(found->st.st_mode & S_IROTH) || is_made_up(fd))
		return PUBLIC_REFUSED;
	found->fd = steal_fd(&fd);
	return PUBLIC_FILE;
}

// The last part of a path, seen as entry of the open directory.
static enum archive_public judge(int dir, const char *name, int fd, struct found *found)
{
	struct stat there;
	ssize_t n;

	if (S_ISDIR(found->st.st_mode))
		return PUBLIC_DIRECTORY;
	if (S_ISREG(found->st.st_mode))
		return judge_file(dir, name, found);
	if (!S_ISLNK(found->st.st_mode) || is_made_up(fd))
		return PUBLIC_REFUSED;
	if (fstatat(dir, name, &there, 0) == 0 && S_ISDIR(there.st_mode))
		return PUBLIC_DIRECTORY;
	n = readlinkat(fd, "", found->link, sizeof(found->link) - 1);
	if (n <= 0)
		return PUBLIC_REFUSED;
	found->link[n] = '\0';
	return PUBLIC_SYMLINK;
}

// Cuts the first part off the path; the rest may begin with slashes.
static char *take_part(char **rest)
{
	char *part = *rest + strspn(*rest, "/");
	size_t len = strcspn(part, "/");

	*rest = part + len;
	if (**rest)
		*(*rest)++ = '\0';
	return part;
}

// A link on the way: goes on with its target in front of the rest.
static bool follow(int fd, int *dir, char **text, char **rest)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
	char *path;

	if (n <= 0)
		return false;
	target[n] = '\0';
	path = xasprintf("%s/%s", target, *rest);
	free(*text);
	*text = *rest = path;
	if (target[0] == '/') {
		close(*dir);
		*dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return *dir >= 0;
}

static enum archive_public find(const char *path, struct found *found)
{
	cleanup_fd int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *text = xstrdup(path);
	char *rest = text;

	for (int links = 0; dir >= 0 && path[0] == '/';) {
		const char *part = take_part(&rest);
		bool last = rest[strspn(rest, "/")] == '\0';
		cleanup_fd int fd = -1;

		if (!*part)
			return PUBLIC_DIRECTORY;
		fd = openat(dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &found->st) < 0)
			return errno == ENOENT || errno == ENOTDIR ? PUBLIC_MISSING
								   : PUBLIC_REFUSED;
		if (last)
			return judge(dir, part, fd, found);
		if (S_ISLNK(found->st.st_mode)) {
			if (++links > LINKS_MAX || !follow(fd, &dir, &text, &rest))
				return PUBLIC_REFUSED;
			continue;
		}
		if (!S_ISDIR(found->st.st_mode))
			return PUBLIC_MISSING;
		if (!(found->st.st_mode & S_IXOTH))
			return PUBLIC_REFUSED;
		close(dir);
		dir = steal_fd(&fd);
	}
	return PUBLIC_REFUSED;
}

// At most the size that the header tells.
static int write_content(struct archive *a, int fd, la_int64_t left, const char *path,
			 struct error *err)
{
	char buf[BLOCK];
	ssize_t n;

	while (left > 0 && (n = read(fd, buf, left < BLOCK ? (size_t)left : BLOCK)) != 0) {
		if (n < 0)
			return error_set(err, errno, "cannot read %s", path);
		if (archive_write_data(a, buf, (size_t)n) < 0)
			return error_set(err, ERR_ARCHIVE, "%s: %s", path, archive_error_string(a));
		left -= n;
	}
	return 0;
}

static int pack(struct archive *a, const char *path, const struct found *found, struct error *err)
{
	struct archive_entry *entry = archive_entry_new();
	bool is_file = S_ISREG(found->st.st_mode);
	int rc;

	archive_entry_copy_pathname(entry, path + strspn(path, "/"));
	archive_entry_set_filetype(entry, found->st.st_mode & S_IFMT);
	archive_entry_set_perm(entry, found->st.st_mode & 0777);
	archive_entry_set_uid(entry, 0);
	archive_entry_set_gid(entry, 0);
	archive_entry_set_mtime(entry, found->st.st_mtime, found->st.st_mtim.tv_nsec);
	archive_entry_set_size(entry, is_file ? found->st.st_size : 0);
	if (!is_file)
		archive_entry_copy_symlink(entry, found->link);
	rc = archive_write_header(a, entry);
	archive_entry_free(entry);
	if (rc < ARCHIVE_WARN)
		return error_set(err, ERR_ARCHIVE, "%s: %s", path, archive_error_string(a));
	return is_file ? write_content(a, found->fd, found->st.st_size, path, err) : 0;
}

static void free_writer(struct archive **a)
{
	archive_write_free(*a);
}

int archive_pack_public(const char *to, const struct strv *paths, enum archive_public *kinds,
			struct error *err)
{
	in_utf8_locale();
	struct archive *a __attribute__((cleanup(free_writer))) = archive_write_new();
	cleanup_fd int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (out < 0)
		return error_set(err, errno, "cannot write %s", to);
	if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
	    archive_write_open_fd(a, out) != ARCHIVE_OK)
		return error_set(err, ERR_ARCHIVE, "%s: %s", to, archive_error_string(a));
	for (size_t i = 0; i < paths->n; i++) {
		struct found found = { .fd = -1 };
		int rc = 0;

		kinds[i] = find(paths->v[i], &found);
		if (kinds[i] == PUBLIC_FILE || kinds[i] == PUBLIC_SYMLINK)
			rc = pack(a, paths->v[i], &found, err);
		if (found.fd >= 0)
			close(found.fd);
		if (rc < 0)
			return -1;
	}
	if (archive_write_close(a) != ARCHIVE_OK)
		return error_set(err, ERR_ARCHIVE, "%s: %s", to, archive_error_string(a));
	return 0;
}
