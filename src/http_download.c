// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "http_transfer.h"
#include "util.h"

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n, left = len;
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300)
		return len; // the page of an error or redirect is not the file
	if (t->req->limit && t->offset + t->res->len + len > t->req->limit) {
		t->too_big = true;
		return 0;
	}
	while (left) {
		ssize_t got = write(t->fd, data + len - left, left);

		if (got < 0 && errno != EINTR) {
			t->write_failed = true;
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
	return error_set(err, ERR_HTTP, "%s: SHA-256 is %s, not %s", t->req->url, t->res->sha256,
			 t->req->sha256);
}

static int open_part(struct transfer *t, const char *part, struct error *err)
{
	struct stat st;

	t->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0644);
	if (t->fd < 0)
		return error_set(err, errno, "cannot write %s", part);
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, errno, "%s is being downloaded already", part);
	if (!t->req->resume && ftruncate(t->fd, 0) < 0)
		return error_set(err, errno, "cannot write %s", part);
	if (fstat(t->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "cannot write %s", part);
	t->offset = (uint64_t)st.st_size;
	lseek(t->fd, 0, SEEK_END);
	return 0;
}

static void end(struct transfer *t)
{
	transfer_end(t);
	if (t->fd >= 0)
		close(t->fd);
}

static int fetch_from(struct transfer *t, const char *part, struct error *err)
{
	if (transfer_start(t, err) < 0)
		return -1;
	if (t->offset)
		curl_easy_setopt(t->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->offset);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	if (transfer_run(t, err) < 0)
		return t->write_failed ? error_set(err, errno, "cannot write %s", part) : -1;
	// 416: the part was complete already.
	if (t->res->status >= 400 && !(t->res->status == 416 && t->offset))
		return error_set(err, ERR_HTTP, "%s: HTTP status %ld", t->req->url, t->res->status);
	return 0;
}

// A server that cannot resume sends everything again, to an empty part.
static int fetch(struct transfer *t, const char *part, struct error *err)
{
	if (fetch_from(t, part, err) == 0)
		return 0;
	if (!t->no_range)
		return -1;
	transfer_end(t);
	t->headers = NULL;
	t->offset = 0;
	t->res->len = 0;
	error_clear(err);
	if (ftruncate(t->fd, 0) < 0 || lseek(t->fd, 0, SEEK_SET) < 0)
		return error_set(err, errno, "cannot write %s", part);
	return fetch_from(t, part, err);
}

int http_download(const struct http_request *req, const char *path, struct http_response *res,
		  struct error *err)
{
	cleanup_free char *part = xasprintf("%s.part", path);
	struct transfer t __attribute__((cleanup(end))) = { .req = req, .res = res, .fd = -1 };

	if (open_part(&t, part, err) < 0)
		return -1;
	if (fetch(&t, part, err) < 0) {
		struct stat st;

		if (fstat(t.fd, &st) == 0 && st.st_size == 0)
			unlink(part);
		return -1;
	}
	if (verify(&t, part, err) < 0)
		return -1;
	if (fsync(t.fd) < 0 || rename(part, path) < 0)
		return error_set(err, errno, "cannot write %s", path);
	return 0;
}
