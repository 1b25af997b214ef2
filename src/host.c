// SPDX-License-Identifier: MIT
// main of flake-ctl and flake-launch: a Lua state with our modules, then lua/flake/main.lua or
// launch.lua. LUA_PATH, LUA_CPATH and LUA_INIT are ignored; nothing is loaded from the current
// directory.
#include <errno.h>
#include <fcntl.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lua_util.h"
#include "paths.h"
#include "printable.h"
#include "process.h"
#include "util.h"

#ifndef FLAKE_VERSION
#define FLAKE_VERSION "unknown"
#endif
#ifndef LUA_SYSTEM_CPATH
#define LUA_SYSTEM_CPATH ""
#endif
#ifndef HOST_CHUNK
#define HOST_CHUNK "flake.main"
#endif

int luaopen_flake_process(lua_State *L);
int luaopen_flake_fs(lua_State *L);
int luaopen_flake_yaml(lua_State *L);
int luaopen_flake_pilot(lua_State *L);

// Directories of this installation, or of the build tree.
struct place {
	char *bin, *share, *lib;
};

static char *real_or(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : xstrdup(path);
}

// PREFIX/bin/flake-ctl and PREFIX/lib/flake-pilot/flake-launch both lead to PREFIX.
static void find_place(struct place *place, const char *exe_dir)
{
	static const char *const up[] = { "..", "../..", NULL };

	place->bin = xstrdup(exe_dir);
	place->lib = xstrdup(exe_dir);
	for (size_t i = 0; up[i]; i++) {
		cleanup_free char *share = xasprintf("%s/%s/share/flake-pilot", exe_dir, up[i]);
		cleanup_free char *lib = xasprintf("%s/%s/lib/flake-pilot", exe_dir, up[i]);
		cleanup_free char *bin = xasprintf("%s/%s/bin", exe_dir, up[i]);

		if (access(share, F_OK) < 0 || access(lib, F_OK) < 0)
			continue;
		free(place->bin);
		free(place->lib);
		place->share = real_or(share);
		place->lib = real_or(lib);
		place->bin = real_or(bin);
		return;
	}
	{
		cleanup_free char *tree = xasprintf("%s/..", exe_dir);

		place->share = real_or(tree);
	}
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
	lua_pushcfunction(L, open);
	lua_setfield(L, -2, name);
}

static void set_paths(lua_State *L, const struct place *place)
{
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
	preload(L, "flake.process", luaopen_flake_process);
	preload(L, "flake.fs", luaopen_flake_fs);
	preload(L, "flake.yaml", luaopen_flake_yaml);
	preload(L, "flake.pilot", luaopen_flake_pilot);
	lua_pop(L, 1);
	lua_getglobal(L, "package");
	lua_pushfstring(L, "%s/lua/?.lua;/usr/share/lua/5.4/?.lua;/usr/share/lua/5.4/?/init.lua",
			place->share);
	lua_setfield(L, -2, "path");
	lua_pushfstring(L, "%s/?.so;" LUA_SYSTEM_CPATH, place->lib);
	lua_setfield(L, -2, "cpath");
	lua_pop(L, 1);
}

static void push_info(lua_State *L, const struct place *place)
{
	lua_newtable(L);
	lua_pushstring(L, place->share);
	lua_setfield(L, -2, "share");
	lua_pushstring(L, place->lib);
	lua_setfield(L, -2, "lib");
	lua_pushstring(L, place->bin);
	lua_setfield(L, -2, "bindir");
	lua_pushstring(L, FLAKE_VERSION);
	lua_setfield(L, -2, "version");
	lua_pushstring(L, paths_prefix());
	lua_setfield(L, -2, "prefix_root");
}

// Everything that may raise. Arguments: place, argc, argv (light userdata).
static int protected_main(lua_State *L)
{
	const struct place *place = lua_touserdata(L, 1);
	int argc = (int)lua_tointeger(L, 2);
	char **argv = lua_touserdata(L, 3);

	luaL_openlibs(L);
	set_paths(L, place);
	lua_getglobal(L, "require");
	lua_pushliteral(L, HOST_CHUNK);
	lua_call(L, 1, 1);
	lua_pushstring(L, argc > 0 ? argv[0] : "flake-ctl");
	lua_createtable(L, argc, 0);
	for (int i = 1; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
	push_info(L, place);
	lua_call(L, 3, 1);
	return 1;
}

static lua_State *interrupted;
static volatile sig_atomic_t interrupt_signal;

static void raise_interrupt(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	lua_sethook(L, NULL, 0, 0);
	// Not luaL_error: where our code was says nothing to the caller.
	lua_pushliteral(L, "interrupted");
	lua_error(L);
}

// As in lua.c: the error is raised by a hook at the next instruction, so that everything that is
// to be closed (temporary directories, locks, children) is closed on the way out. A child that we
// wait for gets the signal, unless the terminal has sent it to both.
static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	interrupt_signal = sig;
	if (info->si_code != SI_KERNEL)
		process_pass_on(sig);
	lua_sethook(interrupted, raise_interrupt,
		    LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void catch_signals(lua_State *L)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO }, old;

	interrupted = L;
	for (size_t i = 0; signals[i]; i++)
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

static int run(lua_State *L, struct place *place, int argc, char **argv)
{
	// Same effect as `lua -E`: the environment does not choose what code runs.
	lua_pushboolean(L, 1);
	lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
	catch_signals(L);
	lua_pushcfunction(L, protected_main);
	lua_pushlightuserdata(L, place);
	lua_pushinteger(L, argc);
	lua_pushlightuserdata(L, argv);
	if (lua_pcall(L, 3, 1, 0) != LUA_OK) {
		show_message(path_base(argc > 0 ? argv[0] : "flake-ctl"), lua_tostring(L, -1));
		return 1;
	}
	return (int)lua_tointeger(L, -1);
}

// Some of what Lua wrote may be lost (a full disk, a closed descriptor); often this shows only now.
static int end_output(const char *who, int code)
{
	cleanup_error struct error err = { 0 };
	bool lost = ferror(stdout);

	if (fflush(stdout) != 0)
		error_set(&err, errno, "cannot write to standard output");
	else if (lost)
		error_set(&err, ERR_LIMIT, "cannot write all to standard output");
	if (!err.message)
		return code;
	show_message(who, err.message);
	return code ? code : 1;
}

int main(int argc, char **argv)
{
	cleanup_free char *exe_dir = paths_exe_dir();
	struct place place = { 0 };
	const char *who = path_base(argc > 0 ? argv[0] : "flake-ctl");
	lua_State *L = luaL_newstate();
	int code;

	// Writing to a closed output stays an error.
	open_standard_fds(O_RDONLY);
	if (!exe_dir || !L) {
		fputs("flake-ctl: cannot start: no /proc or no memory\n", stderr);
		return 1;
	}
	find_place(&place, exe_dir);
	code = run(L, &place, argc, argv);
	lua_close(L);
	if (interrupt_signal)
		code = 128 + interrupt_signal;
	free(place.bin);
	free(place.share);
	free(place.lib);
	return end_output(who, code);
}
