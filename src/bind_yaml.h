// SPDX-License-Identifier: MIT
// Shared by the files of flake.yaml.
#pragma once

#include <lua.h>
#include <stdbool.h>

// Is the table at idx marked as a list?
bool yaml_is_list(lua_State *L, int idx);

// Adds dump to the module table at the top of the stack.
void yaml_dump_register(lua_State *L);
