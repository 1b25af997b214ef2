// SPDX-License-Identifier: MIT
#include "archive_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tree.h"
#include "util.h"

int archive_disk_open(struct archive_disk *disk, const char *dir, const struct archive_extract *how,
		      struct error *err)
{
	*disk = (struct archive_disk){ .how = how, .root = tree_root(dir, err) };
	return disk->root < 0 ? error_wrap(err, "cannot extract") : 0;
}

void archive_disk_close(struct archive_disk *disk)
{
	for (size_t i = 0; i < disk->n_dirs; i++)
		archive_entry_free(disk->dirs[i]);
	free(disk->dirs);
	if (disk->root >= 0)
		close(disk->root);
}

// --- room ----------------------------------------------------------------------------------------

// Removes what is there, but no directory that has something in it.
static int make_room(const struct tree_place *place)
{
	if (unlinkat(place->dir, place->name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	return unlinkat(place->dir, place->name, AT_REMOVEDIR);
}

// A directory, in the place of a link or file, too.
static int make_dir(const struct tree_place *place, mode_t mode)
{
	struct stat st;

	if (tree_make_dir(place->dir, place->name, mode) == 0)
		return 0;
	if (errno != EEXIST || fstatat(place->dir, place->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return 0;
	return make_room(place) < 0 ? -1 : tree_make_dir(place->dir, place->name, mode);
}

// The directories above a path, of which the archive may say nothing. A link on the way is
// replaced, never followed.
static int make_parents(const struct archive_disk *disk, const char *path)
{
	cleanup_free char *above = xstrdup(path);

	for (char *p = strchr(above, '/'); p; p = strchr(p + 1, '/')) {
		cleanup_tree_place struct tree_place place = { .dir = -1 };

		*p = '\0';
		if (tree_find(disk->root, above, TREE_LINKS_REFUSED, &place) < 0 ||
		    make_dir(&place, 0755) < 0)
			return -1;
		*p = '/';
	}
	return 0;
}

static int find(const struct archive_disk *disk, const char *path, struct tree_place *place)
{
	if (tree_find(disk->root, path, TREE_LINKS_REFUSED, place) == 0)
		return 0;
	if (errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
		return -1;
	tree_place_close(place);
	return make_parents(disk, path) < 0
		       ? -1
		       : tree_find(disk->root, path, TREE_LINKS_REFUSED, place);
}

// --- entries -------------------------------------------------------------------------------------

static void times_of(struct archive_entry *entry, struct timespec times[2])
{
	times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	times[1] = times[0];
	if (!archive_entry_mtime_is_set(entry))
		return;
	times[1].tv_sec = archive_entry_mtime(entry);
	times[1].tv_nsec = archive_entry_mtime_nsec(entry);
}

// Owner, mode and time of what is open; the mode last, for a new owner takes set-id bits away.
static int settle(const struct archive_disk *disk, int fd, struct archive_entry *entry)
{
	struct timespec times[2];

	times_of(entry, times);
	if (disk->how->owner &&
	    fchown(fd, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry)) < 0)
		return -1;
	if (fchmod(fd, archive_entry_perm(entry)) < 0)
		return -1;
	return futimens(fd, times);
}

static int make_link(const struct archive_disk *disk, const struct tree_place *place,
		     struct archive_entry *entry)
{
	struct timespec times[2];

	times_of(entry, times);
	if (make_room(place) < 0 ||
	    symlinkat(archive_entry_symlink(entry), place->dir, place->name) < 0)
		return -1;
	if (disk->how->owner && fchownat(place->dir, place->name, (uid_t)archive_entry_uid(entry),
					 (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return utimensat(place->dir, place->name, times, AT_SYMLINK_NOFOLLOW);
}

// Some formats give a file's content with the last of its names.
static int open_again(const struct tree_place *place)
{
	cleanup_fd int fd = openat(place->dir, place->name,
				   O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return ftruncate(fd, 0) < 0 ? -1 : steal_fd(&fd);
}

static int make_hard_link(const struct archive_disk *disk, const struct tree_place *place,
			  const char *target, struct archive_entry *entry, int *fd)
{
	cleanup_tree_place struct tree_place there = { .dir = -1 };

	if (tree_find(disk->root, target, TREE_LINKS_REFUSED, &there) < 0 || make_room(place) < 0 ||
	    linkat(there.dir, there.name, place->dir, place->name, 0) < 0)
		return -1;
	if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) == 0)
		return 0;
	*fd = open_again(place);
	return *fd < 0 ? -1 : 0;
}

static int make_file(const struct tree_place *place)
{
	if (make_room(place) < 0)
		return -1;
	return openat(place->dir, place->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		      0600);
}

static void note_dir(struct archive_disk *disk, const char *path, struct archive_entry *entry)
{
	struct archive_entry *kept = archive_entry_clone(entry);

	archive_entry_copy_pathname(kept, path);
	disk->dirs = xrealloc(disk->dirs, (disk->n_dirs + 1) * sizeof(struct archive_entry *));
	disk->dirs[disk->n_dirs++] = kept;
}

static int make(struct archive_disk *disk, const char *path, const char *hard,
		const struct tree_place *place, struct archive_entry *entry, int *fd)
{
	if (hard)
		return make_hard_link(disk, place, hard, entry, fd);
	if (archive_entry_filetype(entry) == AE_IFLNK)
		return make_link(disk, place, entry);
	if (archive_entry_filetype(entry) == AE_IFDIR) {
		note_dir(disk, path, entry);
		return make_dir(place, 0700);
	}
	*fd = make_file(place);
	return *fd < 0 ? -1 : 0;
}

int archive_disk_make(struct archive_disk *disk, const char *path, const char *hard,
		      struct archive_entry *entry, int *fd, struct error *err)
{
	cleanup_tree_place struct tree_place place = { .dir = -1 };

	*fd = -1;
	if (find(disk, path, &place) < 0 || make(disk, path, hard, &place, entry, fd) < 0)
		return error_set(err, errno, "cannot make '%s'", path);
	return 0;
}

int archive_disk_settle(const struct archive_disk *disk, int fd, struct archive_entry *entry,
			uint64_t size, struct error *err)
{
	uint64_t told = (uint64_t)archive_entry_size(entry);

	if (archive_entry_size_is_set(entry) && told > size)
		size = told;
	if (ftruncate(fd, (off_t)size) < 0 || settle(disk, fd, entry) < 0)
		return error_set(err, errno, "cannot make '%s'", archive_entry_pathname(entry));
	return 0;
}

// --- directories ---------------------------------------------------------------------------------

// What is in a directory before it, and of two entries of one directory the last one first.
static int deepest_first(const void *a, const void *b)
{
	struct archive_entry *const *x = a, *const *y = b;
	int order = strcmp(archive_entry_pathname(*y), archive_entry_pathname(*x));

	if (order)
		return order;
	return archive_entry_ino64(*x) < archive_entry_ino64(*y) ? 1 : -1;
}

// It may have been replaced since.
static int settle_dir(const struct archive_disk *disk, struct archive_entry *entry,
		      struct error *err)
{
	const char *path = archive_entry_pathname(entry);
	cleanup_fd int fd = tree_open(disk->root, path, TREE_LINKS_REFUSED,
				      O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (fd < 0 || settle(disk, fd, entry) < 0)
		return error_set(err, errno, "cannot set mode and time of '%s'", path);
	return 0;
}

int archive_disk_finish(struct archive_disk *disk, struct error *err)
{
	const char *before = NULL;

	for (size_t i = 0; i < disk->n_dirs; i++)
		archive_entry_set_ino64(disk->dirs[i], (la_int64_t)i);
	if (disk->n_dirs)
		qsort(disk->dirs, disk->n_dirs, sizeof(struct archive_entry *), deepest_first);
	for (size_t i = 0; i < disk->n_dirs; i++) {
		const char *path = archive_entry_pathname(disk->dirs[i]);

		if ((!before || !streq(before, path)) && settle_dir(disk, disk->dirs[i], err) < 0)
			return -1;
		before = path;
	}
	return 0;
}
