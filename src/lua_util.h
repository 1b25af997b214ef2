// SPDX-License-Identifier: MIT
// What all bind_*.c share: failure triple, checked option tables, argv vectors.
#pragma once

#include <lua.h>
#include <lauxlib.h>
#include <stdbool.h>

#include "error.h"
#include "strv.h"

#define FLAKE_EXPORT __attribute__((visibility("default")))

// Pushes nil, message, code name; clears err; returns 3.
int lu_fail(lua_State *L, struct error *err);

// Raises if the table at idx (or nil/none) has a key that is not in the NULL-terminated list.
void lu_check_keys(lua_State *L, int idx, const char *const *known);

// Fields of an option table (nil/none at idx allowed); raise on a wrong type. The string stays
// owned by the table.
const char *lu_opt_string(lua_State *L, int idx, const char *key, const char *def);
lua_Integer lu_opt_int(lua_State *L, int idx, const char *key, lua_Integer def);
lua_Number lu_opt_number(lua_State *L, int idx, const char *key, lua_Number def);
bool lu_opt_bool(lua_State *L, int idx, const char *key, bool def);

// The string at idx; raises if C would see only its part before a NUL byte.
const char *lu_check_text(lua_State *L, int idx, const char *what);

// The sequence of strings at idx as NULL-terminated array; its memory is a userdata left on the
// stack. Raises on anything but strings without NUL bytes, and on an empty sequence.
const char **lu_check_argv(lua_State *L, int idx);

// Pushes a Lua sequence of the vector's strings.
void lu_push_strv(lua_State *L, const struct strv *s);

// A userdata that owns a C pointer: set *box after the resource was made; destroy(*box) runs when
// the userdata is collected, so a raising Lua call cannot leak it. Left on the stack.
void **lu_box(lua_State *L, void (*destroy)(void *));

// Set a field of the table at the top of the stack; a NULL string is nil.
void lu_set_string(lua_State *L, const char *key, const char *value);
void lu_set_bool(lua_State *L, const char *key, bool value);
void lu_set_strv(lua_State *L, const char *key, const struct strv *value);

// {user=, system=} in seconds, {max_rss=} in bytes.
struct rusage;
void lu_push_usage(lua_State *L, const struct rusage *usage);
