// SPDX-License-Identifier: MIT
// flake.pilot: load, flakes_dir; plans are in bind_plan.c, instances and composed images in
// bind_state.c. Reference: doc/api/pilot.md
#include <stdlib.h>
#include <string.h>

#include "bind_pilot.h"
#include "lua_nodes.h"
#include "lua_util.h"
#include "paths.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_pilot(lua_State *L);

static void destroy_flake(void *p)
{
	flake_free(p);
	free(p);
}

static void push_apps(lua_State *L, const struct flake *flake)
{
	lua_createtable(L, (int)flake->napps, 0);
	for (size_t i = 0; i < flake->napps; i++) {
		const struct flake_app *app = &flake->apps[i];
		const struct flake_instance *instance =
			app->instance ? app->instance : &flake->instance;

		lua_createtable(L, 0, 5);
		lu_set_string(L, "path", app->path);
		lu_set_string(L, "target", app->target);
		lu_set_string(L, "user", app->user ? app->user : flake->user);
		lu_set_bool(L, "resume", instance->resume);
		lu_set_bool(L, "attach", instance->attach);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void set_state_name(lua_State *L, const struct flake *flake)
{
	lua_pushfstring(L, "%s%s", flake->own ? "~" : "", flake->name);
	lua_setfield(L, -2, "state_name");
}

static void push_flake(lua_State *L, const struct flake *flake)
{
	const struct flake_app *app = flake_app_of(flake, flake->command);
	const struct flake_instance *instance = app->instance ? app->instance : &flake->instance;

	lua_createtable(L, 0, 23);
	lu_set_string(L, "name", flake->name);
	lu_set_string(L, "command", flake->command);
	lu_set_string(L, "engine", flake->engine);
	lu_set_string(L, "file", flake->file);
	lu_set_string(L, "image", flake->image);
	lu_set_string(L, "app", app->path);
	lu_set_string(L, "target", app->target);
	lu_set_string(L, "user", app->user ? app->user : flake->user);
	lu_set_string(L, "base", flake->base);
	lu_set_bool(L, "resume", instance->resume);
	lu_set_bool(L, "attach", instance->attach);
	lu_set_bool(L, "own", flake->own);
	set_state_name(L, flake);
	lu_set_bool(L, "user_may_override", flake->user_may_override);
	lu_set_bool(L, "check_host_dependencies", flake->check_host_dependencies);
	lu_set_strv(L, "files", &flake->files);
	lu_set_strv(L, "options", &flake->options);
	lu_set_strv(L, "share", &flake->share);
	lu_set_strv(L, "layers", &flake->layers);
	lu_set_strv(L, "archives", &flake->archives);
	lu_set_string(L, "signature_policy", flake->signature_policy);
	lu_set_strv(L, "signature_keys", &flake->signature_keys);
	lu_set_strv(L, "unknown", &flake->unknown);
	lu_set_strv(L, "unknown_at", &flake->unknown_at);
	lua_createtable(L, 0, 2);
	lu_set_strv(L, "tar", &flake->include_tar);
	lu_set_strv(L, "path", &flake->include_path);
	lua_setfield(L, -2, "include");
	push_apps(L, flake);
	lua_setfield(L, -2, "apps");
	lua_push_node(L, flake->doc, false);
	lua_setfield(L, -2, "doc");
}

struct flake *pilot_load(lua_State *L, const char *name, int opts,
			 int (*find)(const char *, const struct flake_where *, struct flake *,
				     struct error *),
			 struct error *err)
{
	struct flake_where where = { .prefix = lu_opt_string(L, opts, "root", NULL),
				     .user_dir = lu_opt_string(L, opts, "user_dir", NULL),
				     .dir = lu_opt_string(L, opts, "dir", NULL),
				     .own = lu_opt_bool(L, opts, "own", false) };
	void **box = lu_box(L, destroy_flake);

	*box = xcalloc(1, sizeof(struct flake));
	return find(name, &where, *box, err) < 0 ? NULL : *box;
}

static int l_load(lua_State *L)
{
	static const char *const keys[] = { "root", "user_dir", "dir", "own", NULL };
	const char *name = luaL_checkstring(L, 1);
	struct error err = { 0 };
	const struct flake *flake;

	lu_check_keys(L, 2, keys);
	flake = pilot_load(L, name, 2, flake_load, &err);
	if (!flake)
		return lu_fail(L, &err);
	push_flake(L, flake);
	return 1;
}

static int l_flakes_dir(lua_State *L)
{
	lua_pushfstring(L, "%s%s", luaL_optstring(L, 1, paths_prefix()), FLAKES_DIR);
	return 1;
}

int luaopen_flake_pilot(lua_State *L)
{
	static const luaL_Reg functions[] = { { "load", l_load },
					      { "flakes_dir", l_flakes_dir },
					      { NULL, NULL } };

	lua_getglobal(L, "require");
	lua_pushliteral(L, "flake.yaml");
	lua_call(L, 1, 0);
	luaL_newlib(L, functions);
	plan_register(L);
	options_register(L);
	state_register(L);
	vm_register(L);
	lua_newtable(L);
	for (lua_Integer i = 0; flake_share_words[i]; i++) {
		lua_pushstring(L, flake_share_words[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "share_words");
	return 1;
}
