// SPDX-License-Identifier: MIT
// Unpacking: which entries of a stranger's archive are taken, and where they go.
#include <errno.h>
#include <limits.h>

#include "archive_disk.h"
#include "archive_locale.h"
#include "archive_reader.h"
#include "tree.h"
#include "util.h"

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}

// The path behind the next slash; NULL at the end.
static const char *next_part(const char *path)
{
	const char *slash = strchr(path, '/');

	return slash ? slash + 1 : NULL;
}

static bool is_part(const char *path, const char *part)
{
	size_t n = strlen(part);

	return strncmp(path, part, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool archive_has_dotdot(const char *path)
{
	for (const char *p = path; p; p = next_part(p))
		if (is_part(p, ".."))
			return true;
	return false;
}

char *archive_plain(const char *path, unsigned int strip)
{
	char *plain = xmalloc(strlen(path) + 1), *end = plain;

	for (const char *p = path; p; p = next_part(p)) {
		size_t n = strcspn(p, "/");

		if (is_part(p, "") || is_part(p, "."))
			continue;
		if (strip) {
			strip--;
			continue;
		}
		if (end > plain)
			*end++ = '/';
		end = mempcpy(end, p, n);
	}
	*end = '\0';
	return plain;
}

// Does a symlink at `from` (relative to the root of the extraction) with this target stay inside?
// The directories above it are none but real ones, so that a ".." in front goes up by one; behind a
// name, which may be a link to anywhere inside, nobody knows where it goes.
static bool link_stays_inside(const char *from, const char *target)
{
	bool named = false;
	long depth = 0;

	if (target[0] == '/')
		return false;
	for (const char *p = from; strchr(p, '/'); p = next_part(p))
		depth++;
	for (const char *p = target; p; p = next_part(p)) {
		if (is_part(p, "..") && (named || --depth < 0))
			return false;
		named |= !is_part(p, "..") && !is_part(p, ".") && !is_part(p, "");
	}
	return true;
}

// A hard link to a symlink is that symlink in another place: it must stay inside from there, too.
static bool hard_link_stays_inside(const struct archive_disk *disk, const char *from,
				   const char *file)
{
	cleanup_free char *target = tree_readlink(disk->root, file, NULL);

	return !target || link_stays_inside(from, target);
}

static bool is_special(struct archive_entry *entry)
{
	unsigned int type = archive_entry_filetype(entry);

	return !archive_entry_hardlink(entry) && type != AE_IFREG && type != AE_IFDIR &&
	       type != AE_IFLNK;
}

// Is the path what it seems to be: no empty part, no ".", no slash behind a file's name?
static bool is_plain_path(const char *path, bool directory)
{
	for (const char *p = path; p; p = next_part(p))
		if (is_part(p, ".") || (is_part(p, "") && (*p || !directory)))
			return false;
	return true;
}

// Set-id bits of foreign archives have no business on a host.
static mode_t mode_for(const struct archive_extract *how, struct archive_entry *entry)
{
	mode_t mode = archive_entry_perm(entry) & 0777;

	if (!how->foreign_root)
		return mode;
	return mode | (archive_entry_filetype(entry) == AE_IFDIR ? 0700 : 0600);
}

// --- one entry -----------------------------------------------------------------------------------

struct unpack {
	const char *archive; // its path, for messages
	const struct archive_extract *how;
	struct archive *a;
	struct archive_disk *disk;
	struct archive_result *count;
};

static int refuse(const struct unpack *u, const char *name, const char *target, struct error *err)
{
	return error_set(err, ERR_ARCHIVE, "%s: refusing the link '%s' to '%s'", u->archive, name,
			 target);
}

static int check(const struct unpack *u, struct archive_entry *entry, struct error *err)
{
	const char *name = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);

	if (name[0] == '/' || archive_has_dotdot(name))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the path '%s'", u->archive, name);
	if (hard && (hard[0] == '/' || archive_has_dotdot(hard)))
		return refuse(u, name, hard, err);
	if (is_special(entry) && !u->how->foreign_root)
		return error_set(err, ERR_ARCHIVE, "%s: refusing the %s '%s'", u->archive,
				 archive_type_of(entry), name);
	return 0;
}

static int check_links(const struct unpack *u, struct archive_entry *entry, const char *path,
		       const char *hard, struct error *err)
{
	const char *name = archive_entry_pathname(entry), *soft = archive_entry_symlink(entry);

	if (hard && !*hard)
		return refuse(u, name, archive_entry_hardlink(entry), err);
	if (u->how->foreign_root)
		return 0;
	if (soft && !link_stays_inside(path, soft))
		return refuse(u, name, soft, err);
	if (hard && !hard_link_stays_inside(u->disk, path, hard))
		return refuse(u, name, hard, err);
	return 0;
}

// What an archive of plain content must not have.
static int check_plain(const struct unpack *u, struct archive_entry *entry, const char *path,
		       struct error *err)
{
	const char *name = archive_entry_pathname(entry), *type = archive_type_of(entry);
	bool directory = streq(type, "directory");
	struct stat st;

	while (str_starts(name, "./"))
		name += 2;
	if (!directory && !streq(type, "file"))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the %s '%s': files only",
				 u->archive, type, name);
	if (!is_plain_path(name, directory))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the path '%s'", u->archive, name);
	if (tree_stat(u->disk->root, path, false, &st, NULL) == 0 &&
	    !(directory && S_ISDIR(st.st_mode)))
		return error_set(err, ERR_ARCHIVE, "%s: refusing '%s', which is there twice",
				 u->archive, name);
	return 0;
}

static int go_on(const struct unpack *u, struct error *err)
{
	const struct archive_extract *how = u->how;

	if (how->progress && !how->progress(how->progress_arg, u->count->entries, u->count->size))
		return error_set(err, ERR_ARCHIVE, "%s: aborted", u->archive);
	return 0;
}

// *size: where the content ends, without a hole behind it.
static int copy_data(const struct unpack *u, int fd, uint64_t *size, struct error *err)
{
	const void *buf;
	size_t len;
	la_int64_t offset;
	int rc;

	*size = 0;
	while ((rc = archive_read_data_block(u->a, &buf, &len, &offset)) == ARCHIVE_OK) {
		uint64_t end = (uint64_t)offset + len;

		u->count->size += len;
		if (archive_check_size(u->archive, u->count->size, &u->how->limits, err) < 0 ||
		    archive_check_size(u->archive, end, &u->how->limits, err) < 0)
			return -1;
		if (archive_put(fd, buf, len, (uint64_t)offset, u->how->sparse) < 0)
			return error_set(err, errno, "cannot write what %s holds", u->archive);
		if (end > *size)
			*size = end;
		if (go_on(u, err) < 0)
			return -1;
	}
	return rc == ARCHIVE_EOF ? 0 : archive_fail(u->a, u->archive, err);
}

static int write_entry(struct unpack *u, struct archive_entry *entry, const char *path,
		       const char *hard, struct error *err)
{
	uint64_t end = u->count->size + (uint64_t)archive_entry_size(entry), size;
	cleanup_fd int fd = -1;

	// A sparse member has few bytes of data and may be a huge file all the same.
	if (archive_check_size(u->archive, end, &u->how->limits, err) < 0)
		return -1;
	archive_entry_set_perm(entry, mode_for(u->how, entry));
	if (archive_disk_make(u->disk, path, hard, entry, &fd, err) < 0 ||
	    (fd >= 0 && (copy_data(u, fd, &size, err) < 0 ||
			 archive_disk_settle(u->disk, fd, entry, size, err) < 0)))
		return error_wrap(err, "%s", u->archive);
	if (u->count->size < end)
		u->count->size = end;
	return go_on(u, err);
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry, struct error *err)
{
	const char *linked = archive_entry_hardlink(entry);
	cleanup_free char *path = NULL, *hard = NULL;

	if (check(u, entry, err) < 0)
		return -1;
	path = archive_plain(archive_entry_pathname(entry), u->how->strip);
	hard = linked ? archive_plain(linked, u->how->strip) : NULL;
	if (!*path || is_special(entry))
		return 0;
	if (check_links(u, entry, path, hard, err) < 0 ||
	    (u->how->plain && check_plain(u, entry, path, err) < 0))
		return -1;
	return write_entry(u, entry, path, hard, err);
}

int archive_unpack(const char *path, const char *dir, const struct archive_extract *how,
		   struct archive_result *result, struct error *err)
{
	in_utf8_locale();
	struct archive *a __attribute__((cleanup(free_reader))) = archive_open_reader(path, err);
	cleanup_disk struct archive_disk disk = { .root = -1 };
	struct unpack u = { .archive = path, .how = how, .a = a, .disk = &disk, .count = result };
	struct archive_entry *entry;
	int rc;

	if (!a || archive_disk_open(&disk, dir, how, err) < 0)
		return -1;
	while ((rc = archive_next(a, path, &how->limits, result, &entry, err)) > 0)
		if (unpack_entry(&u, entry, err) < 0)
			return -1;
	return rc < 0 ? -1 : archive_disk_finish(&disk, err);
}
