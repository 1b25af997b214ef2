// SPDX-License-Identifier: MIT
// The machine of a VM flake: the keys of older tools (and ours) become options of the engine.
#include <errno.h>
#include <inttypes.h>

#include "flake_schema.h"
#include "size.h"
#include "util.h"

enum { PAGE = 4096 };

static const struct key {
	const char *name, *option;
	enum { PATH, COUNT, MEBIBYTES, SIZE, CACHE, ENGINE, TEXT, ON, OFF, LIST, NOTED } type;
} keys[] = {
	{ "kernel_image_path", "--kernel", PATH },
	{ "rootfs_image_path", "--rootfs", PATH },
	{ "initrd_path", "--initrd", PATH },
	{ "vcpu_count", "--vcpu", COUNT },
	{ "mem_size_mib", "--mem", MEBIBYTES },
	{ "overlay_size", "--overlay-size", SIZE },
	{ "cache_type", "--cache", CACHE },
	{ "engine", "--engine", ENGINE },
	{ "tap", "--tap", TEXT },
	{ "network", "--no-net", OFF },
	{ "snapshot", "--snapshot", ON },
	{ "boot_args", "--boot-arg", LIST },
	{ "tap_made", NULL, NOTED },
};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static bool is_number(const char *text, unsigned long low, unsigned long high)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && n >= low && n <= high;
}

// Why a value is no good; NULL: it is.
static const char *fault(const struct key *key, const char *value)
{
	if (key->type == PATH && value[0] != '/')
		return "must be an absolute path";
	if (key->type == COUNT && !is_number(value, 1, 32))
		return "must be a number from 1 to 32";
	if (key->type == MEBIBYTES && !is_number(value, 32, 1 << 22))
		return "must be a number of MiB, at least 32";
	if (key->type == CACHE && !streq(value, "Writeback") && !streq(value, "Unsafe"))
		return "must be Writeback or Unsafe";
	if (key->type == ENGINE && !streq(value, "auto") && !streq(value, "firecracker") &&
	    !streq(value, "qemu"))
		return "must be auto, firecracker or qemu";
	return NULL;
}

static const char size_rule[] = "must be a size such as 20GiB, from 1MiB to 16TiB";

int size_of_overlay(const char *text, uint64_t *bytes)
{
	if (size_parse(text, bytes) < 0 || *bytes < 1 << 20 || *bytes > 16ULL << 40)
		return -1;
	*bytes = (*bytes + PAGE - 1) / PAGE * PAGE;
	return 0;
}

static int add_size(const struct walk *w, const struct node *at, const struct key *key,
		    const char *value)
{
	uint64_t bytes;

	if (size_of_overlay(value, &bytes) < 0)
		return schema_fail(w, at, key->name, size_rule);
	strv_pushf(&w->flake->options, "%s=%" PRIu64, key->option, bytes);
	return 0;
}

static int add_text(const struct walk *w, const struct node *map, const struct key *key)
{
	const struct node *at = doc_get(map, key->name);
	cleanup_free char *value = NULL;
	const char *why;

	if (schema_text(w, map, key->name, &value) < 0)
		return -1;
	// Empty is how older templates say that there is none.
	if (!value || !*value)
		return 0;
	why = fault(key, value);
	if (why)
		return schema_fail(w, at, key->name, why);
	if (key->type == SIZE)
		return add_size(w, at, key, value);
	strv_pushf(&w->flake->options, "%s=%s", key->option, value);
	return 0;
}

static int add_flag(const struct walk *w, const struct node *map, const struct key *key)
{
	bool on = key->type == OFF;

	if (schema_bool(w, map, key->name, &on) < 0)
		return -1;
	if (on == (key->type == ON))
		strv_push(&w->flake->options, key->option);
	return 0;
}

static int add_list(const struct walk *w, const struct node *map, const struct key *key)
{
	cleanup_strv struct strv list = { 0 };

	if (schema_list(w, map, key->name, &list) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		strv_pushf(&w->flake->options, "%s=%s", key->option, list.v[i]);
	return 0;
}

int schema_machine(const struct walk *w, const struct node *map, const char *what)
{
	const char *known[KEYS + 1] = { NULL };
	int rc = 0;

	for (size_t i = 0; i < KEYS && rc == 0; i++) {
		known[i] = keys[i].name;
		if (keys[i].type == ON || keys[i].type == OFF)
			rc = add_flag(w, map, &keys[i]);
		else if (keys[i].type == LIST)
			rc = add_list(w, map, &keys[i]);
		else if (keys[i].type != NOTED)
			rc = add_text(w, map, &keys[i]);
	}
	if (rc == 0)
		schema_note_unknown(w->flake, map, what, known);
	return rc;
}

// Relative includes begin where the definition is.
static void add_includes(struct flake *flake, const struct strv *list, const char *option)
{
	const char *slash = strrchr(flake->file, '/');
	int dir = slash ? (int)(slash - flake->file + 1) : 0;

	for (size_t i = 0; i < list->n; i++)
		strv_pushf(&flake->options, "%s=%.*s%s", option, list->v[i][0] == '/' ? 0 : dir,
			   flake->file, list->v[i]);
}

void schema_machine_includes(struct flake *flake)
{
	add_includes(flake, &flake->include_tar, "--include-tar");
	add_includes(flake, &flake->include_path, "--include-path");
}
