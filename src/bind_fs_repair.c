// SPDX-License-Identifier: MIT
// flake.fs: owners and modes. Reference: doc/api/fs.md
#include "bind_fs.h"
#include "fs_repair.h"
#include "lua_util.h"
#include "strv.h"
#include "util.h"

static void free_list(void *p)
{
	strv_free(p);
	free(p);
}

static int l_chmod(lua_State *L)
{
	struct error err = { 0 };

	return bind_fs_done(
		L, fs_chmod(luaL_checkstring(L, 1), (mode_t)luaL_checkinteger(L, 2), &err), &err);
}

static int l_take_dir(lua_State *L)
{
	struct error err = { 0 };
	int rc = fs_take_dir(luaL_checkstring(L, 1), (mode_t)luaL_checkinteger(L, 2), &err);

	if (rc < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, rc);
	return 1;
}

// Owner and path in turn, a "-" before the owner of what was changed: Lua may raise, and does not
// while the core has descriptors.
static void on_tightened(void *arg, const char *path, bool foreign, uid_t owner)
{
	struct strv *found = arg;

	strv_pushf(found, "%s%u", foreign ? "" : "-", owner);
	strv_push(found, path);
}

static void push_found(lua_State *L, const struct strv *found, bool foreign)
{
	lua_newtable(L);
	for (size_t i = 0; i < found->n; i += 2) {
		if ((found->v[i][0] != '-') != foreign)
			continue;
		lua_newtable(L);
		lua_pushstring(L, found->v[i + 1]);
		lua_setfield(L, -2, "path");
		lua_pushinteger(L, labs(atol(found->v[i])));
		lua_setfield(L, -2, "owner");
		lua_rawseti(L, -2, luaL_len(L, -2) + 1);
	}
}

static int l_tighten(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	void **box = lu_box(L, free_list);
	struct error err = { 0 };
	struct strv *found;

	*box = found = xcalloc(1, sizeof(*found));
	if (fs_tighten(path, on_tightened, found, &err) < 0)
		return lu_fail(L, &err);
	push_found(L, found, false);
	push_found(L, found, true);
	return 2;
}

void bind_fs_repair_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "chmod", l_chmod },
					      { "take_dir", l_take_dir },
					      { "tighten", l_tighten },
					      { NULL, NULL } };

	luaL_setfuncs(L, functions, 0);
}
