// SPDX-License-Identifier: MIT
#include <errno.h>
#include <yaml.h>

#include "doc.h"
#include "util.h"

bool doc_text_is_ambiguous(const char *text, size_t len)
{
	static const char *const words[] = { "~", "null", "true", "false", "yes", "no", "on", "off",
					     "y", "n",	  ".inf", ".nan",  "<<",  "=",	NULL };
	size_t digits = 0;

	if (len == 0 || strlen(text) != len)
		return true;
	for (size_t i = 0; words[i]; i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	// Numbers, dates and sexagesimals of YAML 1.1 start like this and hold only these.
	for (size_t i = 0; i < len; i++) {
		if (!strchr("0123456789abcdefABCDEFxXoO_+-.:eE tTzZ", text[i]))
			return false;
		digits += text[i] >= '0' && text[i] <= '9';
	}
	return digits > 0 && strchr("0123456789+-.", text[0]);
}

static int write_buf(void *data, unsigned char *buf, size_t size)
{
	return fwrite(buf, 1, size, data) == size;
}

// libyaml lets surrogates in UTF-8 through and writes an escape that no reader takes.
static bool has_surrogate(const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if ((unsigned char)text[i] == 0xed && (unsigned char)text[i + 1] >= 0xa0)
			return true;
	return false;
}

static int emit_node(yaml_emitter_t *e, const struct node *node);

static int emit_text(yaml_emitter_t *e, const char *text, size_t len, bool plain)
{
	yaml_event_t ev;
	yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;
	const char *newline = memchr(text, '\n', len);

	if (has_surrogate(text, len))
		return 0;
	if (!plain && doc_text_is_ambiguous(text, len))
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	else if (newline && newline != text && text[0] != ' ' && !memchr(text, '\t', len))
		style = YAML_LITERAL_SCALAR_STYLE;
	// Not const before libyaml 0.2.5.
	return yaml_scalar_event_initialize(&ev, NULL, NULL, (yaml_char_t *)text, (int)len, 1, 1,
					    style) &&
	       yaml_emitter_emit(e, &ev);
}

static int emit_seq(yaml_emitter_t *e, const struct node *node)
{
	yaml_event_t ev;

	if (!yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) ||
	    !yaml_emitter_emit(e, &ev))
		return 0;
	for (size_t i = 0; i < node->n; i++)
		if (!emit_node(e, node->items[i]))
			return 0;
	return yaml_sequence_end_event_initialize(&ev) && yaml_emitter_emit(e, &ev);
}

static int emit_map(yaml_emitter_t *e, const struct node *node)
{
	yaml_event_t ev;

	if (!yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
	    !yaml_emitter_emit(e, &ev))
		return 0;
	for (size_t i = 0; i < node->n; i++)
		if (!emit_text(e, node->keys[i], strlen(node->keys[i]), false) ||
		    !emit_node(e, node->items[i]))
			return 0;
	return yaml_mapping_end_event_initialize(&ev) && yaml_emitter_emit(e, &ev);
}

static int emit_node(yaml_emitter_t *e, const struct node *node)
{
	switch (node->type) {
	case NODE_NULL:
		return emit_text(e, "~", 1, true);
	case NODE_SCALAR:
		return emit_text(e, node->value, node->len, node->plain);
	case NODE_SEQ:
		return emit_seq(e, node);
	case NODE_MAP:
		return emit_map(e, node);
	}
	return 0;
}

static int emit_document(yaml_emitter_t *e, const struct node *node)
{
	yaml_event_t ev;

	return yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING) &&
	       yaml_emitter_emit(e, &ev) &&
	       yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1) &&
	       yaml_emitter_emit(e, &ev) && emit_node(e, node) &&
	       yaml_document_end_event_initialize(&ev, 1) && yaml_emitter_emit(e, &ev) &&
	       yaml_stream_end_event_initialize(&ev) && yaml_emitter_emit(e, &ev) &&
	       yaml_emitter_flush(e);
}

char *doc_emit(const struct node *node, size_t *len, struct error *err)
{
	cleanup_free char *text = NULL;
	FILE *out = open_memstream(&text, len);
	yaml_emitter_t emitter;
	bool good;

	if (!out || !yaml_emitter_initialize(&emitter)) {
		error_set(err, errno, "cannot write YAML");
		if (out)
			fclose(out);
		return NULL;
	}
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	yaml_emitter_set_output(&emitter, write_buf, out);
	good = emit_document(&emitter, node);
	if (!good)
		error_set(err, ERR_YAML, "cannot write YAML: %s",
			  emitter.problem ? emitter.problem : "not UTF-8 text");
	yaml_emitter_delete(&emitter);
	fclose(out);
	return good ? steal_ptr(&text) : NULL;
}
