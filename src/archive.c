// SPDX-License-Identifier: MIT
// Reading. libarchive's name for this area would be archive_read_*; ours are list and read.
#include "archive_reader.h"

#include <errno.h>

#include "archive_locale.h"
#include "util.h"

enum { BLOCK = 64 * 1024 };
static const uint64_t MAX_ENTRIES = 1000000, MAX_SIZE = 1ULL << 40;

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}

#define cleanup_reader __attribute__((cleanup(free_reader)))

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

int archive_check_size(const char *path, uint64_t size, const struct archive_limits *limits,
		       struct error *err)
{
	uint64_t max = limits && limits->max_size ? limits->max_size : MAX_SIZE;

	if (size <= max)
		return 0;
	return error_set(err, ERR_LIMIT, "%s: more than %llu bytes of content", path,
			 (unsigned long long)max);
}

const char *archive_type_of(struct archive_entry *entry)
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
			.type = archive_type_of(entry),
			.link = hard ? hard : archive_entry_symlink(entry),
			.size = (uint64_t)archive_entry_size(entry),
			.mode = archive_entry_perm(entry),
			.uid = archive_entry_uid(entry),
			.gid = archive_entry_gid(entry),
			.mtime = archive_entry_mtime(entry),
		};

		count.size += member.size;
		if (archive_check_size(path, count.size, limits, err) < 0)
			return -1;
		if (!visit(arg, &member))
			return 0;
	}
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
		cleanup_free char *name = archive_plain(archive_entry_pathname(entry), 0);

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
