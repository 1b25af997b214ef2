// SPDX-License-Identifier: MIT
// Bytes as a definition: parse, merge over itself, read the schema, make a plan, emit, parse again.
#include <stdint.h>

#include "flake_schema.h"
#include "pilot.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// The state of instances stays out of the host's.
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return setenv("FLAKE_ROOT", "/proc/self/cwd/build/fuzz", 1);
}

static void round_trip(const struct node *doc)
{
	cleanup_error struct error err = { 0 };
	cleanup_node struct node *again = NULL;
	cleanup_free char *text = NULL;
	size_t len;

	text = doc_emit(doc, &len, &err);
	if (!text)
		return;
	again = doc_parse(text, len, "emitted", &err);
	if (!again || again->type != doc->type || again->n != doc->n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char arg[] = "arg";
	char *args[] = { arg, NULL };
	cleanup_error struct error err = { 0 };
	cleanup_flake struct flake flake = { 0 };
	cleanup_plan struct plan plan = { 0 };
	struct call call = { .args = args, .tty = 0 };
	struct node *over;

	flake.doc = doc_parse((const char *)data, size, "fuzz", &err);
	over = doc_parse((const char *)data, size, "fuzz", NULL);
	if (!flake.doc || !over) {
		node_free(over);
		return 0;
	}
	flake.doc = doc_merge(flake.doc, over);
	round_trip(flake.doc);
	flake.name = xstrdup("fuzz");
	flake.command = xstrdup("fuzz");
	flake.file = xstrdup("fuzz.yaml");
	if (schema_read(&flake, &err) == 0)
		plan_make(&plan, &flake, &call, &engine_podman, &err);
	return 0;
}
