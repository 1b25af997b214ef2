// SPDX-License-Identifier: MIT
#include "http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <strings.h>

#include "http_transfer.h"
#include "util.h"

static void init_once(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int on_progress(void *arg, curl_off_t total, curl_off_t done, curl_off_t a, curl_off_t b)
{
	struct transfer *t = arg;

	(void)a, (void)b;
	if (!t->req->progress)
		return 0;
	t->aborted = !t->req->progress(t->req->progress_arg, t->offset + (uint64_t)done,
				       total ? t->offset + (uint64_t)total : 0);
	return t->aborted;
}

// One header line. A new status line (redirect, 100) starts the list anew.
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n, name = 0, from;

	if (len >= 5 && strncasecmp(data, "HTTP/", 5) == 0) {
		strv_free(&t->res->headers);
		return len;
	}
	while (name < len && data[name] != ':')
		name++;
	if (name == len)
		return len;
	for (from = name + 1; from < len && isspace((unsigned char)data[from]); from++)
		;
	while (len > from && isspace((unsigned char)data[len - 1]))
		len--;
	strv_take(&t->res->headers, xstrndup(data, name));
	for (char *p = t->res->headers.v[t->res->headers.n - 1]; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	strv_take(&t->res->headers, xstrndup(data + from, len - from));
	return size * n;
}

static void set_protocols(const struct transfer *t)
{
	bool plain = t->req->insecure_http || t->req->unix_socket;
#if LIBCURL_VERSION_NUM >= 0x075500
	const char *allowed = plain ? "http,https" : "https";

	curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, allowed);
	curl_easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS_STR, allowed);
#else // before 7.85: Ubuntu 22.04, RHEL 9
	long allowed = plain ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_HTTPS;

	curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS, allowed);
	curl_easy_setopt(t->curl, CURLOPT_REDIR_PROTOCOLS, allowed);
#endif
	if (t->req->unix_socket)
		curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, t->req->unix_socket);
	else
		curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 1L);
}

static void set_limits(const struct transfer *t)
{
	curl_easy_setopt(t->curl, CURLOPT_MAXREDIRS, 10L);
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT, 30L);
	// A dead connection ends after a minute without a byte.
	curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(t->curl, CURLOPT_LOW_SPEED_TIME, 60L);
	if (t->req->timeout > 0)
		curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)(t->req->timeout * 1000));
	if (t->req->ca_file)
		curl_easy_setopt(t->curl, CURLOPT_CAINFO, t->req->ca_file);
	curl_easy_setopt(t->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(t->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(t->curl, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(t->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->curl, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "flake-pilot");
}

static void set_request(struct transfer *t)
{
	t->shown = http_shown(t->req->url);
	curl_easy_setopt(t->curl, CURLOPT_URL, t->req->url);
	for (size_t i = 0; i < t->req->headers.n; i++)
		t->headers = curl_slist_append(t->headers, t->req->headers.v[i]);
	if (t->headers)
		curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
	if (t->req->body) {
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, t->req->body);
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)t->req->body_len);
	}
	if (t->req->method && streq(t->req->method, "HEAD"))
		curl_easy_setopt(t->curl, CURLOPT_NOBODY, 1L);
	else if (t->req->method)
		curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, t->req->method);
}

int transfer_start(struct transfer *t, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
	t->curl = curl_easy_init();
	if (!t->curl)
		return error_set(err, ERR_HTTP, "cannot start libcurl");
	set_request(t);
	set_protocols(t);
	set_limits(t);
	return 0;
}

int transfer_run(struct transfer *t, struct error *err)
{
	CURLcode code = curl_easy_perform(t->curl);

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &t->res->status);
	if (code == CURLE_OK)
		return 0;
	if (t->too_big)
		return error_set(err, ERR_LIMIT, "%s: more than %llu bytes", t->shown,
				 (unsigned long long)t->req->limit);
	t->no_range |= code == CURLE_RANGE_ERROR;
	if (t->aborted)
		return error_set(err, ERR_HTTP, "%s: aborted", t->shown);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return error_set(err, ERR_TIMEOUT, "%s: time-out", t->shown);
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return error_set(err, ERR_HTTP,
				 "%s: only https is allowed here (or a redirect "
				 "left it)",
				 t->shown);
	return error_set(err, ERR_HTTP, "%s: %s", t->shown,
			 t->why[0] ? t->why : curl_easy_strerror(code));
}

void transfer_end(struct transfer *t)
{
	curl_slist_free_all(steal_ptr(&t->headers));
	curl_easy_cleanup(steal_ptr(&t->curl));
	free(steal_ptr(&t->shown));
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	if (t->req->limit && t->res->len + len > t->req->limit) {
		t->too_big = true;
		return 0;
	}
	t->res->body = xrealloc(t->res->body, t->res->len + len + 1);
	memcpy(t->res->body + t->res->len, data, len);
	t->res->len += len;
	t->res->body[t->res->len] = '\0';
	return len;
}

int http_request(const struct http_request *req, struct http_response *res, struct error *err)
{
	struct transfer t __attribute__((cleanup(transfer_end))) = { .req = req, .res = res };

	if (transfer_start(&t, err) < 0)
		return -1;
	curl_easy_setopt(t.curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(t.curl, CURLOPT_WRITEDATA, &t);
	return transfer_run(&t, err);
}

void http_response_free(struct http_response *res)
{
	strv_free(&res->headers);
	free(res->body);
	*res = (struct http_response){ 0 };
}
