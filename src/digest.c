// SPDX-License-Identifier: MIT
#include "digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "util.h"

enum { BLOCK = 256 * 1024 };

static void free_context(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}

static void to_text(const unsigned char *sum, unsigned int n, char *out)
{
	for (unsigned int i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

int digest_sha256(const char *data, size_t len, char out[DIGEST_SHA256_TEXT], struct error *err)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!EVP_Digest(data, len, sum, &n, EVP_sha256(), NULL))
		return error_set(err, EINVAL, "cannot compute the SHA-256");
	to_text(sum, n, out);
	return 0;
}

// Feeds the file, `left` bytes of it or all (0).
static int feed(EVP_MD_CTX *md, int fd, const char *path, uint64_t left, struct error *err)
{
	cleanup_free unsigned char *buf = xmalloc(BLOCK);
	bool all = left == 0;
	ssize_t n;

	while (all || left > 0) {
		n = read(fd, buf, !all && left < BLOCK ? (size_t)left : BLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno, "cannot read %s", path);
		if (n == 0)
			break;
		if (!EVP_DigestUpdate(md, buf, (size_t)n))
			return error_set(err, EINVAL, "cannot compute the digest of %s", path);
		left -= all ? 0 : (uint64_t)n;
	}
	return all || left == 0 ? 0 : error_set(err, EINVAL, "%s is too short", path);
}

int digest_file(const char *path, const char *algorithm, uint64_t size,
		char out[DIGEST_SHA256_TEXT], struct error *err)
{
	EVP_MD_CTX *md __attribute__((cleanup(free_context))) = EVP_MD_CTX_new();
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const EVP_MD *kind = streq(algorithm, "md5") ? EVP_md5() : EVP_sha256();
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (fd < 0)
		return error_set(err, errno, "cannot read %s", path);
	if (!md || !EVP_DigestInit_ex(md, kind, NULL))
		return error_set(err, EINVAL, "cannot compute %s digests", algorithm);
	if (feed(md, fd, path, size, err) < 0)
		return -1;
	if (!EVP_DigestFinal_ex(md, sum, &n))
		return error_set(err, EINVAL, "cannot compute the digest of %s", path);
	to_text(sum, n, out);
	return 0;
}
