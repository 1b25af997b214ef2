// SPDX-License-Identifier: MIT
// Files that are compressed but no archives.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "archive_reader.h"
#include "util.h"

enum { BLOCK = 64 * 1024, HOLE = 4096 };
static const uint64_t MAX_SIZE = 1ULL << 40;

// The slice that libarchive reads.
struct source {
	int fd;
	bool limited;
	uint64_t left;
	char buf[BLOCK];
};

static la_ssize_t on_read(struct archive *a, void *arg, const void **data)
{
	struct source *s = arg;
	size_t want = s->limited && s->left < BLOCK ? (size_t)s->left : BLOCK;
	ssize_t n;

	do
		n = read(s->fd, s->buf, want);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		archive_set_error(a, errno, "cannot read");
	else
		s->left -= s->limited ? (uint64_t)n : 0;
	*data = s->buf;
	return n;
}

static void free_reader(struct archive **a)
{
	archive_read_free(*a);
}

static bool is_zero(const char *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

int archive_put(int fd, const char *data, size_t len, uint64_t at, bool sparse)
{
	for (size_t done = 0; done < len;) {
		size_t n = !sparse || len - done < HOLE ? len - done : HOLE;
		ssize_t got = (ssize_t)n;

		if (!sparse || !is_zero(data + done, n))
			got = pwrite(fd, data + done, n, (off_t)(at + done));
		if (got < 0 && errno != EINTR)
			return -1;
		done += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

static int copy(struct archive *a, int out, const char *from, uint64_t max, uint64_t *size,
		struct error *err)
{
	cleanup_free char *buf = xmalloc(BLOCK);
	la_ssize_t n;

	*size = 0;
	while ((n = archive_read_data(a, buf, BLOCK)) > 0) {
		if (*size + (uint64_t)n > max)
			return error_set(err, ERR_LIMIT, "%s: more than %llu bytes of content",
					 from, (unsigned long long)max);
		if (archive_put(out, buf, (size_t)n, *size, true) < 0)
			return error_set(err, errno, "cannot write what %s holds", from);
		*size += (uint64_t)n;
	}
	if (n < 0)
		return archive_fail(a, from, err);
	if (ftruncate(out, (off_t)*size) < 0 || fsync(out) < 0)
		return error_set(err, errno, "cannot write what %s holds", from);
	return 0;
}

static int decompress(struct source *s, const char *from, int out, uint64_t max, uint64_t *size,
		      struct error *err)
{
	struct archive *a __attribute__((cleanup(free_reader))) = archive_read_new();
	struct archive_entry *entry;

	archive_support_filters(a);
	archive_read_support_format_raw(a);
	archive_read_support_format_empty(a);
	if (archive_read_open(a, s, NULL, on_read, NULL) != ARCHIVE_OK)
		return archive_fail(a, from, err);
	switch (archive_read_next_header(a, &entry)) {
	case ARCHIVE_OK:
	case ARCHIVE_WARN:
		return copy(a, out, from, max, size, err);
	case ARCHIVE_EOF: // an empty file
		*size = 0;
		return 0;
	default:
		return archive_fail(a, from, err);
	}
}

int archive_decompress(const char *from, const char *to, const struct archive_slice *slice,
		       uint64_t *size, struct error *err)
{
	cleanup_fd int in = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), out = -1;
	cleanup_free struct source *s = xcalloc(1, sizeof(*s));
	int rc;

	if (in < 0 || lseek(in, (off_t)slice->offset, SEEK_SET) < 0)
		return error_set(err, errno, "cannot read %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (out < 0)
		return error_set(err, errno, "cannot write %s", to);
	s->fd = in;
	s->limited = slice->length > 0;
	s->left = slice->length;
	rc = decompress(s, from, out, slice->max_size ? slice->max_size : MAX_SIZE, size, err);
	if (rc < 0)
		unlink(to);
	return rc;
}
