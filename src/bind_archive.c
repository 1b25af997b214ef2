// SPDX-License-Identifier: MIT
// flake.archive: list, extract, create, read_file, decompress, to_tar, pack_public. Reference:
// doc/api/archive.md
#include <stdlib.h>

#include "archive.h"
#include "lua_util.h"
#include "util.h"

FLAKE_EXPORT int luaopen_flake_archive(lua_State *L);

// The Lua side of callbacks. An error that Lua raised stays on top of the stack.
struct lua_side {
	lua_State *L;
	int function; // stack index
	bool raised;
};

static bool on_progress(void *arg, uint64_t entries, uint64_t bytes)
{
	struct lua_side *side = arg;
	lua_State *L = side->L;
	bool go_on;

	lua_pushvalue(L, side->function);
	lua_pushinteger(L, (lua_Integer)entries);
	lua_pushinteger(L, (lua_Integer)bytes);
	if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
		side->raised = true;
		return false;
	}
	go_on = !lua_isboolean(L, -1) || lua_toboolean(L, -1);
	lua_pop(L, 1);
	return go_on;
}

// What comes of a call: the counts, an error of ours, or the one that Lua raised.
static int result(lua_State *L, int rc, const struct lua_side *side,
		  const struct archive_result *count, struct error *err)
{
	if (rc < 0 && side->raised) {
		error_clear(err);
		return lua_error(L);
	}
	if (rc < 0)
		return lu_fail(L, err);
	lua_createtable(L, 0, 2);
	lua_pushinteger(L, (lua_Integer)count->entries);
	lua_setfield(L, -2, "entries");
	lua_pushinteger(L, (lua_Integer)count->size);
	lua_setfield(L, -2, "size");
	return 1;
}

static struct archive_limits read_limits(lua_State *L, int idx)
{
	return (struct archive_limits){
		.max_entries = (uint64_t)lu_opt_int(L, idx, "max_entries", 0),
		.max_size = (uint64_t)lu_opt_int(L, idx, "max_size", 0),
	};
}

static void set_string(lua_State *L, const char *key, const char *value)
{
	lua_pushstring(L, value);
	lua_setfield(L, -2, key);
}

static void set_int(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

// Runs inside lua_pcall: pushing may raise for want of memory. 1: list, 2: member.
static int push_member(lua_State *L)
{
	const struct archive_member *member = lua_touserdata(L, 2);

	lua_createtable(L, 0, 8);
	set_string(L, "path", member->path);
	set_string(L, "type", member->type);
	set_string(L, "link", member->link);
	set_int(L, "size", (lua_Integer)member->size);
	set_int(L, "mode", member->mode);
	set_int(L, "uid", member->uid);
	set_int(L, "gid", member->gid);
	set_int(L, "mtime", member->mtime);
	lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
	return 0;
}

static bool on_member(void *arg, const struct archive_member *member)
{
	struct lua_side *side = arg;
	lua_State *L = side->L;

	lua_pushcfunction(L, push_member);
	lua_pushvalue(L, side->function);
	lua_pushlightuserdata(L, (void *)member);
	side->raised = lua_pcall(L, 2, 0, 0) != LUA_OK;
	return !side->raised;
}

static int l_list(lua_State *L)
{
	static const char *const keys[] = { "max_entries", "max_size", NULL };
	const char *path = luaL_checkstring(L, 1);
	struct lua_side side = { .L = L, .function = 3 };
	struct error err = { 0 };
	struct archive_limits limits;

	lu_check_keys(L, 2, keys);
	lua_settop(L, 2);
	limits = read_limits(L, 2);
	lua_newtable(L);
	if (archive_list(path, &limits, on_member, &side, &err) < 0)
		return lu_fail(L, &err);
	if (side.raised)
		return lua_error(L);
	return 1;
}

// Puts the progress function, if there is one, on the stack and tells where.
static bool push_progress(lua_State *L, struct lua_side *side)
{
	bool some = lua_istable(L, 3) && lua_getfield(L, 3, "progress") == LUA_TFUNCTION;

	side->L = L;
	side->function = lua_gettop(L);
	return some;
}

static int l_extract(lua_State *L)
{
	static const char *const keys[] = { "max_entries",  "max_size", "strip",
					    "owner",	    "progress", "sparse",
					    "foreign_root", "plain",	NULL };
	const char *path = luaL_checkstring(L, 1), *dir = luaL_checkstring(L, 2);
	struct archive_extract how = { 0 };
	struct archive_result count = { 0 };
	struct lua_side side = { 0 };
	struct error err = { 0 };

	lu_check_keys(L, 3, keys);
	lua_settop(L, 3);
	how.limits = read_limits(L, 3);
	how.strip = (unsigned int)lu_opt_int(L, 3, "strip", 0);
	how.owner = lu_opt_bool(L, 3, "owner", false);
	how.sparse = lu_opt_bool(L, 3, "sparse", false);
	how.foreign_root = lu_opt_bool(L, 3, "foreign_root", false);
	how.plain = lu_opt_bool(L, 3, "plain", false);
	how.progress = push_progress(L, &side) ? on_progress : NULL;
	how.progress_arg = &side;
	return result(L, archive_unpack(path, dir, &how, &count, &err), &side, &count, &err);
}

static int l_create(lua_State *L)
{
	static const char *const keys[] = { "format", "compression", "mtime", "owner",
					    "links",  "progress",    NULL };
	const char *path = luaL_checkstring(L, 1), *dir = luaL_checkstring(L, 2);
	struct archive_create how = { 0 };
	struct archive_result count = { 0 };
	struct lua_side side = { 0 };
	struct error err = { 0 };

	lu_check_keys(L, 3, keys);
	lua_settop(L, 3);
	how.format = lu_opt_string(L, 3, "format", NULL);
	how.compression = lu_opt_string(L, 3, "compression", NULL);
	how.mtime = lu_opt_int(L, 3, "mtime", INT64_MIN);
	how.owner = lu_opt_bool(L, 3, "owner", false);
	how.links = lu_opt_bool(L, 3, "links", false);
	how.fixed_mtime = how.mtime != INT64_MIN;
	how.progress = push_progress(L, &side) ? on_progress : NULL;
	how.progress_arg = &side;
	return result(L, archive_pack(path, dir, &how, &count, &err), &side, &count, &err);
}

static int l_read_file(lua_State *L)
{
	static const char *const keys[] = { "limit", NULL };
	const char *path = luaL_checkstring(L, 1), *member = luaL_checkstring(L, 2);
	struct error err = { 0 };
	size_t len, limit;
	void **box;

	lu_check_keys(L, 3, keys);
	limit = (size_t)lu_opt_int(L, 3, "limit", 64 << 20);
	box = lu_box(L, free);
	if (archive_read_member(path, member, limit, (char **)box, &len, &err) < 0)
		return lu_fail(L, &err);
	lua_pushlstring(L, *box, len);
	return 1;
}

static int l_decompress(lua_State *L)
{
	static const char *const keys[] = { "offset", "length", "max_size", NULL };
	const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
	struct archive_slice slice = { 0 };
	struct error err = { 0 };
	uint64_t size = 0;

	lu_check_keys(L, 3, keys);
	slice.offset = (uint64_t)lu_opt_int(L, 3, "offset", 0);
	slice.length = (uint64_t)lu_opt_int(L, 3, "length", 0);
	slice.max_size = (uint64_t)lu_opt_int(L, 3, "max_size", 0);
	if (archive_decompress(from, to, &slice, &size, &err) < 0)
		return lu_fail(L, &err);
	lua_pushinteger(L, (lua_Integer)size);
	return 1;
}

static void destroy_strv(void *p)
{
	strv_free(p);
	free(p);
}

// The sequence of strings in the table at idx, which may be empty; owned by a box on the stack.
static const struct strv *check_list(lua_State *L, int idx)
{
	const char **texts = NULL;
	struct strv *list;
	void **box;

	luaL_checktype(L, idx, LUA_TTABLE);
	if (luaL_len(L, idx) > 0)
		texts = lu_check_argv(L, idx);
	box = lu_box(L, destroy_strv);
	*box = list = xcalloc(1, sizeof(*list));
	for (; texts && *texts; texts++)
		strv_push(list, *texts);
	return list;
}

static int l_to_tar(lua_State *L)
{
	const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
	struct lua_side side = { .L = L };
	struct archive_result count = { 0 };
	struct error err = { 0 };
	const struct strv *skip = check_list(L, 3);

	return result(L, archive_to_tar(from, to, skip, &count, &err), &side, &count, &err);
}

static int l_pack_public(lua_State *L)
{
	static const char *const names[] = { "file", "symlink", "directory", "missing", "refused" };
	const char *to = luaL_checkstring(L, 1);
	const struct strv *paths = check_list(L, 2);
	enum archive_public *kinds;
	struct error err = { 0 };

	kinds = lua_newuserdatauv(L, (paths->n + 1) * sizeof(*kinds), 0);
	if (archive_pack_public(to, paths, kinds, &err) < 0)
		return lu_fail(L, &err);
	lua_createtable(L, (int)paths->n, 0);
	for (size_t i = 0; i < paths->n; i++) {
		lua_pushstring(L, names[kinds[i]]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

int luaopen_flake_archive(lua_State *L)
{
	static const luaL_Reg functions[] = { { "list", l_list },
					      { "extract", l_extract },
					      { "create", l_create },
					      { "read_file", l_read_file },
					      { "to_tar", l_to_tar },
					      { "pack_public", l_pack_public },
					      { "decompress", l_decompress },
					      { NULL, NULL } };

	luaL_newlib(L, functions);
	return 1;
}
