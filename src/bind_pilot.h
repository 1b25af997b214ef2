// SPDX-License-Identifier: MIT
// The parts of flake.pilot: each sets its functions in the table at the top of the stack.
#pragma once

#include <lua.h>

#include "../pilots/pilot.h"
#include "error.h"
#include "flake.h"

void plan_register(lua_State *L);
void options_register(lua_State *L);
void state_register(lua_State *L);
void vm_register(lua_State *L);

// The C plan of the table at idx, in a box left on the stack. Raises where something is missing.
struct plan *pilot_check_plan(lua_State *L, int idx);

// Loads the flake with the options at idx {root, user_dir, dir} into a box on the stack; NULL with
// err set: failed. find: flake_load, or what else finds flakes.
struct flake *pilot_load(lua_State *L, const char *name, int opts,
			 int (*find)(const char *, const struct flake_where *, struct flake *,
				     struct error *),
			 struct error *err);
