// SPDX-License-Identifier: MIT
// flake.pilot: state_dir, composed_image, composed_name, watch, record_composed, instance,
// forget_instance.
// Reference: doc/api/pilot.md
#include "bind_pilot.h"

#include <stdlib.h>
#include <unistd.h>

#include "composed.h"
#include "instance.h"
#include "lua_util.h"
#include "state.h"
#include "util.h"

static void destroy_strv(void *p)
{
	strv_free(p);
	free(p);
}

static void destroy_instance(void *p)
{
	instance_free(p);
	free(p);
}

static int l_state_dir(lua_State *L)
{
	struct error err = { 0 };
	void **box = lu_box(L, free);
	int fd = state_open((char **)box, &err);

	if (fd < 0)
		return lu_fail(L, &err);
	close(fd);
	lua_pushstring(L, *box);
	return 1;
}

static int l_composed_image(lua_State *L)
{
	const char *flake = luaL_checkstring(L, 1);
	void **box = lu_box(L, free);

	*box = composed_image(flake, false);
	lua_pushstring(L, *box); // NULL: nil
	return 1;
}

static int l_composed_name(lua_State *L)
{
	const char *flake = luaL_checkstring(L, 1);
	void **box = lu_box(L, free);

	*box = composed_name(flake);
	lua_pushstring(L, *box);
	return 1;
}

static int l_watch(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	void **box = lu_box(L, free);

	*box = composed_watch(path);
	lua_pushstring(L, *box);
	return 1;
}

static int l_record_composed(lua_State *L)
{
	const char *flake = luaL_checkstring(L, 1), *image = luaL_checkstring(L, 2);
	const char **paths = NULL;
	struct error err = { 0 };
	void **box;

	luaL_checktype(L, 3, LUA_TTABLE);
	if (luaL_len(L, 3) > 0)
		paths = lu_check_argv(L, 3);
	box = lu_box(L, destroy_strv);
	*box = xcalloc(1, sizeof(struct strv));
	for (; paths && *paths; paths++)
		strv_push(*box, *paths);
	if (composed_record(flake, image, *box, &err) < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_instance(lua_State *L)
{
	const char *key = luaL_checkstring(L, 1);
	void **box = lu_box(L, destroy_instance);
	struct instance *instance = xcalloc(1, sizeof(*instance));
	struct error err = { 0 };
	int dir, runs;

	*box = instance;
	dir = state_open(NULL, &err);
	if (dir < 0)
		return lu_fail(L, &err);
	runs = instance_load(dir, key, instance);
	close(dir);
	if (!runs)
		return 0;
	lua_createtable(L, 0, 2);
	lua_pushstring(L, instance->id);
	lua_setfield(L, -2, "id");
	lua_pushinteger(L, instance->pid);
	lua_setfield(L, -2, "pid");
	return 1;
}

static int l_forget_instance(lua_State *L)
{
	const char *key = luaL_checkstring(L, 1);
	struct error err = { 0 };
	int dir = state_open(NULL, &err);

	if (dir < 0)
		return lu_fail(L, &err);
	instance_forget(dir, key);
	close(dir);
	lua_pushboolean(L, 1);
	return 1;
}

void state_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "state_dir", l_state_dir },
					      { "composed_image", l_composed_image },
					      { "composed_name", l_composed_name },
					      { "watch", l_watch },
					      { "record_composed", l_record_composed },
					      { "instance", l_instance },
					      { "forget_instance", l_forget_instance },
					      { NULL, NULL } };

	luaL_setfuncs(L, functions, 0);
}
