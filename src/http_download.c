// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "http_transfer.h"
#include "util.h"

enum { TAG_MAX = 1024 };

static const char *header(const struct http_response *res, const char *name)
{
	for (size_t i = 0; i + 1 < res->headers.n; i += 2)
		if (streq(res->headers.v[i], name))
			return res->headers.v[i + 1];
	return NULL;
}

// What the server calls this version of the file: a strong ETag or the time of its last change
// (RFC 9110, section 13.1.5).
static const char *version(const struct http_response *res)
{
	const char *tag = header(res, "etag");

	return tag && tag[0] == '"' ? tag : header(res, "last-modified");
}

static char *read_tag(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
	cleanup_free char *tag = NULL;
	size_t len;

	if (fd < 0 || read_fd_all(fd, TAG_MAX, &tag, &len, NULL) < 0 || len == 0 ||
	    strlen(tag) != len || strpbrk(tag, "\r\n"))
		return NULL;
	return steal_ptr(&tag);
}

// Without it the next download starts anew: a failure is none.
static void write_tag(const struct transfer *t)
{
	const char *tag = version(t->res);
	cleanup_fd int fd = -1;

	if (!tag || !*tag || strlen(tag) > TAG_MAX)
		return;
	fd = open(t->tag_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd >= 0 && write(fd, tag, strlen(tag)) != (ssize_t)strlen(tag))
		unlink(t->tag_file);
}

// Before the first byte is written. False: it is not what the part is the beginning of.
static bool check_version(struct transfer *t, long status)
{
	const char *now = version(t->res);

	if (status == 200)
		write_tag(t);
	else if (now && t->tag && !streq(now, t->tag))
		t->no_range = true;
	return !t->no_range;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n, left = len;
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 && status != 206)
		return len; // the page of an error or redirect is not the file
	if (t->res->len == 0 && !check_version(t, status))
		return 0;
	if (t->req->limit && t->offset + t->res->len + len > t->req->limit) {
		t->too_big = true;
		return 0;
	}
	while (left) {
		ssize_t got = write(t->fd, data + len - left, left);

		if (got < 0 && errno != EINTR) {
			t->write_failed = errno;
			return 0;
		}
		left -= got > 0 ? (size_t)got : 0;
	}
	t->res->len += len;
	return len;
}

static int digest(int fd, struct http_response *res, struct error *err)
{
	unsigned char buf[64 * 1024], sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned int sum_len = 0;
	ssize_t n = 0;

	res->size = 0;
	if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) && lseek(fd, 0, SEEK_SET) == 0)
		while ((n = read(fd, buf, sizeof(buf))) > 0 && EVP_DigestUpdate(md, buf, (size_t)n))
			res->size += (uint64_t)n;
	if (!md || n != 0 || !EVP_DigestFinal_ex(md, sum, &sum_len)) {
		EVP_MD_CTX_free(md);
		return error_set(err, n < 0 ? errno : ERR_HTTP, "cannot compute the SHA-256");
	}
	EVP_MD_CTX_free(md);
	for (unsigned int i = 0; i < sum_len; i++)
		snprintf(res->sha256 + 2 * i, 3, "%02x", sum[i]);
	return 0;
}

static int verify(const struct transfer *t, const char *part, struct error *err)
{
	if (digest(t->fd, t->res, err) < 0)
		return error_wrap(err, "%s", part);
	if (!t->req->sha256 || strcasecmp(t->req->sha256, t->res->sha256) == 0)
		return 0;
	// A wrong part would spoil every resume.
	unlink(part);
	unlink(t->tag_file);
	return error_set(err, ERR_HTTP, "%s: SHA-256 is %s, not %s", t->shown, t->res->sha256,
			 t->req->sha256);
}

static int start_anew(struct transfer *t, const char *part, struct error *err)
{
	t->offset = 0;
	t->res->len = 0;
	t->no_range = false;
	unlink(t->tag_file);
	if (ftruncate(t->fd, 0) < 0 || lseek(t->fd, 0, SEEK_SET) < 0)
		return error_set(err, errno, "cannot write %s", part);
	return 0;
}

// Only what can be told to be the beginning of the file is taken for it.
static int open_part(struct transfer *t, const char *part, struct error *err)
{
	struct stat st;

	t->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0644);
	if (t->fd < 0)
		return error_set(err, errno, "cannot write %s", part);
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, errno, "%s is being downloaded already", part);
	if (fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "cannot write %s", part);
	t->tag = read_tag(t->tag_file);
	t->offset = (uint64_t)st.st_size;
	if (!t->req->resume || !t->offset || (!t->tag && !t->req->sha256) ||
	    (t->req->limit && t->offset > t->req->limit))
		return start_anew(t, part, err);
	lseek(t->fd, 0, SEEK_END);
	return 0;
}

static void end(struct transfer *t)
{
	transfer_end(t);
	if (t->fd >= 0)
		close(t->fd);
	free(t->tag);
	free(t->tag_file);
}

static void ask_for_rest(struct transfer *t)
{
	cleanup_free char *same = t->tag ? xasprintf("If-Range: %s", t->tag) : NULL;

	curl_easy_setopt(t->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->offset);
	if (!same)
		return;
	t->headers = curl_slist_append(t->headers, same);
	curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
}

// 416 in answer to a range: was the part the whole file already? "Content-Range: bytes */SIZE".
static bool is_whole(const struct transfer *t)
{
	const char *range = header(t->res, "content-range");
	unsigned long long size;

	return range && sscanf(range, "bytes */%llu", &size) == 1 && size == t->offset;
}

// 0: the part is the file; 1: the server has another one, or cannot resume; -1: an error.
static int fetch_from(struct transfer *t, const char *part, struct error *err)
{
	long status;

	if (transfer_start(t, err) < 0)
		return -1;
	if (t->offset)
		ask_for_rest(t);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	if (transfer_run(t, err) < 0) {
		if (t->no_range && t->offset)
			return 1;
		if (t->write_failed)
			return error_set(err, t->write_failed, "cannot write %s", part);
		return -1;
	}
	status = t->res->status;
	if (t->offset && (status == 200 || status == 416))
		return status == 416 && is_whole(t) ? 0 : 1;
	if (status == (t->offset ? 206 : 200))
		return 0;
	return error_set(err, ERR_HTTP, "%s: HTTP status %ld", t->shown, status);
}

static int fetch(struct transfer *t, const char *part, struct error *err)
{
	int rc = fetch_from(t, part, err);

	if (rc <= 0)
		return rc;
	transfer_end(t);
	error_clear(err);
	return start_anew(t, part, err) < 0 ? -1 : fetch_from(t, part, err);
}

int http_download(const struct http_request *req, const char *path, struct http_response *res,
		  struct error *err)
{
	cleanup_free char *part = xasprintf("%s.part", path);
	struct transfer t __attribute__((cleanup(end))) = { .req = req, .res = res, .fd = -1 };

	t.tag_file = xasprintf("%s.tag", part);
	if (open_part(&t, part, err) < 0)
		return -1;
	if (fetch(&t, part, err) < 0) {
		struct stat st;

		// What is too large is no beginning of anything.
		if (t.too_big || (fstat(t.fd, &st) == 0 && st.st_size == 0)) {
			unlink(part);
			unlink(t.tag_file);
		}
		return -1;
	}
	if (verify(&t, part, err) < 0)
		return -1;
	if (fsync(t.fd) < 0 || rename(part, path) < 0)
		return error_set(err, errno, "cannot write %s", path);
	unlink(t.tag_file);
	return 0;
}
