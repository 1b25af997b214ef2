// SPDX-License-Identifier: MIT
// YAML trees as Lua values; needs flake.yaml to have been opened (for yaml.null and list marks).
#pragma once

#include <lua.h>
#include <stdbool.h>

#include "doc.h"

// Pushes the Lua value of a node; text keeps every scalar a string.
void lua_push_node(lua_State *L, const struct node *node, bool text);
