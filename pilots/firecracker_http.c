// SPDX-License-Identifier: MIT
#include "firecracker_http.h"

#include <ctype.h>
#include <stdbool.h>
#include <strings.h>

#include "doc.h"
#include "util.h"

enum { FAULT_MAX = 1000 };

// "HTTP/1.1 204 ", perhaps with a reason behind it. Returns the status, or -1.
static int read_status(const char *line, size_t len)
{
	static const char version[] = "HTTP/1.1 ";
	const size_t n = sizeof(version) - 1;
	int status = 0;

	if (len < n + 3 || memcmp(line, version, n) != 0 || (len > n + 3 && line[n + 3] != ' '))
		return -1;
	for (size_t i = n; i < n + 3; i++) {
		if (!isdigit((unsigned char)line[i]))
			return -1;
		status = 10 * status + (line[i] - '0');
	}
	return status >= 200 && status <= 599 ? status : -1;
}

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) &&
		    (!text[i] || !strchr("!#$%&'*+-.^_`|~", text[i])))
			return false;
	return len > 0;
}

static bool is_name(const char *text, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(text, name, len) == 0;
}

// Digits only. Returns whether it is a length that we take.
static bool read_length(const char *text, size_t len, size_t *out)
{
	*out = 0;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		*out = 10 * *out + (size_t)(text[i] - '0');
		if (*out > HTTP_BODY_MAX)
			return false;
	}
	return len > 0;
}

struct head {
	struct http_answer *out;
	bool has_length;
	const char **why;
};

static int bad(const struct head *head, const char *why)
{
	*head->why = why;
	return -1;
}

static int read_field(struct head *head, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *end = line + len, *value;

	if (!colon || !is_token(line, (size_t)(colon - line)))
		return bad(head, "no header");
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (is_name(line, (size_t)(colon - line), "Transfer-Encoding"))
		return bad(head, "a transfer encoding");
	if (!is_name(line, (size_t)(colon - line), "Content-Length"))
		return 0;
	if (head->has_length || !read_length(value, (size_t)(end - value), &head->out->body))
		return bad(head, "a bad length");
	head->has_length = true;
	return 0;
}

// Lines up to the empty one; text has one.
static int read_lines(struct head *head, const char *text)
{
	for (bool first = true;; first = false) {
		const char *end = strstr(text, "\r\n");
		size_t len = (size_t)(end - text);

		for (size_t i = 0; i < len; i++)
			if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
				return bad(head, "a control character");
		if (!first && len == 0)
			return 0;
		if (first) {
			head->out->status = read_status(text, len);
			if (head->out->status < 0)
				return bad(head, "no status");
		} else if (read_field(head, text, len) < 0) {
			return -1;
		}
		text = end + 2;
	}
}

int http_read(const char *data, size_t len, struct http_answer *out, const char **why)
{
	static const char blank[] = "\r\n\r\n";
	struct head head = { .out = out, .why = why };
	const char *end = memmem(data, len, blank, sizeof(blank) - 1);
	size_t size = end ? (size_t)(end - data) + sizeof(blank) - 1 : len;
	cleanup_free char *text = NULL;

	*out = (struct http_answer){ 0 };
	if (size > HTTP_HEAD_MAX)
		return bad(&head, "too long a head");
	if (!end)
		return 0;
	if (memchr(data, '\0', size))
		return bad(&head, "a control character");
	text = xstrndup(data, size);
	if (read_lines(&head, text) < 0)
		return -1;
	if (out->status == 204 ? head.has_length && out->body : !head.has_length)
		return bad(&head, "a bad length");
	out->head = size;
	if (len - size > out->body)
		return bad(&head, "more than was asked");
	return len - size == out->body;
}

// JSON is YAML, but for surrogate pairs.
static char *fault_text(const char *body, size_t len)
{
	cleanup_node struct node *doc = doc_parse(body, len, "answer", NULL);
	const struct node *fault = doc_get(doc, "fault_message");

	return fault && fault->type == NODE_SCALAR ? xstrdup(fault->value) : xstrndup(body, len);
}

char *http_fault(const char *body, size_t len)
{
	char *text = fault_text(body, len < HTTP_BODY_MAX ? len : HTTP_BODY_MAX);
	size_t n = strnlen(text, FAULT_MAX);

	text[n] = '\0';
	for (char *p = text; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = ' ';
	while (n && text[n - 1] == ' ')
		text[--n] = '\0';
	return text;
}
