// SPDX-License-Identifier: MIT
// flake.pilot: size, kvm, vm_storage, vm_template, vm_instances, vm_stop, vm_snapshot. Reference:
// doc/api/pilot.md
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "../pilots/firecracker.h"
#include "../pilots/firecracker_place.h"
#include "../pilots/firecracker_snapshot.h"
#include "bind_pilot.h"
#include "instance.h"
#include "lua_util.h"
#include "size.h"
#include "state.h"
#include "util.h"

static int l_size(lua_State *L)
{
	uint64_t bytes;

	if (size_parse(luaL_checkstring(L, 1), &bytes) < 0)
		return 0;
	lua_pushinteger(L, (lua_Integer)bytes);
	return 1;
}

static int l_kvm(lua_State *L)
{
	void **box = lu_box(L, free);

	lua_pushboolean(L, vm_kvm((char **)box));
	lua_pushstring(L, *box);
	return 2;
}

static int l_vm_storage(lua_State *L)
{
	struct error err = { 0 };
	void **box = lu_box(L, free);
	int fd = vm_storage((char **)box, &err);

	if (fd < 0)
		return lu_fail(L, &err);
	close(fd);
	lua_pushstring(L, *box);
	return 1;
}

static void destroy_strv(void *p)
{
	strv_free(p);
	free(p);
}

static int l_vm_template(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1);
	lua_Integer bytes = luaL_checkinteger(L, 2);
	const char **includes = NULL;
	void **list, **box;

	luaL_checktype(L, 3, LUA_TTABLE);
	if (luaL_len(L, 3) > 0)
		includes = lu_check_argv(L, 3);
	list = lu_box(L, destroy_strv);
	*list = xcalloc(1, sizeof(struct strv));
	for (; includes && *includes; includes++)
		strv_push(*list, *includes);
	box = lu_box(L, free);
	*box = vm_template_name(name, (uint64_t)bytes, *list);
	lua_pushstring(L, *box);
	return 1;
}

static void destroy_instance(void *p)
{
	instance_free(p);
	free(p);
}

// Appends a row of the instance of that key to the list at the top, if it is a VM that runs.
static void add_instance(lua_State *L, int state, const char *key)
{
	void **box = lu_box(L, destroy_instance);
	struct instance *instance = xcalloc(1, sizeof(*instance));

	*box = instance;
	if (instance_load(state, key, instance) > 0 && instance->flake) {
		lua_createtable(L, 0, 6);
		lu_set_string(L, "key", key);
		lu_set_string(L, "flake", instance->flake);
		lu_set_string(L, "instance", instance->name);
		lu_set_string(L, "engine", instance->id);
		lu_set_string(L, "socket", instance->runtime);
		lua_pushinteger(L, instance->pid);
		lua_setfield(L, -2, "pid");
		lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
	}
	lua_pop(L, 1);
}

static void close_directory(void *p)
{
	closedir(p);
}

static int l_vm_instances(lua_State *L)
{
	struct error err = { 0 };
	void **box = lu_box(L, close_directory);
	int fd = state_open(NULL, &err);
	const struct dirent *entry;

	if (fd < 0)
		return lu_fail(L, &err);
	*box = fdopendir(fd);
	if (instance_tells(&err) < 0)
		return lu_fail(L, &err);
	lua_newtable(L);
	while (*box && (entry = readdir(*box))) {
		size_t len = strlen(entry->d_name);

		if (!str_ends(entry->d_name, ".run"))
			continue;
		lua_pushlstring(L, entry->d_name, len - strlen(".run"));
		lua_insert(L, -2);
		add_instance(L, fd, lua_tostring(L, -2));
		lua_remove(L, -2);
	}
	return 1;
}

static int l_vm_stop(lua_State *L)
{
	const char *key = luaL_checkstring(L, 1);
	struct error err = { 0 };
	int state = state_open(NULL, &err);
	int rc;

	if (state < 0)
		return lu_fail(L, &err);
	rc = vm_stop(state, key, &err);
	close(state);
	if (rc < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_vm_snapshot(lua_State *L)
{
	struct error err = { 0 };
	const struct plan *plan = pilot_check_plan(L, 1);

	if (vm_snapshot_make(plan, &err) < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

void vm_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "size", l_size },
					      { "kvm", l_kvm },
					      { "vm_storage", l_vm_storage },
					      { "vm_template", l_vm_template },
					      { "vm_stop", l_vm_stop },
					      { "vm_instances", l_vm_instances },
					      { "vm_snapshot", l_vm_snapshot },
					      { NULL, NULL } };

	luaL_setfuncs(L, functions, 0);
}
