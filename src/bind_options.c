// SPDX-License-Identifier: MIT
// flake.pilot: podman_options. Reference: doc/api/pilot.md
#include <stdlib.h>

#include "../pilots/podman_options.h"
#include "bind_pilot.h"
#include "lua_util.h"
#include "util.h"

static void destroy_strv(void *p)
{
	strv_free(p);
	free(p);
}

struct option_list {
	lua_State *L;
	const struct strv *tokens;
};

// The list is at the top of the stack. Pushing may raise: nothing is owned here but by boxes.
static void push_option(void *arg, const struct podman_option *option)
{
	const struct option_list *list = arg;
	lua_State *L = list->L;
	const char *token = list->tokens->v[option->at];
	bool apart = option->value && option->value == list->tokens->v[option->at + 1];

	lua_createtable(L, 0, 3);
	if (option->len) {
		lua_pushlstring(L, option->name, option->len);
		lua_setfield(L, -2, "name");
	}
	lu_set_string(L, "value", option->value);
	lua_pushfstring(L, "%s%s%s", token, apart ? " " : "", apart ? option->value : "");
	lua_setfield(L, -2, "text");
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int l_podman_options(lua_State *L)
{
	struct option_list list = { .L = L };
	struct strv *tokens;
	void **box;

	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	box = lu_box(L, destroy_strv);
	*box = tokens = xcalloc(1, sizeof(*tokens));
	if (luaL_len(L, 1) > 0) {
		size_t n = (size_t)luaL_len(L, 1);
		struct strv entries = { .v = (char **)lu_check_argv(L, 1), .n = n };

		plan_split(tokens, &entries);
	}
	list.tokens = tokens;
	lua_newtable(L);
	podman_options_each(tokens, push_option, &list);
	return 1;
}

void options_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "podman_options", l_podman_options },
					      { NULL, NULL } };

	luaL_setfuncs(L, functions, 0);
}
