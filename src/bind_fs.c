// SPDX-License-Identifier: MIT
// flake.fs: what changes files. Reference: doc/api/fs.md
#include "bind_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fs.h"
#include "lua_util.h"
#include "syscalls.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_fs(lua_State *L);

static const char *const LOCK = "flake.fs.lock";

int bind_fs_result(lua_State *L, int rc, const char *what, const char *path)
{
	struct error err = { 0 };

	if (rc < 0) {
		error_set(&err, errno, "cannot %s %s", what, path);
		return lu_fail(L, &err);
	}
	lua_pushboolean(L, 1);
	return 1;
}

int bind_fs_done(lua_State *L, int rc, struct error *err)
{
	if (rc < 0)
		return lu_fail(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_write(lua_State *L)
{
	static const char *const keys[] = { "mode", "exclusive", NULL };
	struct error err = { 0 };
	const char *path = luaL_checkstring(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);

	lu_check_keys(L, 3, keys);
	return bind_fs_done(L,
			    fs_write(path, data, len, (mode_t)lu_opt_int(L, 3, "mode", 0644),
				     lu_opt_bool(L, 3, "exclusive", false), &err),
			    &err);
}

static int l_copy(lua_State *L)
{
	static const char *const keys[] = { "mode", NULL };
	struct error err = { 0 };

	lu_check_keys(L, 3, keys);
	return bind_fs_done(L,
			    fs_copy(luaL_checkstring(L, 1), luaL_checkstring(L, 2),
				    (mode_t)lu_opt_int(L, 3, "mode", 0644), &err),
			    &err);
}

static int l_lock(lua_State *L)
{
	static const char *const keys[] = { "shared", "timeout", NULL };
	struct error err = { 0 };
	const char *path = luaL_checkstring(L, 1);
	bool shared;
	double timeout;
	int *fd;

	lu_check_keys(L, 2, keys);
	shared = lu_opt_bool(L, 2, "shared", false);
	timeout = lu_opt_number(L, 2, "timeout", -1);
	fd = lua_newuserdatauv(L, sizeof(*fd), 0);
	*fd = -1;
	luaL_setmetatable(L, LOCK);
	*fd = fs_lock(path, shared, timeout, &err);
	return *fd < 0 ? lu_fail(L, &err) : 1;
}

static int l_unlock(lua_State *L)
{
	int *fd = luaL_checkudata(L, 1, LOCK);

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return 0;
}

static int l_mkdir(lua_State *L)
{
	struct error err = { 0 };

	return bind_fs_done(
		L, fs_mkdir(luaL_checkstring(L, 1), (mode_t)luaL_optinteger(L, 2, 0755), &err),
		&err);
}

static int l_mkdir_p(lua_State *L)
{
	struct error err = { 0 };

	return bind_fs_done(
		L, fs_mkdir_p(luaL_checkstring(L, 1), (mode_t)luaL_optinteger(L, 2, 0755), &err),
		&err);
}

static int l_remove_tree(lua_State *L)
{
	struct error err = { 0 };

	return bind_fs_done(L, fs_remove_tree(luaL_checkstring(L, 1), &err), &err);
}

static int l_fsync(lua_State *L)
{
	struct error err = { 0 };

	return bind_fs_done(L, fs_sync(luaL_checkstring(L, 1), &err), &err);
}

static int l_symlink(lua_State *L)
{
	const char *target = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);

	return bind_fs_result(L, symlink(target, path), "make link", path);
}

static int l_unlink(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	return bind_fs_result(L, unlink(path), "remove", path);
}

static int l_rmdir(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	return bind_fs_result(L, rmdir(path), "remove directory", path);
}

static int l_rename(lua_State *L)
{
	const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);

	return bind_fs_result(L, rename(from, to), "rename", from);
}

static int l_exchange(lua_State *L)
{
	const char *a = luaL_checkstring(L, 1), *b = luaL_checkstring(L, 2);

	return bind_fs_result(L, sys_exchange(a, b), "exchange", a);
}

static int l_chown(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	uid_t uid = (uid_t)luaL_checkinteger(L, 2);
	gid_t gid = (gid_t)luaL_checkinteger(L, 3);

	return bind_fs_result(L, lchown(path, uid, gid), "change owner of", path);
}

void bind_fs_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
	if (luaL_newmetatable(L, name)) {
		luaL_setfuncs(L, methods, 0);
		lua_pushvalue(L, -1);
		lua_setfield(L, -2, "__index");
	}
	lua_pop(L, 1);
}

int luaopen_flake_fs(lua_State *L)
{
	static const luaL_Reg lock[] = { { "unlock", l_unlock },
					 { "__gc", l_unlock },
					 { "__close", l_unlock },
					 { NULL, NULL } };
	static const luaL_Reg functions[] = {
		{ "write", l_write },	  { "copy", l_copy },
		{ "lock", l_lock },	  { "mkdir", l_mkdir },
		{ "mkdir_p", l_mkdir_p }, { "remove_tree", l_remove_tree },
		{ "fsync", l_fsync },	  { "symlink", l_symlink },
		{ "unlink", l_unlink },	  { "rmdir", l_rmdir },
		{ "rename", l_rename },	  { "exchange", l_exchange },
		{ "chown", l_chown },	  { NULL, NULL }
	};

	bind_fs_class(L, LOCK, lock);
	luaL_newlib(L, functions);
	bind_fs_query_register(L);
	bind_fs_temp_register(L);
	bind_fs_repair_register(L);
	bind_tree_register(L);
	return 1;
}
