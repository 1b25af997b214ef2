// SPDX-License-Identifier: MIT
#include "digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

int digest_sha256(const char *data, size_t len, char out[DIGEST_SHA256_TEXT], struct error *err)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (!EVP_Digest(data, len, sum, &n, EVP_sha256(), NULL))
		return error_set(err, EINVAL, "cannot compute the SHA-256");
	for (unsigned int i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", sum[i]);
	return 0;
}
