// SPDX-License-Identifier: MIT
#include "http.h"
#include "util.h"

// Is what stands behind a host a port? Digits, or nothing.
static bool is_port(const char *colon, const char *end)
{
	for (const char *p = colon + 1; p < end; p++)
		if (*p < '0' || *p > '9')
			return false;
	return true;
}

// Where the host begins: behind the user part. A password may hold what should end the host ('/',
// '?', '#', unescaped): what looks like a host with a port that is none is such a beginning.
static const char *skip_user(const char *host)
{
	const char *end = host + strcspn(host, "/?#"),
		   *at = memrchr(host, '@', (size_t)(end - host));
	const char *colon = memchr(host, ':', (size_t)(end - host)), *last = strrchr(host, '@');

	if (at)
		return at + 1;
	if (*host != '[' && colon && !is_port(colon, end) && last)
		return last + 1;
	return host;
}

char *http_shown(const char *url)
{
	const char *slashes = strstr(url, "://"), *host, *end;

	if (!slashes)
		return xstrndup(url, strcspn(url, "?#"));
	host = skip_user(slashes + 3);
	end = host + strcspn(host, "?#");
	return xasprintf("%.*s%.*s", (int)(slashes + 3 - url), url, (int)(end - host), host);
}
