// SPDX-License-Identifier: MIT
// YAML document as a tree (YAML 1.2, https://yaml.org/spec/1.2.2/, read and written with libyaml).
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

enum node_type { NODE_NULL, NODE_SCALAR, NODE_SEQ, NODE_MAP };

// A map keeps its pairs in file order: keys[i] belongs to items[i].
struct node {
	enum node_type type;
	bool plain;  // scalar written without quotes or block style
	char *value; // scalar text, NUL-terminated
	size_t len;  // its length in bytes
	char **keys;
	struct node **items;
	size_t n;
	const char *file; // doc_parse's name, which its caller keeps; NULL if made by us
	size_t line;	  // 1-based place in the source; 0 if made by us
};

// Limits on foreign input, in bytes, nodes (aliases expanded) and levels.
enum { DOC_MAX_BYTES = 16 << 20, DOC_MAX_NODES = 1 << 20, DOC_MAX_DEPTH = 64 };

// Parses one document; an empty text is NODE_NULL. name stands in messages: "name:line:column:
// why", and in the nodes.
struct node *doc_parse(const char *text, size_t len, const char *name, struct error *err);

// Reads and parses a regular file of at most DOC_MAX_BYTES that fd is open on.
struct node *doc_read(int fd, const char *path, struct error *err);

// Merges over into base and consumes it: maps merge by key, null keeps, all else replaces.
// Returns the result (base or over).
struct node *doc_merge(struct node *base, struct node *over);

// Value of a map's key; NULL if node is NULL, no map or has no such key.
struct node *doc_get(const struct node *map, const char *key);

// Block-style YAML text of the tree, NUL-terminated. Ambiguous strings are quoted.
char *doc_emit(const struct node *node, size_t *len, struct error *err);

// JSON text of the tree on one line: plain whole numbers, true and false as such, everything else
// as strings; bytes that are not UTF-8 become U+FFFD. Caller frees.
char *doc_json(const struct node *node);

// Would a YAML 1.1 or 1.2 reader take this plain text for something that is no string?
bool doc_text_is_ambiguous(const char *text, size_t len);

struct node *node_new(enum node_type type);
struct node *node_scalar(const char *text, size_t len, bool plain);
void node_add(struct node *parent, char *key, struct node *child); // owns both
void node_free(struct node *node);
void cleanup_nodep(struct node **node);
#define cleanup_node __attribute__((cleanup(cleanup_nodep)))
