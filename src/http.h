// SPDX-License-Identifier: MIT
// HTTP by libcurl: requests over TCP or a Unix socket, downloads to a file.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "strv.h"

// Return false to abort. total is 0 while unknown. Bytes, with what was there before a resume.
typedef bool http_progress(void *arg, uint64_t done, uint64_t total);

// Zero members mean the default.
struct http_request {
	const char *url;    // http or https
	const char *method; // GET
	const char *body;
	size_t body_len;
	struct strv headers; // "Name: value"
	const char *unix_socket;
	const char *ca_file;
	bool insecure_http; // allow http over TCP, for redirects too
	double timeout;	    // seconds for all of it
	uint64_t limit;	    // bytes of the answer; 0: none
	bool resume;	    // download: go on with PATH.part
	const char *sha256; // download: hexadecimal digest to expect
	http_progress *progress;
	void *progress_arg;
};

struct http_response {
	long status;
	struct strv headers; // name, value, name, value …; names in lower case
	char *body;
	size_t len;
	uint64_t size;	 // download: of the whole file
	char sha256[65]; // download
};

// Any status is a result; only a transfer that fails is an error (ERR_HTTP, ERR_LIMIT).
int http_request(const struct http_request *req, struct http_response *res, struct error *err);

// Writes path.part, verifies, syncs and renames. Any status but 200 (206 after a resume) is
// ERR_HTTP. A part is gone on with if path.part.tag says of which version it is and the server
// still has that one, or if a digest will tell.
int http_download(const struct http_request *req, const char *path, struct http_response *res,
		  struct error *err);

// An address as messages show it: without user, password, query and fragment, which may be secrets.
// Caller frees.
char *http_shown(const char *url);

void http_response_free(struct http_response *res);
