// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "archive_locale.h"
#include "archive_reader.h"
#include "util.h"

enum { BLOCK = 64 * 1024 };

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}

static void free_writer(struct archive **a)
{
	archive_write_free(*a);
}

// The path without leading "/" and "./", and without slashes at its end.
static char *plain(const char *path)
{
	size_t len;

	while (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))
		path++;
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	return xstrndup(path, len);
}

// 1: copy it, 0: leave it out.
static int judge(const char *from, struct archive_entry *entry, const struct strv *skip,
		 struct error *err)
{
	const char *name = archive_entry_pathname(entry), *hard = archive_entry_hardlink(entry);
	cleanup_free char *path = plain(name);
	unsigned int type = archive_entry_filetype(entry);

	if (archive_has_dotdot(name) || (hard && archive_has_dotdot(hard)))
		return error_set(err, ERR_ARCHIVE, "%s: refusing the path '%s'", from, name);
	if (hard)
		return 1;
	if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return 0;
	if (type == AE_IFDIR && !*path)
		return 0;
	for (size_t i = 0; type == AE_IFDIR && i < skip->n; i++)
		if (streq(skip->v[i], path))
			return 0;
	return 1;
}

static int copy_content(struct archive *in, struct archive *out, const char *from,
			struct archive_result *count, struct error *err)
{
	char buf[BLOCK];
	la_ssize_t n;

	while ((n = archive_read_data(in, buf, sizeof(buf))) > 0) {
		count->size += (uint64_t)n;
		if (archive_write_data(out, buf, (size_t)n) < 0)
			return archive_fail(out, from, err);
	}
	return n < 0 ? archive_fail(in, from, err) : 0;
}

static int copy_entries(struct archive *in, struct archive *out, const char *from,
			const struct strv *skip, struct archive_result *count, struct error *err)
{
	struct archive_entry *entry;
	int rc;

	while ((rc = archive_next(in, from, NULL, count, &entry, err)) > 0) {
		int wanted = judge(from, entry, skip, err);

		if (wanted < 0)
			return -1;
		if (!wanted)
			continue;
		// What other formats know of a hard link's size confuses tar.
		if (archive_entry_hardlink(entry))
			archive_entry_unset_size(entry);
		if (archive_write_header(out, entry) < ARCHIVE_WARN)
			return archive_fail(out, from, err);
		if (!archive_entry_hardlink(entry) && copy_content(in, out, from, count, err) < 0)
			return -1;
	}
	if (rc == 0 && archive_write_close(out) != ARCHIVE_OK)
		return archive_fail(out, from, err);
	return rc;
}

int archive_to_tar(const char *from, const char *to, const struct strv *skip,
		   struct archive_result *result, struct error *err)
{
	in_utf8_locale();
	struct archive *in __attribute__((cleanup(free_reader))) = archive_open_reader(from, err);
	struct archive *out __attribute__((cleanup(free_writer))) = archive_write_new();
	cleanup_fd int fd = -1;

	if (!in)
		return -1;
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot write %s", to);
	if (archive_write_set_format_pax_restricted(out) != ARCHIVE_OK ||
	    archive_write_open_fd(out, fd) != ARCHIVE_OK)
		return archive_fail(out, to, err);
	return copy_entries(in, out, from, skip, result, err);
}
