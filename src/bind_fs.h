// SPDX-License-Identifier: MIT
// The two halves of flake.fs: reading and asking, changing.
#pragma once

#include <lua.h>

// Pushes true (rc 0) or nil, message, code from errno with the failed path.
int bind_fs_result(lua_State *L, int rc, const char *what, const char *path);

void bind_fs_query_register(lua_State *L); // adds functions to the table at the top
