// SPDX-License-Identifier: MIT
// One libcurl transfer; shared by requests and downloads only.
#pragma once

#include <curl/curl.h>
#include <openssl/evp.h>

#include "http.h"

struct transfer {
	const struct http_request *req;
	struct http_response *res;
	CURL *curl;
	char *shown; // the address in messages
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
	bool too_big, aborted;
	uint64_t offset;  // download: bytes that were there before
	int fd;		  // download: the .part file
	char *tag;	  // download: what the server called the version that the part is of
	char *tag_file;	  // download: holds it
	int write_failed; // an errno
	bool no_range;	  // the server cannot resume, or has another version
};

int transfer_start(struct transfer *t, struct error *err);
int transfer_run(struct transfer *t, struct error *err);
void transfer_end(struct transfer *t);
