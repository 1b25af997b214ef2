// SPDX-License-Identifier: MIT
// What run, spawn and exec share: from the Lua options to a process_spec.
#pragma once

#include <lua.h>

#include "process.h"
#include "strv.h"

// A child being prepared: spec plus our ends of the pipes. Lives in a userdata.
struct child {
	struct process_spec spec;
	struct process_talk talk;
	struct strv env;
	int ends[3]; // the child's ends, ours to close after the start
};

// Pushes the userdata of a child; its __gc ends and frees everything.
struct child *child_new(lua_State *L);

// argv at index 1, options at index 2. Raises on wrong types.
void child_read(lua_State *L, struct child *child);

// Opens what the stdio options name. which: "stdin" … at fd 0 to 2.
int child_open(lua_State *L, struct child *child, struct error *err);

int child_start(struct child *child, struct error *err);
void child_end(struct child *child);

// Pushes {code=…, signal=…}.
void child_push_status(lua_State *L, const struct process_status *status);

extern const char *const CHILD;
void child_register(lua_State *L);
