// SPDX-License-Identifier: MIT
#include "lua_util.h"

#include <string.h>
#include <sys/resource.h>

int lu_fail(lua_State *L, struct error *err)
{
	lua_pushnil(L);
	lua_pushstring(L, err->message ? err->message : "unknown error");
	lua_pushstring(L, error_name(err->code));
	error_clear(err);
	return 3;
}

static int is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(*known, key) == 0)
			return 1;
	return 0;
}

void lu_check_keys(lua_State *L, int idx, const char *const *known)
{
	if (lua_isnoneornil(L, idx))
		return;
	luaL_checktype(L, idx, LUA_TTABLE);
	idx = lua_absindex(L, idx);
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
		if (lua_type(L, -2) != LUA_TSTRING || !is_known(lua_tostring(L, -2), known))
			luaL_error(L, "unknown option '%s'", luaL_tolstring(L, -2, NULL));
}

// Pushes the field (nil if there is no table) and returns its type.
static int push_field(lua_State *L, int idx, const char *key)
{
	if (!lua_istable(L, idx)) {
		lua_pushnil(L);
		return LUA_TNIL;
	}
	return lua_getfield(L, idx, key);
}

static void bad_field(lua_State *L, const char *key, const char *want)
{
	luaL_error(L, "option '%s' must be a %s, not a %s", key, want, luaL_typename(L, -1));
}

const char *lu_check_text(lua_State *L, int idx, const char *what)
{
	size_t len;
	const char *text = lua_tolstring(L, idx, &len);

	if (strlen(text) != len)
		luaL_error(L, "%s holds a NUL byte", what);
	return text;
}

const char *lu_opt_string(lua_State *L, int idx, const char *key, const char *def)
{
	const char *value = def;
	int type = push_field(L, idx, key);

	if (type == LUA_TSTRING)
		value = lu_check_text(L, -1, key);
	else if (type != LUA_TNIL)
		bad_field(L, key, "string");
	lua_pop(L, 1);
	return value;
}

lua_Integer lu_opt_int(lua_State *L, int idx, const char *key, lua_Integer def)
{
	lua_Integer value = def;
	int is_int = 1;

	if (push_field(L, idx, key) != LUA_TNIL)
		value = lua_tointegerx(L, -1, &is_int);
	if (!is_int || lua_type(L, -1) == LUA_TSTRING)
		bad_field(L, key, "whole number");
	lua_pop(L, 1);
	return value;
}

lua_Number lu_opt_number(lua_State *L, int idx, const char *key, lua_Number def)
{
	lua_Number value = def;
	int type = push_field(L, idx, key);

	if (type == LUA_TNUMBER)
		value = lua_tonumber(L, -1);
	else if (type != LUA_TNIL)
		bad_field(L, key, "number");
	lua_pop(L, 1);
	return value;
}

bool lu_opt_bool(lua_State *L, int idx, const char *key, bool def)
{
	bool value = def;
	int type = push_field(L, idx, key);

	if (type == LUA_TBOOLEAN)
		value = lua_toboolean(L, -1);
	else if (type != LUA_TNIL)
		bad_field(L, key, "boolean");
	lua_pop(L, 1);
	return value;
}

const char **lu_check_argv(lua_State *L, int idx)
{
	lua_Integer n;
	const char **argv;

	idx = lua_absindex(L, idx);
	luaL_checktype(L, idx, LUA_TTABLE);
	n = luaL_len(L, idx);
	if (n < 1)
		luaL_argerror(L, idx, "empty argument vector");
	argv = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof(*argv), 0);
	for (lua_Integer i = 1; i <= n; i++) {
		if (lua_rawgeti(L, idx, i) != LUA_TSTRING)
			luaL_error(L, "argument %d must be a string, not a %s", (int)i,
				   luaL_typename(L, -1));
		argv[i - 1] = lu_check_text(L, -1, "an argument");
		lua_pop(L, 1);
	}
	argv[n] = NULL;
	return argv;
}

void lu_push_strv(lua_State *L, const struct strv *s)
{
	lua_createtable(L, (int)s->n, 0);
	for (size_t i = 0; i < s->n; i++) {
		lua_pushstring(L, s->v[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

struct box {
	void *ptr; // first: lu_box returns its address
	void (*destroy)(void *);
};

static int box_gc(lua_State *L)
{
	struct box *box = lua_touserdata(L, 1);

	if (box->ptr)
		box->destroy(box->ptr);
	box->ptr = NULL;
	return 0;
}

void **lu_box(lua_State *L, void (*destroy)(void *))
{
	struct box *box = lua_newuserdatauv(L, sizeof(*box), 0);

	*box = (struct box){ NULL, destroy };
	if (luaL_newmetatable(L, "flake.box")) {
		lua_pushcfunction(L, box_gc);
		lua_setfield(L, -2, "__gc");
	}
	lua_setmetatable(L, -2);
	return &box->ptr;
}

void lu_set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

void lu_set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

void lu_set_strv(lua_State *L, const char *key, const struct strv *value)
{
	lu_push_strv(L, value);
	lua_setfield(L, -2, key);
}

void lu_push_usage(lua_State *L, const struct rusage *usage)
{
	lua_createtable(L, 0, 3);
	lua_pushnumber(L, (lua_Number)usage->ru_utime.tv_sec +
				  (lua_Number)usage->ru_utime.tv_usec / 1e6);
	lua_setfield(L, -2, "user");
	lua_pushnumber(L, (lua_Number)usage->ru_stime.tv_sec +
				  (lua_Number)usage->ru_stime.tv_usec / 1e6);
	lua_setfield(L, -2, "system");
	lua_pushinteger(L, usage->ru_maxrss * 1024);
	lua_setfield(L, -2, "max_rss");
}
