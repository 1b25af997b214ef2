// SPDX-License-Identifier: MIT
#include "doc.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <yaml.h>

#include "util.h"

struct node *node_new(enum node_type type)
{
	struct node *node = xcalloc(1, sizeof(*node));

	node->type = type;
	return node;
}

struct node *node_scalar(const char *text, size_t len, bool plain)
{
	struct node *node = node_new(NODE_SCALAR);

	node->value = xmalloc(len + 1);
	memcpy(node->value, text, len);
	node->value[len] = '\0';
	node->len = len;
	node->plain = plain;
	return node;
}

void node_add(struct node *parent, char *key, struct node *child)
{
	if ((parent->n & (parent->n - 1)) == 0) {
		size_t cap = parent->n ? parent->n * 2 : 1;

		parent->items = xrealloc(parent->items, cap * sizeof(*parent->items));
		if (parent->type == NODE_MAP)
			parent->keys = xrealloc(parent->keys, cap * sizeof(*parent->keys));
	}
	if (parent->type == NODE_MAP)
		parent->keys[parent->n] = key;
	parent->items[parent->n++] = child;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->n; i++) {
		if (node->keys)
			free(node->keys[i]);
		node_free(node->items[i]);
	}
	free(node->keys);
	free(node->items);
	free(node->value);
	free(node);
}

void cleanup_nodep(struct node **node)
{
	node_free(*node);
}

struct node *doc_get(const struct node *map, const char *key)
{
	if (!map || map->type != NODE_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (streq(map->keys[i], key))
			return map->items[i];
	return NULL;
}

// State of one conversion from libyaml's document.
struct reader {
	yaml_document_t *doc;
	const char *name;
	struct error *err;
	size_t nodes;
};

static struct node *read_node(struct reader *r, int index, int depth);

static struct node *fail_at(struct reader *r, const yaml_node_t *y, const char *why)
{
	error_set(r->err, ERR_YAML, "%s:%zu:%zu: %s", r->name, y->start_mark.line + 1,
		  y->start_mark.column + 1, why);
	return NULL;
}

static struct node *read_scalar(const yaml_node_t *y)
{
	const char *text = (const char *)y->data.scalar.value;
	size_t len = y->data.scalar.length;
	bool plain = y->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		     streq((const char *)y->tag, YAML_STR_TAG);

	if (plain && (len == 0 || streq(text, "~") || streq(text, "null") || streq(text, "Null") ||
		      streq(text, "NULL")))
		return node_new(NODE_NULL);
	return node_scalar(text, len, plain);
}

static struct node *read_seq(struct reader *r, const yaml_node_t *y, int depth)
{
	cleanup_node struct node *seq = node_new(NODE_SEQ);
	const yaml_node_item_t *item = y->data.sequence.items.start;

	for (; item < y->data.sequence.items.top; item++) {
		struct node *child = read_node(r, *item, depth + 1);

		if (!child)
			return NULL;
		node_add(seq, NULL, child);
	}
	return steal_ptr(&seq);
}

static struct node *read_map(struct reader *r, const yaml_node_t *y, int depth)
{
	cleanup_node struct node *map = node_new(NODE_MAP);
	const yaml_node_pair_t *pair = y->data.mapping.pairs.start;

	for (; pair < y->data.mapping.pairs.top; pair++) {
		const yaml_node_t *k = yaml_document_get_node(r->doc, pair->key);
		struct node *child;

		if (!k || k->type != YAML_SCALAR_NODE)
			return fail_at(r, k ? k : y, "a key must be plain text");
		if (strlen((const char *)k->data.scalar.value) != k->data.scalar.length)
			return fail_at(r, k, "NUL byte in a key");
		if (doc_get(map, (const char *)k->data.scalar.value))
			return fail_at(r, k, "this key is here twice");
		child = read_node(r, pair->value, depth + 1);
		if (!child)
			return NULL;
		node_add(map, xstrdup((const char *)k->data.scalar.value), child);
	}
	return steal_ptr(&map);
}

static struct node *read_node(struct reader *r, int index, int depth)
{
	const yaml_node_t *y = yaml_document_get_node(r->doc, index);
	struct node *node = NULL;

	if (!y) {
		error_set(r->err, ERR_YAML, "%s: broken document", r->name);
		return NULL;
	}
	if (depth > DOC_MAX_DEPTH)
		return fail_at(r, y, "nested too deeply");
	if (++r->nodes > DOC_MAX_NODES)
		return fail_at(r, y, "too many values");
	switch (y->type) {
	case YAML_SCALAR_NODE:
		node = read_scalar(y);
		break;
	case YAML_SEQUENCE_NODE:
		node = read_seq(r, y, depth);
		break;
	case YAML_MAPPING_NODE:
		node = read_map(r, y, depth);
		break;
	case YAML_NO_NODE:
		return fail_at(r, y, "empty node");
	}
	if (node) {
		node->file = r->name;
		node->line = y->start_mark.line + 1;
	}
	return node;
}

static int parser_fail(const yaml_parser_t *p, const char *name, struct error *err)
{
	const char *why = p->problem ? p->problem : "not YAML";
	size_t line = p->problem_mark.line + 1, column = p->problem_mark.column + 1;

	if (p->error == YAML_READER_ERROR)
		return error_set(err, ERR_YAML, "%s: byte %zu: %s", name, p->problem_offset, why);
	return error_set(err, ERR_YAML, "%s:%zu:%zu: %s%s%s", name, line, column, why,
			 p->context ? " " : "", p->context ? p->context : "");
}

// A second document would silently be ignored by a careless reader: refuse it.
static int expect_end(yaml_parser_t *p, const char *name, struct error *err)
{
	yaml_document_t more;
	bool has_more;
	size_t line;

	if (!yaml_parser_load(p, &more))
		return parser_fail(p, name, err);
	line = more.start_mark.line + 1;
	has_more = yaml_document_get_root_node(&more) != NULL;
	yaml_document_delete(&more);
	if (has_more)
		return error_set(err, ERR_YAML, "%s:%zu:1: a second document", name, line);
	return 0;
}

// libyaml's composer recurses and searches keys and anchors linearly: bound depth and aliases
// with its cheap event stream before the document is built.
static int check_events(const char *text, size_t len, const char *name, struct error *err)
{
	yaml_parser_t parser;
	size_t depth = 0, aliases = 0;
	int rc = 0;
	bool end = false;

	if (!yaml_parser_initialize(&parser))
		return error_set(err, ENOMEM, "%s", name);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!end && rc == 0) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&parser, &ev)) {
			rc = parser_fail(&parser, name, err);
			break;
		}
		end = ev.type == YAML_STREAM_END_EVENT;
		if (ev.type == YAML_SEQUENCE_START_EVENT || ev.type == YAML_MAPPING_START_EVENT)
			depth++;
		else if (ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT)
			depth--;
		else if (ev.type == YAML_ALIAS_EVENT)
			aliases++;
		if (depth > DOC_MAX_DEPTH || aliases > 1000)
			rc = error_set(err, ERR_YAML, "%s:%zu:%zu: %s", name,
				       ev.start_mark.line + 1, ev.start_mark.column + 1,
				       aliases > 1000 ? "too many aliases" : "nested too deeply");
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&parser);
	return rc;
}

static struct node *parse_with(yaml_parser_t *parser, const char *name, struct error *err)
{
	yaml_document_t doc;
	struct reader r = { .doc = &doc, .name = name, .err = err };
	struct node *root;

	if (!yaml_parser_load(parser, &doc)) {
		parser_fail(parser, name, err);
		return NULL;
	}
	if (!yaml_document_get_root_node(&doc)) {
		yaml_document_delete(&doc);
		return node_new(NODE_NULL);
	}
	root = read_node(&r, 1, 0);
	yaml_document_delete(&doc);
	if (root && expect_end(parser, name, err) < 0) {
		node_free(root);
		return NULL;
	}
	return root;
}

struct node *doc_parse(const char *text, size_t len, const char *name, struct error *err)
{
	yaml_parser_t parser;
	struct node *root;

	if (check_events(text, len, name, err) < 0)
		return NULL;
	if (!yaml_parser_initialize(&parser)) {
		error_set(err, ENOMEM, "%s", name);
		return NULL;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	root = parse_with(&parser, name, err);
	yaml_parser_delete(&parser);
	return root;
}

struct node *doc_read(int fd, const char *path, struct error *err)
{
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len;

	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
		error_set(err, ERR_FLAKE, "cannot read %s: not a regular file", path);
		return NULL;
	}
	if (read_fd_all(fd, DOC_MAX_BYTES, &text, &len, err) < 0) {
		error_wrap(err, "%s", path);
		return NULL;
	}
	return doc_parse(text, len, path, err);
}

// Puts over's value at key; consumes both.
static void merge_pair(struct node *base, char *key, struct node *over)
{
	for (size_t i = 0; i < base->n; i++) {
		if (!streq(base->keys[i], key))
			continue;
		base->items[i] = doc_merge(base->items[i], over);
		free(key);
		return;
	}
	node_add(base, key, over);
}

struct node *doc_merge(struct node *base, struct node *over)
{
	if (over->type == NODE_NULL) {
		node_free(over);
		return base;
	}
	if (base->type != NODE_MAP || over->type != NODE_MAP) {
		node_free(base);
		return over;
	}
	for (size_t i = 0; i < over->n; i++)
		merge_pair(base, over->keys[i], over->items[i]);
	over->n = 0;
	node_free(over);
	return base;
}
