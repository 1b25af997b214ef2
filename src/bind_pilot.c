// SPDX-License-Identifier: MIT
// flake.pilot: load, plan, compose, run, flakes_dir. Reference: doc/api/pilot.md
#include <stdlib.h>
#include <string.h>

#include "../pilots/pilot.h"
#include "lua_nodes.h"
#include "lua_util.h"
#include "paths.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_pilot(lua_State *L);

static const struct engine *const engines[] = { &engine_podman, NULL };

static const struct engine *find_engine(const char *name)
{
	for (size_t i = 0; name && engines[i]; i++)
		if (streq(engines[i]->name, name))
			return engines[i];
	return NULL;
}

static void destroy_flake(void *p)
{
	flake_free(p);
	free(p);
}

static void destroy_plan(void *p)
{
	plan_free(p);
	free(p);
}

static void set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value); // NULL: nil
	lua_setfield(L, -2, key);
}

static void set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

static void set_strv(lua_State *L, const char *key, const struct strv *value)
{
	lu_push_strv(L, value);
	lua_setfield(L, -2, key);
}

static void push_apps(lua_State *L, const struct flake *flake)
{
	lua_createtable(L, (int)flake->napps, 0);
	for (size_t i = 0; i < flake->napps; i++) {
		lua_createtable(L, 0, 3);
		set_string(L, "path", flake->apps[i].path);
		set_string(L, "target", flake->apps[i].target);
		set_string(L, "user", flake->apps[i].user);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void push_flake(lua_State *L, const struct flake *flake)
{
	const struct flake_app *app = flake_app_of(flake, flake->command);

	lua_createtable(L, 0, 20);
	set_string(L, "name", flake->name);
	set_string(L, "command", flake->command);
	set_string(L, "engine", flake->engine);
	set_string(L, "file", flake->file);
	set_string(L, "image", flake->image);
	set_string(L, "app", app->path);
	set_string(L, "target", app->target);
	set_string(L, "user", app->user ? app->user : flake->user);
	set_string(L, "base", flake->base);
	set_bool(L, "resume", flake->resume);
	set_bool(L, "attach", flake->attach);
	set_bool(L, "own", flake->own);
	set_strv(L, "files", &flake->files);
	set_strv(L, "options", &flake->options);
	set_strv(L, "share", &flake->share);
	set_strv(L, "layers", &flake->layers);
	set_strv(L, "unknown", &flake->unknown);
	lua_createtable(L, 0, 2);
	set_strv(L, "tar", &flake->include_tar);
	set_strv(L, "path", &flake->include_path);
	lua_setfield(L, -2, "include");
	push_apps(L, flake);
	lua_setfield(L, -2, "apps");
	lua_push_node(L, flake->doc, false);
	lua_setfield(L, -2, "doc");
}

// Loads the flake into a box on the stack; NULL: failed.
static struct flake *load(lua_State *L, const char *name, int opts, struct error *err)
{
	struct flake_where where = { .prefix = lu_opt_string(L, opts, "root", NULL),
				     .user_dir = lu_opt_string(L, opts, "user_dir", NULL),
				     .dir = lu_opt_string(L, opts, "dir", NULL) };
	void **box = lu_box(L, destroy_flake);

	*box = xcalloc(1, sizeof(struct flake));
	return flake_load(name, &where, *box, err) < 0 ? NULL : *box;
}

static int l_load(lua_State *L)
{
	static const char *const keys[] = { "root", "user_dir", "dir", NULL };
	const char *name = luaL_checkstring(L, 1);
	struct error err = { 0 };
	const struct flake *flake;

	lu_check_keys(L, 2, keys);
	flake = load(L, name, 2, &err);
	if (!flake)
		return lu_fail(L, &err);
	push_flake(L, flake);
	return 1;
}

// {NAME=value} from the vector of NAME=VALUE.
static void push_env(lua_State *L, const struct strv *env)
{
	lua_createtable(L, 0, (int)env->n);
	for (size_t i = 0; i < env->n; i++) {
		const char *equals = strchr(env->v[i], '=');

		lua_pushlstring(L, env->v[i], (size_t)(equals - env->v[i]));
		lua_pushstring(L, equals + 1);
		lua_rawset(L, -3);
	}
}

static void push_plan(lua_State *L, const struct plan *plan)
{
	lua_createtable(L, 0, 20);
	set_string(L, "flake", plan->flake);
	set_string(L, "command", plan->command);
	set_string(L, "engine", plan->engine);
	set_string(L, "image", plan->image);
	set_string(L, "target", plan->target);
	set_string(L, "user", plan->user);
	set_string(L, "instance", plan->instance);
	set_bool(L, "tty", plan->tty);
	set_bool(L, "remove", plan->remove);
	set_bool(L, "progress", plan->progress);
	set_bool(L, "skip_missing_volumes", plan->skip_missing_volumes);
	set_bool(L, "debug", plan->debug);
	set_bool(L, "own", plan->own);
	set_strv(L, "options", &plan->options);
	set_strv(L, "args", &plan->args);
	set_strv(L, "mounts", &plan->mounts);
	set_string(L, "workdir", plan->workdir);
	set_string(L, "run_user", plan->run_user);
	set_strv(L, "files", &plan->files);
	set_strv(L, "argv", &plan->argv);
	push_env(L, &plan->env);
	lua_setfield(L, -2, "env");
}

static int tty_of(lua_State *L, int opts)
{
	if (!lua_istable(L, opts) || lua_getfield(L, opts, "tty") == LUA_TNIL)
		return -1;
	return lu_opt_bool(L, opts, "tty", false);
}

static int l_plan(lua_State *L)
{
	static const char *const keys[] = { "root", "user_dir", "dir", "tty", NULL };
	const char *name = luaL_checkstring(L, 1);
	struct call call = { 0 };
	struct error err = { 0 };
	const struct flake *flake;
	void **box;

	lu_check_keys(L, 3, keys);
	lua_settop(L, 3);
	call.tty = tty_of(L, 3);
	if (!lua_isnil(L, 2) && luaL_len(L, 2) > 0)
		call.args = (char *const *)lu_check_argv(L, 2);
	flake = load(L, name, 3, &err);
	if (!flake)
		return lu_fail(L, &err);
	box = lu_box(L, destroy_plan);
	*box = xcalloc(1, sizeof(struct plan));
	if (plan_make(*box, flake, &call, find_engine(flake->engine), &err) < 0)
		return lu_fail(L, &err);
	push_plan(L, *box);
	return 1;
}

static void read_strv(lua_State *L, int idx, const char *key, struct strv *out)
{
	if (lua_getfield(L, idx, key) == LUA_TTABLE && luaL_len(L, -1) > 0) {
		const char **v = lu_check_argv(L, -1);

		for (; *v; v++)
			strv_push(out, *v);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void read_env(lua_State *L, int idx, struct strv *out)
{
	if (lua_getfield(L, idx, "env") == LUA_TTABLE) {
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
			if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1) ||
			    strchr(lua_tostring(L, -2), '='))
				luaL_error(L, "plan.env must map names to texts");
			lua_pushvalue(L, -1);
			strv_pushf(out, "%s=%s", lua_tostring(L, -3), lua_tostring(L, -1));
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

// The C plan of the table at idx, in a box left on the stack.
static struct plan *check_plan(lua_State *L, int idx)
{
	void **box;
	struct plan *plan;

	luaL_checktype(L, idx, LUA_TTABLE);
	box = lu_box(L, destroy_plan);
	*box = xcalloc(1, sizeof(*plan));
	plan = *box;
	plan->flake = xstrdup(lu_opt_string(L, idx, "flake", ""));
	plan->command = xstrdup(lu_opt_string(L, idx, "command", ""));
	plan->engine = xstrdup(lu_opt_string(L, idx, "engine", ""));
	plan->image = xstrdup(lu_opt_string(L, idx, "image", ""));
	plan->target = xstrdup(lu_opt_string(L, idx, "target", "/"));
	plan->user = xstrdup(lu_opt_string(L, idx, "user", NULL));
	plan->instance = xstrdup(lu_opt_string(L, idx, "instance", NULL));
	plan->tty = lu_opt_bool(L, idx, "tty", false);
	plan->remove = lu_opt_bool(L, idx, "remove", false);
	plan->progress = lu_opt_bool(L, idx, "progress", false);
	plan->skip_missing_volumes = lu_opt_bool(L, idx, "skip_missing_volumes", false);
	plan->debug = lu_opt_bool(L, idx, "debug", false);
	plan->own = lu_opt_bool(L, idx, "own", false);
	read_strv(L, idx, "options", &plan->options);
	plan->workdir = xstrdup(lu_opt_string(L, idx, "workdir", NULL));
	plan->run_user = xstrdup(lu_opt_string(L, idx, "run_user", NULL));
	read_strv(L, idx, "args", &plan->args);
	read_strv(L, idx, "mounts", &plan->mounts);
	read_strv(L, idx, "files", &plan->files);
	read_strv(L, idx, "argv", &plan->argv);
	read_env(L, idx, &plan->env);
	return plan;
}

static int l_compose(lua_State *L)
{
	struct error err = { 0 };
	struct plan *plan = check_plan(L, 1);
	const struct engine *engine = find_engine(plan->engine);

	if (!engine)
		error_set(&err, ERR_FLAKE, "engine '%s' has no pilot", plan->engine);
	if (!engine || engine->compose(plan, &err) < 0)
		return lu_fail(L, &err);
	push_plan(L, plan);
	return 1;
}

static int l_run(lua_State *L)
{
	struct error err = { 0 };
	const struct plan *plan = check_plan(L, 1);

	plan_run(plan, &err);
	return lu_fail(L, &err);
}

static int l_flakes_dir(lua_State *L)
{
	lua_pushfstring(L, "%s%s", luaL_optstring(L, 1, paths_prefix()), FLAKES_DIR);
	return 1;
}

int luaopen_flake_pilot(lua_State *L)
{
	static const luaL_Reg functions[] = { { "load", l_load },
					      { "plan", l_plan },
					      { "compose", l_compose },
					      { "run", l_run },
					      { "flakes_dir", l_flakes_dir },
					      { NULL, NULL } };

	lua_getglobal(L, "require");
	lua_pushliteral(L, "flake.yaml");
	lua_call(L, 1, 0);
	luaL_newlib(L, functions);
	lua_newtable(L);
	for (lua_Integer i = 0; flake_share_words[i]; i++) {
		lua_pushstring(L, flake_share_words[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setfield(L, -2, "share_words");
	return 1;
}
