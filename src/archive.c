// SPDX-License-Identifier: MIT
// Reading. libarchive's name for this area would be archive_read_*; ours are list, unpack, read.
#include "archive_reader.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

#include "archive_locale.h"
#include "util.h"

enum { BLOCK = 64 * 1024 };
static const uint64_t MAX_ENTRIES = 1000000, MAX_SIZE = 1ULL << 40;

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}

static void free_writer(struct archive **a)
{
	archive_write_free(*a);
}

#define cleanup_reader __attribute__((cleanup(free_reader)))
#define cleanup_writer __attribute__((cleanup(free_writer)))

int archive_fail(struct archive *a, const char *path, struct error *err)
{
	const char *why = archive_error_string(a);

	// What libarchive says of a write that failed has no reason.
	if (why && strcmp(why, "Write failed") == 0 && archive_errno(a) > 0)
		return error_set(err, archive_errno(a), "cannot write what %s holds", path);
	return error_set(err, ERR_ARCHIVE, "%s: %s", path, why ? why : "not an archive");
}

// Not all that libarchive has: an "archive" in mtree format names files of the host as its content,
// and some filters are programs.
void archive_support_filters(struct archive *a)
{
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_compress(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_lzip(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_rpm(a);
}

static void support(struct archive *a)
{
	archive_support_filters(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_cpio(a);
	archive_read_support_format_zip(a);
	archive_read_support_format_7zip(a);
	archive_read_support_format_ar(a);
	archive_read_support_format_iso9660(a);
	archive_read_support_format_empty(a);
}

struct archive *archive_open_reader(const char *path, struct error *err)
{
	cleanup_reader struct archive *a = archive_read_new();

	if (access(path, R_OK) < 0) {
		error_set(err, errno, "cannot read %s", path);
		return NULL;
	}
	support(a);
	if (archive_read_open_filename(a, path, BLOCK) != ARCHIVE_OK) {
		archive_fail(a, path, err);
		return NULL;
	}
	return steal_ptr(&a);
}

int archive_next(struct archive *a, const char *path, const struct archive_limits *limits,
		 struct archive_result *count, struct archive_entry **entry, struct error *err)
{
	uint64_t max = limits && limits->max_entries ? limits->max_entries : MAX_ENTRIES;
	int rc = archive_read_next_header(a, entry);

	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc < ARCHIVE_WARN || !archive_entry_pathname(*entry))
		return archive_fail(a, path, err);
	if (++count->entries > max)
		return error_set(err, ERR_LIMIT, "%s: more than %llu entries", path,
				 (unsigned long long)max);
	return 1;
}

static int check_size(const char *path, uint64_t size, const struct archive_limits *limits,
		      struct error *err)
{
	uint64_t max = limits && limits->max_size ? limits->max_size : MAX_SIZE;

	if (size <= max)
		return 0;
	return error_set(err, ERR_LIMIT, "%s: more than %llu bytes of content", path,
			 (unsigned long long)max);
}

static const char *type_of(struct archive_entry *entry)
{
	if (archive_entry_hardlink(entry))
		return "hardlink";
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return "file";
	case AE_IFDIR:
		return "directory";
	case AE_IFLNK:
		return "symlink";
	case AE_IFIFO:
		return "fifo";
	case AE_IFSOCK:
		return "socket";
	default:
		return "device";
	}
}

int archive_list(const char *path, const struct archive_limits *limits, archive_visit *visit,
		 void *arg, struct error *err)
{
	in_utf8_locale();
	cleanup_reader struct archive *a = archive_open_reader(path, err);
	struct archive_result count = { 0 };
	struct archive_entry *entry;
	int rc;

	if (!a)
		return -1;
	while ((rc = archive_next(a, path, limits, &count, &entry, err)) > 0) {
		const char *hard = archive_entry_hardlink(entry);
		struct archive_member member = {
			.path = archive_entry_pathname(entry),
			.type = type_of(entry),
			.link = hard ? hard : archive_entry_symlink(entry),
			.size = (uint64_t)archive_entry_size(entry),
			.mode = archive_entry_perm(entry),
			.uid = archive_entry_uid(entry),
			.gid = archive_entry_gid(entry),
			.mtime = archive_entry_mtime(entry),
		};

		count.size += member.size;
		if (check_size(path, count.size, limits, err) < 0)
			return -1;
		if (!visit(arg, &member))
			return 0;
	}
	return rc;
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

// The path below the target directory: relative, without "./", stripped. NULL: nothing is left.
static const char *strip(const char *path, unsigned int parts)
{
	while (str_starts(path, "./"))
		for (path += 2; *path == '/'; path++)
			;
	for (; parts && path; parts--) {
		path = strchr(path, '/');
		while (path && *path == '/')
			path++;
	}
	return path && *path && !streq(path, ".") ? path : NULL;
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
		depth += !is_part(p, "") && !is_part(p, ".");
	for (const char *p = target; p; p = next_part(p)) {
		if (is_part(p, "..") && (named || --depth < 0))
			return false;
		named |= !is_part(p, "..") && !is_part(p, ".") && !is_part(p, "");
	}
	return true;
}

// A hard link to a symlink is that symlink in another place: it must stay inside from there, too.
static bool hard_link_stays_inside(const char *from, const char *file)
{
	char target[PATH_MAX];
	ssize_t n = readlink(file, target, sizeof(target) - 1);

	if (n < 0)
		return true;
	target[n] = '\0';
	return link_stays_inside(from, target);
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

// What an archive of plain content must not have. full: where the entry would go.
static int check_plain(const char *archive, struct archive_entry *entry, const char *inside,
		       const char *full, struct error *err)
{
	const char *type = type_of(entry);
	bool directory = streq(type, "directory");
	cleanup_free char *there = xstrndup(full, strlen(full) - str_ends(full, "/"));
	struct stat st;

	if (!directory && !streq(type, "file"))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the %s '%s': files only", archive,
				 type, inside);
	if (!is_plain_path(inside, directory))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the path '%s'", archive, inside);
	if (lstat(there, &st) == 0 && !(directory && S_ISDIR(st.st_mode)))
		return error_set(err, ERR_ARCHIVE, "%s: refusing '%s', which is there twice",
				 archive, inside);
	return 0;
}

// Set-id bits of foreign archives have no business on a host.
static mode_t mode_for(const struct archive_extract *how, struct archive_entry *entry)
{
	mode_t mode = archive_entry_perm(entry) & 0777;

	if (!how->foreign_root)
		return mode;
	return mode | (archive_entry_filetype(entry) == AE_IFDIR ? 0700 : 0600);
}

// Checks one entry and gives it its place below dir. 0: skip it.
static int place(const char *archive, const char *dir, const struct archive_extract *how,
		 struct archive_entry *entry, struct error *err)
{
	const char *name = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
	const char *soft = archive_entry_symlink(entry), *inside;
	cleanup_free char *full = NULL, *target = NULL;

	if (name[0] == '/' || archive_has_dotdot(name))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the path '%s'", archive, name);
	if (hard && (hard[0] == '/' || archive_has_dotdot(hard)))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the link '%s' to '%s'", archive,
				 name, hard);
	inside = strip(name, how->strip);
	if (!inside || (how->foreign_root && is_special(entry)))
		return 0;
	if (soft && !how->foreign_root && !link_stays_inside(inside, soft))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the link '%s' to '%s'", archive,
				 name, soft);
	if (archive_entry_filetype(entry) == AE_IFCHR || archive_entry_filetype(entry) == AE_IFBLK)
		return error_set(err, ERR_ARCHIVE, "%s: refusing the device '%s'", archive, name);
	if (hard) {
		const char *to = strip(hard, how->strip);

		if (!to)
			return error_set(err, ERR_ARCHIVE, "%s: refusing the link '%s'", archive,
					 name);
		target = xasprintf("%s/%s", dir, to);
		if (!how->foreign_root && !hard_link_stays_inside(inside, target))
			return error_set(err, ERR_ARCHIVE, "%s: refusing the link '%s' to '%s'",
					 archive, name, hard);
		archive_entry_copy_hardlink(entry, target);
	}
	full = xasprintf("%s/%s", dir, inside);
	if (how->plain && check_plain(archive, entry, inside, full, err) < 0)
		return -1;
	archive_entry_copy_pathname(entry, full);
	archive_entry_set_perm(entry, mode_for(how, entry));
	return 1;
}

static int copy_data(struct archive *from, struct archive *to, const char *path,
		     const struct archive_extract *how, struct archive_result *count,
		     struct error *err)
{
	const void *buf;
	size_t len;
	la_int64_t offset;
	int rc;

	while ((rc = archive_read_data_block(from, &buf, &len, &offset)) == ARCHIVE_OK) {
		count->size += len;
		if (check_size(path, count->size, &how->limits, err) < 0 ||
		    check_size(path, (uint64_t)offset, &how->limits, err) < 0)
			return -1;
		if (archive_write_data_block(to, buf, len, offset) < ARCHIVE_OK)
			return archive_fail(to, path, err);
		if (how->progress && !how->progress(how->progress_arg, count->entries, count->size))
			return error_set(err, ERR_ARCHIVE, "%s: aborted", path);
	}
	return rc == ARCHIVE_EOF ? 0 : archive_fail(from, path, err);
}

static struct archive *disk_writer(const struct archive_extract *how)
{
	int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
		    ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_UNLINK;
	struct archive *disk = archive_write_disk_new();

	if (how->owner)
		flags |= ARCHIVE_EXTRACT_OWNER;
	if (how->sparse)
		flags |= ARCHIVE_EXTRACT_SPARSE;
	archive_write_disk_set_options(disk, flags);
	return disk;
}

static int unpack_entry(struct archive *a, struct archive *disk, struct archive_entry *entry,
			const char *path, const struct archive_extract *how,
			struct archive_result *count, struct error *err)
{
	uint64_t end = count->size + (uint64_t)archive_entry_size(entry);

	// A sparse member has few bytes of data and may be a huge file all the same.
	if (check_size(path, end, &how->limits, err) < 0)
		return -1;
	if (archive_write_header(disk, entry) < ARCHIVE_WARN)
		return archive_fail(disk, path, err);
	if (archive_entry_size(entry) != 0 || !archive_entry_size_is_set(entry))
		if (copy_data(a, disk, path, how, count, err) < 0)
			return -1;
	if (count->size < end)
		count->size = end;
	if (archive_write_finish_entry(disk) < ARCHIVE_WARN)
		return archive_fail(disk, path, err);
	if (how->progress && !how->progress(how->progress_arg, count->entries, count->size))
		return error_set(err, ERR_ARCHIVE, "%s: aborted", path);
	return 0;
}

int archive_unpack(const char *path, const char *dir, const struct archive_extract *how,
		   struct archive_result *result, struct error *err)
{
	in_utf8_locale();
	cleanup_reader struct archive *a = archive_open_reader(path, err);
	cleanup_writer struct archive *disk = a ? disk_writer(how) : NULL;
	// SECURE_SYMLINKS looks at every component: the ones above dir must be none.
	cleanup_free char *real = a ? realpath(dir, NULL) : NULL;
	struct archive_entry *entry;
	int rc;

	if (!a)
		return -1;
	if (!real)
		return error_set(err, errno, "cannot extract to %s", dir);
	while ((rc = archive_next(a, path, &how->limits, result, &entry, err)) > 0) {
		int placed = place(path, real, how, entry, err);

		if (placed < 0 ||
		    (placed > 0 && unpack_entry(a, disk, entry, path, how, result, err) < 0))
			return -1;
	}
	if (rc == 0 && archive_write_close(disk) != ARCHIVE_OK)
		return archive_fail(disk, path, err);
	return rc;
}

int archive_read_member(const char *path, const char *member, size_t limit, char **out, size_t *len,
			struct error *err)
{
	in_utf8_locale();
	cleanup_reader struct archive *a = archive_open_reader(path, err);
	cleanup_free char *buf = NULL;
	struct archive_result count = { 0 };
	struct archive_entry *entry;
	ssize_t n;
	int rc;

	if (!a)
		return -1;
	while ((rc = archive_next(a, path, NULL, &count, &entry, err)) > 0) {
		const char *name = strip(archive_entry_pathname(entry), 0);

		if (name && streq(name, member))
			break;
	}
	if (rc <= 0)
		return rc < 0 ? -1 : error_set(err, ENOENT, "%s: '%s'", path, member);
	*len = 0;
	do {
		if (*len > limit)
			return error_set(err, ERR_LIMIT, "%s: '%s' has more than %zu bytes", path,
					 member, limit);
		buf = xrealloc(buf, *len + BLOCK + 1);
		n = archive_read_data(a, buf + *len, BLOCK);
		*len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n < 0)
		return archive_fail(a, path, err);
	buf[*len] = '\0';
	*out = steal_ptr(&buf);
	return 0;
}
