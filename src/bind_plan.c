// SPDX-License-Identifier: MIT
// flake.pilot: plan, compose, ready, run, supervise, finish, environment, engines. Reference:
// doc/api/pilot.md
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../pilots/pilot.h"
#include "bind_pilot.h"
#include "lua_util.h"
#include "printable.h"
#include "process.h"
#include "util.h"

static int l_engines(lua_State *L)
{
	lua_newtable(L);
	for (size_t i = 0; engines[i]; i++) {
		lua_pushstring(L, engines[i]->name);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static void destroy_plan(void *p)
{
	plan_free(p);
	free(p);
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
	lua_createtable(L, 0, 24);
	for (const struct plan_field *f = plan_fields; f->name; f++) {
		const void *member = plan_member(plan, f);

		if (f->type == PLAN_TEXT)
			lu_set_string(L, f->name, *(char *const *)member);
		else if (f->type == PLAN_FLAG)
			lu_set_bool(L, f->name, *(const bool *)member);
		else
			lu_set_strv(L, f->name, member);
	}
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
	static const char *const keys[] = { "root", "user_dir", "dir", "own", "tty", NULL };
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
	flake = pilot_load(L, name, 3, plan_find_flake, &err);
	if (!flake)
		return lu_fail(L, &err);
	box = lu_box(L, destroy_plan);
	*box = xcalloc(1, sizeof(struct plan));
	if (plan_make(*box, flake, &call, engine_find(flake->engine), &err) < 0)
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
			strv_pushf(out, "%s=%s", lu_check_text(L, -3, "plan.env"),
				   lu_check_text(L, -1, "plan.env"));
			lua_pop(L, 1);
		}
	}
	lua_pop(L, 1);
}

struct plan *pilot_check_plan(lua_State *L, int idx)
{
	void **box;
	struct plan *plan;

	luaL_checktype(L, idx, LUA_TTABLE);
	box = lu_box(L, destroy_plan);
	*box = plan = xcalloc(1, sizeof(*plan));
	for (const struct plan_field *f = plan_fields; f->name; f++) {
		void *member = plan_member(plan, f);

		if (f->type == PLAN_TEXT)
			*(char **)member = xstrdup(lu_opt_string(L, idx, f->name, NULL));
		else if (f->type == PLAN_FLAG)
			*(bool *)member = lu_opt_bool(L, idx, f->name, false);
		else if (streq(f->name, "env"))
			read_env(L, idx, member);
		else
			read_strv(L, idx, f->name, member);
	}
	if (!plan->definition)
		plan->definition = xstrdup("");
	if (!plan->flake || !plan->engine || !plan->image || !plan->target)
		luaL_error(L, "a plan needs flake, engine, image and target");
	return plan;
}

// The engine of a plan; NULL with err set if its drivers launch by themselves.
static const struct engine *engine_of(const struct plan *plan, struct error *err)
{
	const struct engine *engine = engine_find(plan->engine);

	if (!engine)
		error_set(err, ERR_FLAKE, "engine '%s' has no pilot", plan->engine);
	return engine;
}

static int l_compose(lua_State *L)
{
	struct error err = { 0 };
	struct plan *plan = pilot_check_plan(L, 1);
	const struct engine *engine = engine_of(plan, &err);

	if (!engine || engine->compose(plan, &err) < 0)
		return lu_fail(L, &err);
	push_plan(L, plan);
	return 1;
}

static int l_environment(lua_State *L)
{
	struct plan *plan = pilot_check_plan(L, 1);

	// The app's variables make room: the plan's box owns ours then.
	strv_free(&plan->env);
	if (!plan_environment(plan, &plan->env))
		return 0;
	push_env(L, &plan->env);
	return 1;
}

static int l_ready(lua_State *L)
{
	struct error err = { 0 };
	struct plan *plan = pilot_check_plan(L, 1);
	const struct engine *engine = engine_of(plan, &err);

	plan_leave_directory(plan);
	if (!engine || (!plan->user && engine->ready && engine->ready(plan, &err) < 0))
		return lu_fail(L, &err);
	push_plan(L, plan);
	return 1;
}

static int l_finish(lua_State *L)
{
	struct error err = { 0 };
	const struct plan *plan = pilot_check_plan(L, 1);
	const struct engine *engine = engine_of(plan, &err);

	if (!engine || (engine->end && engine->end(plan, &err) < 0))
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_run(lua_State *L)
{
	struct error err = { 0 };
	struct plan *plan = pilot_check_plan(L, 1);
	int code = plan_run(plan, engine_find(plan->engine), &err);

	if (code < 0)
		return lu_fail(L, &err);
	lua_pushinteger(L, code);
	return 1;
}

// In the child of l_supervise.
static int work(void *data)
{
	struct plan *plan = data;
	cleanup_error struct error err = { 0 };
	int code = plan_run(plan, engine_find(plan->engine), &err);

	if (code >= 0)
		return code;
	show_message(plan->command ? plan->command : plan->flake, err.message);
	return EXIT_ENGINE;
}

static int l_supervise(lua_State *L)
{
	struct process_status status = { 0 };
	struct rusage usage = { 0 };
	struct error err = { 0 };

	if (process_supervise_call(work, pilot_check_plan(L, 1), &status, &usage, &err) < 0)
		return lu_fail(L, &err);
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, status.signal ? status.signal : status.code);
	lua_setfield(L, -2, status.signal ? "signal" : "code");
	lu_push_usage(L, &usage);
	lua_setfield(L, -2, "usage");
	return 1;
}

void plan_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "plan", l_plan },
					      { "compose", l_compose },
					      { "ready", l_ready },
					      { "run", l_run },
					      { "finish", l_finish },
					      { "environment", l_environment },
					      { "engines", l_engines },
					      { "supervise", l_supervise },
					      { NULL, NULL } };

	luaL_setfuncs(L, functions, 0);
}
