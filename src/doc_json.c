// SPDX-License-Identifier: MIT
// JSON (RFC 8259) from a tree.
#include "doc.h"
#include "utf8.h"
#include "util.h"

struct text {
	char *s;
	size_t len, cap;
};

static void add(struct text *out, const char *s, size_t len)
{
	if (!out->s || out->len + len + 1 > out->cap) {
		out->cap = 2 * (out->len + len + 1);
		out->s = xrealloc(out->s, out->cap);
	}
	memcpy(out->s + out->len, s, len);
	out->len += len;
	out->s[out->len] = '\0';
}

static void add_string(struct text *out, const char *s, size_t len)
{
	add(out, "\"", 1);
	for (const char *end = s + len; s < end;) {
		size_t n = utf8_length(s);
		char escaped[8];

		if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\') {
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)*s);
			add(out, escaped, 6);
		} else if (n == 0) {
			add(out, "\xef\xbf\xbd", 3); // U+FFFD, the replacement character
		} else {
			add(out, s, n);
		}
		s += n ? n : 1;
	}
	add(out, "\"", 1);
}

// Plain scalars that JSON knows: true, false, numbers.
static bool is_literal(const struct node *node)
{
	const char *s = node->value;

	if (!node->plain)
		return false;
	if (streq(s, "true") || streq(s, "false"))
		return true;
	s += *s == '-';
	return *s && (*s != '0' || !s[1]) && strspn(s, "0123456789") == strlen(s);
}

static void emit(struct text *out, const struct node *node)
{
	bool map = node->type == NODE_MAP;

	if (node->type == NODE_NULL) {
		add(out, "null", 4);
	} else if (node->type == NODE_SCALAR) {
		if (is_literal(node))
			add(out, node->value, node->len);
		else
			add_string(out, node->value, node->len);
	} else {
		add(out, map ? "{" : "[", 1);
		for (size_t i = 0; i < node->n; i++) {
			if (i)
				add(out, ",", 1);
			if (map) {
				add_string(out, node->keys[i], strlen(node->keys[i]));
				add(out, ":", 1);
			}
			emit(out, node->items[i]);
		}
		add(out, map ? "}" : "]", 1);
	}
}

char *doc_json(const struct node *node)
{
	struct text out = { 0 };

	emit(&out, node);
	return out.s;
}
