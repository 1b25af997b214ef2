// SPDX-License-Identifier: MIT
// flake.process: run, spawn, exec, which, … Reference: doc/api/process.md
#include "bind_process.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "lua_util.h"
#include "names.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_process(lua_State *L);

enum { DEFAULT_LIMIT = 64 << 20 };

static void push_text(lua_State *L, const char *key, const struct process_text *text, bool piped)
{
	if (!piped)
		return;
	lua_pushlstring(L, text->text ? text->text : "", text->len);
	lua_setfield(L, -2, key);
}

// The data for stdin stays owned by the options table at index 2.
static void read_input(lua_State *L, struct process_talk *talk)
{
	if (lua_istable(L, 2) && lua_getfield(L, 2, "stdin") == LUA_TTABLE &&
	    lua_getfield(L, -1, "data") != LUA_TNIL)
		talk->input = luaL_checklstring(L, -1, &talk->input_len);
	lua_settop(L, 3);
}

static int l_run(lua_State *L)
{
	static const char *const keys[] = { "env",    "clear_env", "cwd",     "user",  "stdin",
					    "stdout", "stderr",	   "timeout", "limit", NULL };
	struct error err = { 0 };
	struct child *child;
	bool out, errs;

	lua_settop(L, 2);
	lu_check_keys(L, 2, keys);
	child = child_new(L);
	child_read(L, child);
	child->talk.timeout = lu_opt_number(L, 2, "timeout", 0);
	child->talk.limit = (size_t)lu_opt_int(L, 2, "limit", DEFAULT_LIMIT);
	if (child_open(L, child, &err) < 0)
		return lu_fail(L, &err);
	read_input(L, &child->talk);
	out = child->talk.out >= 0;
	errs = child->talk.err >= 0;
	if (child_start(child, &err) < 0 || process_communicate(&child->talk, &err) < 0) {
		child_end(child);
		return lu_fail(L, &err);
	}
	child_push_status(L, &child->talk.status);
	push_text(L, "stdout", &child->talk.out_text, out);
	push_text(L, "stderr", &child->talk.err_text, errs);
	lua_pushboolean(L, child->talk.timed_out);
	lua_setfield(L, -2, "timed_out");
	child_end(child);
	return 1;
}

static int l_spawn(lua_State *L)
{
	static const char *const keys[] = { "env",   "clear_env", "cwd",    "user",
					    "stdin", "stdout",	  "stderr", NULL };
	struct error err = { 0 };
	struct child *child;

	lua_settop(L, 2);
	lu_check_keys(L, 2, keys);
	child = child_new(L);
	child_read(L, child);
	if (child_open(L, child, &err) < 0 || child_start(child, &err) < 0) {
		child_end(child);
		return lu_fail(L, &err);
	}
	lua_settop(L, 3);
	return 1;
}

static int l_exec(lua_State *L)
{
	static const char *const keys[] = { "env", "clear_env", "cwd", "user", NULL };
	struct error err = { 0 };
	struct child *child;

	lua_settop(L, 2);
	lu_check_keys(L, 2, keys);
	child = child_new(L);
	child_read(L, child);
	fflush(NULL);
	process_exec(&child->spec, &err);
	return lu_fail(L, &err);
}

static int l_supervise(lua_State *L)
{
	static const char *const keys[] = { "env", "clear_env", NULL };
	struct process_status status = { 0 };
	struct rusage usage = { 0 };
	struct error err = { 0 };
	struct child *child;

	lua_settop(L, 2);
	lu_check_keys(L, 2, keys);
	child = child_new(L);
	child_read(L, child);
	if (process_supervise(&child->spec, &status, &usage, &err) < 0)
		return lu_fail(L, &err);
	child_push_status(L, &status);
	lu_push_usage(L, &usage);
	lua_setfield(L, -2, "usage");
	return 1;
}

static int l_clock(lua_State *L)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	lua_pushnumber(L, (lua_Number)ts.tv_sec + (lua_Number)ts.tv_nsec / 1e9);
	return 1;
}

static int l_which(lua_State *L)
{
	struct error err = { 0 };
	void **box = lu_box(L, free);

	*box = process_which(luaL_checkstring(L, 1), &err);
	if (!*box)
		return lu_fail(L, &err);
	lua_pushstring(L, *box);
	return 1;
}

static int l_getpid(lua_State *L)
{
	lua_pushinteger(L, getpid());
	return 1;
}

static int l_getenv(lua_State *L)
{
	lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
	return 1;
}

static int l_setenv(lua_State *L)
{
	const char *name = luaL_checkstring(L, 1), *value = luaL_optstring(L, 2, NULL);
	struct error err = { 0 };

	lu_check_text(L, 1, "name");
	if (value)
		lu_check_text(L, 2, "value");
	if ((value ? setenv(name, value, 1) : unsetenv(name)) < 0) {
		error_set(&err, errno, "cannot set variable '%s'", name);
		return lu_fail(L, &err);
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int l_sleep(lua_State *L)
{
	lua_Number seconds = luaL_checknumber(L, 1);
	struct timespec ts = { .tv_sec = (time_t)seconds };

	ts.tv_nsec = (long)((seconds - (lua_Number)ts.tv_sec) * 1e9);
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
	return 0;
}

static int l_kill(lua_State *L)
{
	pid_t pid = (pid_t)luaL_checkinteger(L, 1);
	int sig = (int)luaL_optinteger(L, 2, SIGTERM);
	struct error err = { 0 };

	if (kill(pid, sig) < 0) {
		error_set(&err, errno, "cannot signal process %d", (int)pid);
		return lu_fail(L, &err);
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int l_signal_name(lua_State *L)
{
	static const char *const names[] = { NAMES_OF_SIGNALS(NAME_AT) };
	lua_Integer sig = luaL_checkinteger(L, 1);
	lua_Integer n = sizeof(names) / sizeof(*names);

	lua_pushstring(L, sig > 0 && sig < n ? names[sig] : NULL); // NULL is pushed as nil
	return 1;
}

int luaopen_flake_process(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "run", l_run },	{ "spawn", l_spawn },
		{ "exec", l_exec },	{ "which", l_which },
		{ "getpid", l_getpid }, { "getenv", l_getenv },
		{ "setenv", l_setenv }, { "sleep", l_sleep },
		{ "kill", l_kill },	{ "supervise", l_supervise },
		{ "clock", l_clock },	{ "signal_name", l_signal_name },
		{ NULL, NULL }
	};

	child_register(L);
	luaL_newlib(L, functions);
	return 1;
}
