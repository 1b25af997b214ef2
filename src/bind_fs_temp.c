// SPDX-License-Identifier: MIT
// flake.fs: temporary directories. Reference: doc/api/fs.md
#include "bind_fs.h"
#include "fs.h"
#include "fs_temp.h"
#include "lua_util.h"
#include "util.h"

static const char *const TEMP = "flake.fs.temp";

// The path is NULL when it is closed.
struct temp {
	char *path;
	int lock;
};

static int l_temp_dir(lua_State *L)
{
	static const char *const keys[] = { "dir", "prefix", NULL };
	struct error err = { 0 };
	const char *dir, *prefix;
	struct temp *temp;

	lu_check_keys(L, 1, keys);
	dir = lu_opt_string(L, 1, "dir", NULL);
	prefix = lu_opt_string(L, 1, "prefix", NULL);
	temp = lua_newuserdatauv(L, sizeof(*temp), 0);
	*temp = (struct temp){ .lock = -1 };
	luaL_setmetatable(L, TEMP);
	temp->lock = fs_temp_open(dir, prefix, &temp->path, &err);
	return temp->path ? 1 : lu_fail(L, &err);
}

static int l_temp_path(lua_State *L)
{
	struct temp *temp = luaL_checkudata(L, 1, TEMP);

	lua_pushstring(L, temp->path);
	return 1;
}

static int l_temp_close(lua_State *L)
{
	struct temp *temp = luaL_checkudata(L, 1, TEMP);

	if (temp->path)
		fs_remove_tree(temp->path, NULL);
	if (temp->lock >= 0)
		close(temp->lock);
	free(temp->path);
	*temp = (struct temp){ .lock = -1 };
	return 0;
}

static void free_list(void *p)
{
	strv_free(p);
	free(p);
}

static int l_temp_left(lua_State *L)
{
	const char *dir = luaL_checkstring(L, 1), *prefix = luaL_checkstring(L, 2);
	bool remove = lua_toboolean(L, 3);
	void **box = lu_box(L, free_list);
	struct strv *found;

	*box = found = xcalloc(1, sizeof(*found));
	fs_temp_left(dir, prefix, remove, found);
	lua_createtable(L, (int)found->n, 0);
	for (size_t i = 0; i < found->n; i++) {
		lua_pushstring(L, found->v[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

void bind_fs_temp_register(lua_State *L)
{
	static const luaL_Reg temp[] = { { "path", l_temp_path },
					 { "close", l_temp_close },
					 { "__gc", l_temp_close },
					 { "__close", l_temp_close },
					 { NULL, NULL } };
	static const luaL_Reg functions[] = { { "temp_dir", l_temp_dir },
					      { "temp_left", l_temp_left },
					      { NULL, NULL } };

	bind_fs_class(L, TEMP, temp);
	luaL_setfuncs(L, functions, 0);
}
