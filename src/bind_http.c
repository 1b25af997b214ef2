// SPDX-License-Identifier: MIT
// flake.http: request, download, shown. Reference: doc/api/http.md
#include <stdlib.h>

#include "http.h"
#include "lua_util.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_http(lua_State *L);

// Everything of one call; lives in a box.
struct call {
	lua_State *L;
	struct http_request req;
	struct http_response res;
	bool raised; // the progress function raised; its error is on the stack
};

static void free_call(void *p)
{
	struct call *call = p;

	strv_free(&call->req.headers);
	http_response_free(&call->res);
	free(call);
}

static const char *const request_keys[] = { "url",	   "method",  "headers", "body",
					    "unix_socket", "timeout", "limit",	 "insecure_http",
					    "ca_file",	   NULL };
static const char *const download_keys[] = { "url",	"path",	    "headers",	     "unix_socket",
					     "timeout", "limit",    "insecure_http", "ca_file",
					     "resume",	"progress", "sha256",	     NULL };

static void read_headers(lua_State *L, struct call *call)
{
	if (lua_getfield(L, 1, "headers") == LUA_TTABLE) {
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
			const char *name = luaL_checkstring(L, -2),
				   *value = luaL_checkstring(L, -1);

			if (strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
				luaL_error(L, "header '%s' holds a line break or colon", name);
			strv_pushf(&call->req.headers, "%s: %s", name, value);
		}
	}
	lua_pop(L, 1);
}

static struct call *new_call(lua_State *L, const char *const *keys, lua_Integer limit)
{
	struct call *call;
	void **box;

	luaL_checktype(L, 1, LUA_TTABLE);
	lu_check_keys(L, 1, keys);
	lua_settop(L, 1);
	box = lu_box(L, free_call);
	*box = call = xcalloc(1, sizeof(*call));
	call->L = L;
	call->req.url = lu_opt_string(L, 1, "url", NULL);
	if (!call->req.url)
		luaL_error(L, "option 'url' is missing");
	call->req.unix_socket = lu_opt_string(L, 1, "unix_socket", NULL);
	call->req.ca_file = lu_opt_string(L, 1, "ca_file", NULL);
	call->req.insecure_http = lu_opt_bool(L, 1, "insecure_http", false);
	call->req.timeout = lu_opt_number(L, 1, "timeout", 0);
	call->req.limit = (uint64_t)lu_opt_int(L, 1, "limit", limit);
	read_headers(L, call);
	return call;
}

static int l_request(lua_State *L)
{
	struct call *call = new_call(L, request_keys, 16 << 20);
	struct error err = { 0 };

	call->req.method = lu_opt_string(L, 1, "method", NULL);
	if (lua_getfield(L, 1, "body") != LUA_TNIL)
		call->req.body = luaL_checklstring(L, -1, &call->req.body_len);
	if (http_request(&call->req, &call->res, &err) < 0)
		return lu_fail(L, &err);
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, call->res.status);
	lua_setfield(L, -2, "status");
	lua_pushlstring(L, call->res.body ? call->res.body : "", call->res.len);
	lua_setfield(L, -2, "body");
	lua_newtable(L);
	for (size_t i = 0; i + 1 < call->res.headers.n; i += 2) {
		lua_pushstring(L, call->res.headers.v[i + 1]);
		lua_setfield(L, -2, call->res.headers.v[i]);
	}
	lua_setfield(L, -2, "headers");
	return 1;
}

// Stack: 1 options, 2 box, 3 progress function.
static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct call *call = arg;
	lua_State *L = call->L;
	bool go_on;

	if (call->raised)
		return false;
	lua_pushvalue(L, 3);
	lua_pushinteger(L, (lua_Integer)done);
	lua_pushinteger(L, (lua_Integer)total);
	if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
		call->raised = true;
		return false;
	}
	go_on = !lua_isboolean(L, -1) || lua_toboolean(L, -1);
	lua_pop(L, 1);
	return go_on;
}

static int l_download(lua_State *L)
{
	struct call *call = new_call(L, download_keys, 0);
	const char *path = lu_opt_string(L, 1, "path", NULL);
	struct error err = { 0 };

	if (!path)
		luaL_error(L, "option 'path' is missing");
	call->req.resume = lu_opt_bool(L, 1, "resume", true);
	call->req.sha256 = lu_opt_string(L, 1, "sha256", NULL);
	if (lua_getfield(L, 1, "progress") == LUA_TFUNCTION) {
		call->req.progress = on_progress;
		call->req.progress_arg = call;
	}
	if (http_download(&call->req, path, &call->res, &err) < 0) {
		if (call->raised) {
			error_clear(&err);
			return lua_error(L);
		}
		return lu_fail(L, &err);
	}
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, call->res.status);
	lua_setfield(L, -2, "status");
	lua_pushinteger(L, (lua_Integer)call->res.size);
	lua_setfield(L, -2, "size");
	lua_pushstring(L, call->res.sha256);
	lua_setfield(L, -2, "sha256");
	return 1;
}

static int l_shown(lua_State *L)
{
	const char *url = luaL_checkstring(L, 1);
	void **box = lu_box(L, free);

	*box = http_shown(url);
	lua_pushstring(L, *box);
	return 1;
}

int luaopen_flake_http(lua_State *L)
{
	static const luaL_Reg functions[] = { { "request", l_request },
					      { "download", l_download },
					      { "shown", l_shown },
					      { NULL, NULL } };

	luaL_newlib(L, functions);
	return 1;
}
