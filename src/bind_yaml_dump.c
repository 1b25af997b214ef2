// SPDX-License-Identifier: MIT
// flake.yaml: dump. Reference: doc/api/yaml.md
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind_yaml.h"
#include "doc.h"
#include "lua_util.h"
#include "util.h"

static void destroy_node(void *p)
{
	node_free(p);
}

// What building a tree from Lua values needs to know.
struct build {
	lua_State *L;
	int order; // stack index of the table key -> rank, 0 if none
	int depth;
};

static struct node *build_node(struct build *b, int idx, struct node *parent, const char *key);

static void attach(struct node *parent, const char *key, struct node *child)
{
	node_add(parent, parent->type == NODE_MAP ? xstrdup(key) : NULL, child);
}

static void build_seq(struct build *b, int idx, struct node *seq)
{
	lua_Integer n = luaL_len(b->L, idx);

	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(b->L, idx, i);
		build_node(b, lua_gettop(b->L), seq, NULL);
		lua_pop(b->L, 1);
	}
}

// Pushes the sorted array of a table's keys: those of `order` first, then by name.
static void push_sorted_keys(lua_State *L, int idx, int order)
{
	lua_Integer n = 0;

	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			luaL_error(L, "cannot dump a key of type %s", luaL_typename(L, -2));
		if (strlen(lua_tostring(L, -2)) != lua_rawlen(L, -2))
			luaL_error(L, "cannot dump a key with a NUL byte");
		lua_pushvalue(L, -2);
		lua_rawseti(L, -4, ++n);
	}
	lua_pushvalue(L, lua_upvalueindex(1)); // sort_keys(keys, order)
	lua_pushvalue(L, -2);
	if (order)
		lua_pushvalue(L, order);
	else
		lua_pushnil(L);
	lua_call(L, 2, 0);
}

static void build_map(struct build *b, int idx, struct node *map)
{
	lua_State *L = b->L;
	lua_Integer n;
	int keys;

	push_sorted_keys(L, idx, b->order);
	keys = lua_gettop(L);
	n = luaL_len(L, keys);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, keys, i);
		lua_pushvalue(L, -1);
		lua_rawget(L, idx);
		build_node(b, lua_gettop(L), map, lua_tostring(L, -2));
		lua_pop(L, 2);
	}
	lua_pop(L, 1);
}

static void build_table(struct build *b, int idx, struct node *parent, const char *key)
{
	bool seq = yaml_is_list(b->L, idx) || lua_rawlen(b->L, idx) > 0;
	struct node *node = node_new(seq ? NODE_SEQ : NODE_MAP);

	// Into the tree first: it is owned by the box when something below raises.
	attach(parent, key, node);
	if (++b->depth > DOC_MAX_DEPTH)
		luaL_error(b->L, "cannot dump: nested too deeply (a table inside itself?)");
	luaL_checkstack(b->L, 12, "nested too deeply");
	if (seq)
		build_seq(b, idx, node);
	else
		build_map(b, idx, node);
	b->depth--;
}

// The shortest text that reads back as the same number, and as a float if it was one.
static struct node *number_node(lua_State *L, int idx)
{
	char text[40];

	if (lua_isinteger(L, idx)) {
		snprintf(text, sizeof(text), LUA_INTEGER_FMT, lua_tointeger(L, idx));
	} else {
		lua_Number number = lua_tonumber(L, idx);

		for (int digits = 14; digits <= 17; digits++) {
			snprintf(text, sizeof(text), "%.*g", digits, number);
			if (strtod(text, NULL) == number)
				break;
		}
		if (!strpbrk(text, ".e"))
			strcat(text, ".0");
	}
	return node_scalar(text, strlen(text), true);
}

static struct node *build_node(struct build *b, int idx, struct node *parent, const char *key)
{
	lua_State *L = b->L;
	const char *text;
	size_t len;

	switch (lua_type(L, idx)) {
	case LUA_TTABLE:
		build_table(b, idx, parent, key);
		break;
	case LUA_TSTRING:
		text = lua_tolstring(L, idx, &len);
		attach(parent, key, node_scalar(text, len, false));
		break;
	case LUA_TNUMBER:
		if (!lua_isinteger(L, idx) && !isfinite(lua_tonumber(L, idx)))
			luaL_error(L, "cannot dump a number that is not finite");
		attach(parent, key, number_node(L, idx));
		break;
	case LUA_TBOOLEAN:
		text = lua_toboolean(L, idx) ? "true" : "false";
		attach(parent, key, node_scalar(text, strlen(text), true));
		break;
	case LUA_TLIGHTUSERDATA:
		attach(parent, key, node_new(NODE_NULL));
		break;
	default:
		luaL_error(L, "cannot dump a %s", luaL_typename(L, idx));
	}
	return NULL;
}

static int l_dump(lua_State *L)
{
	static const char *const keys[] = { "order", NULL };
	struct error err = { 0 };
	struct build b = { .L = L };
	void **tree, **text;
	struct node *holder;
	size_t len;

	luaL_checkany(L, 1);
	lu_check_keys(L, 2, keys);
	lua_settop(L, 2);
	if (lua_istable(L, 2) && lua_getfield(L, 2, "order") == LUA_TTABLE)
		b.order = lua_gettop(L);
	tree = lu_box(L, destroy_node);
	*tree = node_new(NODE_SEQ);
	holder = *tree;
	text = lu_box(L, free);
	build_node(&b, 1, holder, NULL);
	*text = doc_emit(holder->items[0], &len, &err);
	if (!*text)
		return lu_fail(L, &err);
	lua_pushlstring(L, *text, len);
	return 1;
}

static const char sort_keys[] = "local keys, order = ...\n"
				"local rank = {}\n"
				"for i, key in ipairs(order or {}) do rank[key] = i end\n"
				"table.sort(keys, function(a, b)\n"
				"  local x, y = rank[a] or math.huge, rank[b] or math.huge\n"
				"  if x ~= y then return x < y end\n"
				"  return a < b\n"
				"end)\n";

void yaml_dump_register(lua_State *L)
{
	if (luaL_loadbuffer(L, sort_keys, sizeof(sort_keys) - 1, "=flake.yaml"))
		lua_error(L);
	lua_pushcclosure(L, l_dump, 1);
	lua_setfield(L, -2, "dump");
}
