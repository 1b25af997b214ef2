// SPDX-License-Identifier: MIT
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "archive.h"
#include "archive_locale.h"
#include "fs_new.h"
#include "strv.h"
#include "util.h"

static void free_writer(struct archive **a)
{
	archive_write_free(*a);
}

static void free_links(struct archive_entry_linkresolver **links)
{
	archive_entry_linkresolver_free(*links);
}

static int fail(struct archive *a, const char *path, struct error *err)
{
	return error_set(err, ERR_ARCHIVE, "%s: %s", path, archive_error_string(a));
}

static int collect(int dirfd, const char *prefix, struct strv *paths, struct error *err)
{
	cleanup_dir DIR *dir = fdopendir(dirfd);
	const struct dirent *e;

	if (!dir) {
		close(dirfd);
		return error_set(err, errno, "cannot read directory %s", prefix);
	}
	while ((e = readdir(dir))) {
		cleanup_free char *path = NULL;
		int fd;

		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		path = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", e->d_name);
		strv_push(paths, path);
		fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && collect(fd, path, paths, err) < 0)
			return -1;
		if (fd < 0 && errno != ENOTDIR && errno != ELOOP)
			return error_set(err, errno, "cannot read directory %s", path);
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// Sets format and compression by libarchive's own names.
static int choose(struct archive *a, const char *path, const struct archive_create *how,
		  struct error *err)
{
	const char *format = how->format ? how->format : "tar";
	const char *filter = how->compression ? how->compression : "none";

	if (streq(format, "tar"))
		format = "pax";
	if (archive_write_set_format_by_name(a, format) != ARCHIVE_OK)
		return fail(a, path, err);
	if (!streq(filter, "none") && archive_write_add_filter_by_name(a, filter) != ARCHIVE_OK)
		return fail(a, path, err);
	// gzip stores the time of packing unless told not to.
	if (streq(filter, "gzip") &&
	    archive_write_set_filter_option(a, "gzip", "timestamp", NULL) != ARCHIVE_OK)
		return fail(a, path, err);
	return 0;
}

struct packer {
	struct archive *a;
	struct archive_entry_linkresolver *links;
	const char *path;
	int root;
	const struct archive_create *how;
	struct archive_result *count;
};

static int write_content(const struct packer *p, int fd, const char *name, struct error *err)
{
	char buf[64 * 1024];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (archive_write_data(p->a, buf, (size_t)n) < 0)
			return fail(p->a, p->path, err);
		p->count->size += (uint64_t)n;
		if (p->how->progress &&
		    !p->how->progress(p->how->progress_arg, p->count->entries, p->count->size))
			return error_set(err, ERR_ARCHIVE, "%s: aborted", p->path);
	}
	return n < 0 ? error_set(err, errno, "cannot read %s", name) : 0;
}

// Opens the directory that holds `path`, part by part: whoever may write to the tree can put a link
// in the place of a directory after it was listed.
static int open_parent(int root, const char *path, struct error *err)
{
	cleanup_fd int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	const char *name = path, *slash;

	for (; fd >= 0 && (slash = strchr(name, '/')); name = slash + 1) {
		cleanup_free char *part = xstrndup(name, (size_t)(slash - name));
		int next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int code = errno;

		close(fd);
		fd = next;
		errno = code;
	}
	return fd < 0 ? error_set(err, errno, "cannot read %s", path) : steal_fd(&fd);
}

static void set_owner(const struct packer *p, struct archive_entry *entry, const struct stat *st)
{
	archive_entry_set_uid(entry, p->how->owner ? st->st_uid : 0);
	archive_entry_set_gid(entry, p->how->owner ? st->st_gid : 0);
	if (!p->how->links)
		return;
	archive_entry_set_dev(entry, st->st_dev);
	archive_entry_set_ino64(entry, (la_int64_t)st->st_ino);
	archive_entry_set_nlink(entry, (unsigned int)st->st_nlink);
}

static int describe(const struct packer *p, int parent, const char *name,
		    struct archive_entry *entry, struct stat *st, struct error *err)
{
	const char *last = path_base(name);
	char target[4096];
	ssize_t n;

	if (fstatat(parent, last, st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set(err, errno, "cannot read %s", name);
	archive_entry_copy_pathname(entry, name);
	archive_entry_set_filetype(entry, st->st_mode & S_IFMT);
	archive_entry_set_perm(entry, st->st_mode & 07777);
	set_owner(p, entry, st);
	archive_entry_set_mtime(entry, p->how->fixed_mtime ? p->how->mtime : st->st_mtime, 0);
	archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(parent, last, target, sizeof(target) - 1);
		if (n < 0)
			return error_set(err, errno, "cannot read link %s", name);
		target[n] = '\0';
		archive_entry_copy_symlink(entry, target);
	}
	return 0;
}

// Opens a file that describe() found, if it is the same one still.
static int open_content(int parent, const char *name, const struct stat *found, struct error *err)
{
	cleanup_fd int fd = openat(parent, path_base(name),
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s", name);
	if (st.st_dev != found->st_dev || st.st_ino != found->st_ino)
		return error_set(err, EAGAIN, "%s was changed while it was read", name);
	return steal_fd(&fd);
}

static int write_entry(const struct packer *p, int parent, const char *name,
		       struct archive_entry *entry, const struct stat *st, struct error *err)
{
	cleanup_fd int fd = -1;

	if (S_ISREG(st->st_mode) && !archive_entry_hardlink(entry)) {
		fd = open_content(parent, name, st, err);
		if (fd < 0)
			return -1;
	}
	if (archive_write_header(p->a, entry) < ARCHIVE_WARN)
		return fail(p->a, p->path, err);
	return fd >= 0 ? write_content(p, fd, name, err) : 0;
}

static bool is_plain(mode_t mode)
{
	return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

static int pack_one(const struct packer *p, const char *name, struct error *err)
{
	cleanup_fd int parent = open_parent(p->root, name, err);
	struct archive_entry *entry = archive_entry_new(), *none = NULL;
	struct stat st;
	int rc = parent < 0 ? -1 : describe(p, parent, name, entry, &st, err);

	if (rc == 0 && (is_plain(st.st_mode) || !p->how->links)) {
		p->count->entries++;
		// The later names of a file become links to its first.
		if (p->how->links)
			archive_entry_linkify(p->links, &entry, &none);
		rc = write_entry(p, parent, name, entry, &st, err);
	}
	archive_entry_free(entry);
	return rc;
}

static int pack_all(struct packer *p, const char *dir, struct error *err)
{
	cleanup_strv struct strv paths = { 0 };
	int fd = openat(p->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_set(err, errno, "cannot read directory %s", dir);
	if (collect(fd, "", &paths, err) < 0)
		return -1;
	if (paths.n)
		qsort(paths.v, paths.n, sizeof(*paths.v), by_path);
	for (size_t i = 0; i < paths.n; i++)
		if (pack_one(p, paths.v[i], err) < 0)
			return -1;
	return archive_write_close(p->a) == ARCHIVE_OK ? 0 : fail(p->a, p->path, err);
}

int archive_pack(const char *path, const char *dir, const struct archive_create *how,
		 struct archive_result *result, struct error *err)
{
	in_utf8_locale();
	struct archive *a __attribute__((cleanup(free_writer))) = archive_write_new();
	cleanup_fd int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_fs_new struct fs_new out = FS_NEW;
	struct archive_entry_linkresolver *links __attribute__((cleanup(free_links))) =
		archive_entry_linkresolver_new();
	struct packer p = { a, links, path, root, how, result };

	if (root < 0)
		return error_set(err, errno, "cannot read directory %s", dir);
	archive_entry_linkresolver_set_strategy(links, ARCHIVE_FORMAT_TAR_PAX_INTERCHANGE);
	if (choose(a, path, how, err) < 0)
		return -1;
	if (fs_new_open(&out, path, err) < 0)
		return -1;
	if (archive_write_open_fd(a, out.fd) != ARCHIVE_OK)
		return fail(a, path, err);
	return pack_all(&p, dir, err) < 0 ? -1 : fs_new_finish(&out, 0644, false, err);
}
