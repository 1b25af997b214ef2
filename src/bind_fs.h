// SPDX-License-Identifier: MIT
// The parts of flake.fs: reading and asking, changing, owners and modes, temporary directories,
// foreign trees.
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <sys/stat.h>

#include "error.h"

// Pushes true (rc 0) or nil, message, code from errno with the failed path.
int bind_fs_result(lua_State *L, int rc, const char *what, const char *path);

// Pushes true (rc 0) or nil, message, code of err.
int bind_fs_done(lua_State *L, int rc, struct error *err);

// Makes a class of objects with these methods, if there is none of that name.
void bind_fs_class(lua_State *L, const char *name, const luaL_Reg *methods);

void bind_fs_push_stat(lua_State *L, const struct stat *st);

// Pushes the sorted names in a directory, or nil, message with the path as shown, code.
int bind_fs_push_names(lua_State *L, int dirfd, const char *path, const char *shown);

// Add functions to the table at the top.
void bind_fs_query_register(lua_State *L);
void bind_fs_repair_register(lua_State *L);
void bind_fs_temp_register(lua_State *L);
void bind_tree_register(lua_State *L);
