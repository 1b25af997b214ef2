// SPDX-License-Identifier: MIT
// Bytes as the answer of an API, whole and cut up: what is read must not depend on how it comes,
// and an answer that was whole is none with one byte more.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "firecracker_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Copies, so that not one byte behind is read unseen.
static int read_part(const uint8_t *data, size_t size, struct http_answer *out)
{
	char *copy = malloc(size ? size : 1);
	const char *why = NULL;
	int rc;

	memcpy(copy, data, size);
	rc = http_read(copy, size, out, &why);
	if ((rc < 0) != (why != NULL))
		abort();
	if (rc > 0) {
		char *fault = http_fault(copy + out->head, out->body);

		if (out->head + out->body != size || out->status < 200 || strchr(fault, '\n'))
			abort();
		free(fault);
	}
	free(copy);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_answer whole, part;
	int rc = read_part(data, size, &whole);

	for (size_t n = 0; n < size; n += 1 + n / 16) {
		int before = read_part(data, n, &part);

		if (before < 0 && rc >= 0)
			abort();
		if (before > 0 && rc >= 0)
			abort();
	}
	return 0;
}
