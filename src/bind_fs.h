// SPDX-License-Identifier: MIT
// The parts of flake.fs: reading and asking, changing, foreign trees.
#pragma once

#include <lua.h>
#include <sys/stat.h>

// Pushes true (rc 0) or nil, message, code from errno with the failed path.
int bind_fs_result(lua_State *L, int rc, const char *what, const char *path);

void bind_fs_push_stat(lua_State *L, const struct stat *st);

// Pushes the sorted names in a directory, or nil, message with the path as shown, code.
int bind_fs_push_names(lua_State *L, int dirfd, const char *path, const char *shown);

// Add functions to the table at the top.
void bind_fs_query_register(lua_State *L);
void bind_tree_register(lua_State *L);
