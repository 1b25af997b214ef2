// SPDX-License-Identifier: MIT
// Methods of the child that flake.process.spawn returns.
#include <errno.h>
#include <signal.h>

#include "bind_process.h"
#include "lua_util.h"
#include "util.h"

enum { READ_MAX = 1 << 20 };

static struct child *check_child(lua_State *L)
{
	return luaL_checkudata(L, 1, CHILD);
}

static int l_pid(lua_State *L)
{
	lua_pushinteger(L, check_child(L)->talk.pid);
	return 1;
}

static int l_read(lua_State *L)
{
	static const char *const names[] = { "stdout", "stderr", NULL };
	struct child *child = check_child(L);
	int which = luaL_checkoption(L, 2, "stdout", names);
	lua_Integer max = luaL_optinteger(L, 3, 64 * 1024);
	int fd = which ? child->talk.err : child->talk.out;
	struct error err = { 0 };
	luaL_Buffer b;
	ssize_t n;

	luaL_argcheck(L, max > 0 && max <= READ_MAX, 3, "1 to 1048576 bytes");
	luaL_argcheck(L, fd >= 0, 2, "is not a pipe");
	do
		n = read(fd, luaL_buffinitsize(L, &b, (size_t)max), (size_t)max);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		error_set(&err, errno, "cannot read from process %d", (int)child->talk.pid);
		return lu_fail(L, &err);
	}
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

static int l_write(lua_State *L)
{
	struct child *child = check_child(L);
	struct error err = { 0 };
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);

	luaL_argcheck(L, child->talk.in >= 0, 1, "has no open stdin pipe");
	if (process_write_all(child->talk.in, data, len, &err) < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_close_stdin(lua_State *L)
{
	struct child *child = check_child(L);

	if (child->talk.in >= 0)
		close(child->talk.in);
	child->talk.in = -1;
	return 0;
}

static int l_wait(lua_State *L)
{
	struct child *child = check_child(L);
	lua_Number timeout = luaL_optnumber(L, 2, -1);
	struct error err = { 0 };

	if (!child->talk.reaped &&
	    process_wait(child->talk.pid, timeout, &child->talk.status, &err) < 0)
		return lu_fail(L, &err);
	child->talk.reaped = true;
	child_push_status(L, &child->talk.status);
	return 1;
}

static int l_kill(lua_State *L)
{
	struct child *child = check_child(L);
	lua_Integer sig = luaL_optinteger(L, 2, SIGTERM);
	struct error err = { 0 };

	if (!child->talk.reaped && kill(child->talk.pid, (int)sig) < 0) {
		error_set(&err, errno, "cannot signal process %d", (int)child->talk.pid);
		return lu_fail(L, &err);
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int l_close(lua_State *L)
{
	child_end(check_child(L));
	return 0;
}

void child_register(lua_State *L)
{
	static const luaL_Reg methods[] = {
		{ "pid", l_pid },	{ "read", l_read },
		{ "write", l_write },	{ "close_stdin", l_close_stdin },
		{ "wait", l_wait },	{ "kill", l_kill },
		{ "close", l_close },	{ "__gc", l_close },
		{ "__close", l_close }, { NULL, NULL }
	};

	if (luaL_newmetatable(L, CHILD)) {
		luaL_setfuncs(L, methods, 0);
		lua_pushvalue(L, -1);
		lua_setfield(L, -2, "__index");
	}
	lua_pop(L, 1);
}
