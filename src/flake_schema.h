// SPDX-License-Identifier: MIT
// Reads the merged document of a flake into its fields: schema versions 1 and 2.
#pragma once

#include <stdint.h>

#include "flake.h"

// Fills the fields of flake from flake->doc. ERR_FLAKE names file, line and key.
int schema_read(struct flake *flake, struct error *err);

// The schema walk: where we are, for messages and for the list of unknown keys.
struct walk {
	struct flake *flake;
	struct error *err;
};

// ERR_FLAKE "FILE:LINE: 'KEY' WHY"; at may be NULL.
int schema_fail(const struct walk *w, const struct node *at, const char *key, const char *why);

// The value of a key, of the right type; what is missing or null leaves out as it is.
int schema_map(const struct walk *w, const struct node *map, const char *key, struct node **out);
int schema_text(const struct walk *w, const struct node *map, const char *key, char **out);
int schema_bool(const struct walk *w, const struct node *map, const char *key, bool *out);
int schema_list(const struct walk *w, const struct node *map, const char *key, struct strv *out);

// Remembers the keys of map that the schema does not name, as "place.key".
void schema_note_unknown(struct flake *flake, const struct node *map, const char *place,
			 const char *const *known);

// The machine of a VM flake (vm.runtime.firecracker, or engine.params), as options of its engine:
// pilots/firecracker.h. what: the map's name for messages.
int schema_machine(const struct walk *w, const struct node *map, const char *what);
void schema_machine_includes(struct flake *flake);

// Bytes of an overlay, in whole pages. Returns -1 if it is no size from 1 MiB to 16 TiB.
int size_of_overlay(const char *text, uint64_t *bytes);
