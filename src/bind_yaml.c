// SPDX-License-Identifier: MIT
// flake.yaml: load, null, list, is_list; dump is in bind_yaml_dump.c. Reference: doc/api/yaml.md
#include <stdlib.h>
#include <string.h>

#include "bind_yaml.h"
#include "doc.h"
#include "lua_nodes.h"
#include "lua_util.h"
#include "util.h"

static const char *const LIST = "flake.yaml.list";
static char null_key;

static void destroy_node(void *p)
{
	node_free(p);
}

static void push_null(lua_State *L)
{
	lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

static void mark_list(lua_State *L)
{
	luaL_setmetatable(L, LIST);
}

bool yaml_is_list(lua_State *L, int idx)
{
	bool marked;

	if (!lua_getmetatable(L, idx))
		return false;
	luaL_getmetatable(L, LIST);
	marked = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return marked;
}

// Plain text as YAML 1.2's core schema reads it, but for numbers with leading zeros, which stay
// text, and hexadecimal and octal ones, which do too.
static void push_plain(lua_State *L, const struct node *node)
{
	const char *digits = node->value + (node->value[0] == '-' || node->value[0] == '+');
	size_t whole = strspn(digits, "0123456789");
	bool zero_led = digits[0] == '0' && whole > 1;

	if (streq(node->value, "true") || streq(node->value, "false")) {
		lua_pushboolean(L, node->value[0] == 't');
		return;
	}
	if (whole && !zero_led && strspn(digits, "0123456789.eE+-") == strlen(digits) &&
	    lua_stringtonumber(L, node->value) == node->len + 1)
		return;
	lua_pushlstring(L, node->value, node->len);
}

void lua_push_node(lua_State *L, const struct node *node, bool text)
{
	luaL_checkstack(L, 4, "YAML nested too deeply");
	switch (node->type) {
	case NODE_NULL:
		push_null(L);
		break;
	case NODE_SCALAR:
		if (node->plain && !text)
			push_plain(L, node);
		else
			lua_pushlstring(L, node->value, node->len);
		break;
	case NODE_SEQ:
		lua_createtable(L, (int)node->n, 0);
		mark_list(L);
		for (size_t i = 0; i < node->n; i++) {
			lua_push_node(L, node->items[i], text);
			lua_rawseti(L, -2, (lua_Integer)i + 1);
		}
		break;
	case NODE_MAP:
		lua_createtable(L, 0, (int)node->n);
		for (size_t i = 0; i < node->n; i++) {
			lua_push_node(L, node->items[i], text);
			lua_setfield(L, -2, node->keys[i]);
		}
		break;
	}
}

static int l_load(lua_State *L)
{
	static const char *const keys[] = { "name", "text", NULL };
	struct error err = { 0 };
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);
	const char *name;
	void **box;
	bool as_text;

	lu_check_keys(L, 2, keys);
	name = lu_opt_string(L, 2, "name", "YAML");
	as_text = lu_opt_bool(L, 2, "text", false);
	box = lu_box(L, destroy_node);
	*box = doc_parse(text, len, name, &err);
	if (!*box)
		return lu_fail(L, &err);
	lua_push_node(L, *box, as_text);
	return 1;
}

static int l_list(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	mark_list(L);
	return 1;
}

static int l_is_list(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushboolean(L, lua_istable(L, 1) && yaml_is_list(L, 1));
	return 1;
}

FLAKE_EXPORT int luaopen_flake_yaml(lua_State *L);

int luaopen_flake_yaml(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "load", l_load }, { "list", l_list }, { "is_list", l_is_list }, { NULL, NULL }
	};

	luaL_newlib(L, functions);
	luaL_newmetatable(L, LIST);
	lua_pop(L, 1);
	lua_pushlightuserdata(L, &null_key);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
	lua_setfield(L, -2, "null");
	yaml_dump_register(L);
	return 1;
}
