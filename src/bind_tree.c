// SPDX-License-Identifier: MIT
// flake.fs.tree: what is done below a foreign tree. Reference: doc/api/fs.md
#include <fcntl.h>

#include "bind_fs.h"
#include "lua_util.h"
#include "tree.h"
#include "util.h"

static const char *const TREE = "flake.fs.tree";
enum { READ_LIMIT = 256 << 20 };

// An empty tree userdata on the stack.
static int *new_tree(lua_State *L)
{
	int *fd = lua_newuserdatauv(L, sizeof(*fd), 0);

	*fd = -1;
	luaL_setmetatable(L, TREE);
	return fd;
}

static int tree_at(lua_State *L, int idx)
{
	const int *fd = luaL_checkudata(L, idx, TREE);

	luaL_argcheck(L, *fd >= 0, idx, "the tree is closed");
	return *fd;
}

static const char *path_at(lua_State *L, int idx)
{
	luaL_checkstring(L, idx);
	return lu_check_text(L, idx, "a path");
}

static int result(lua_State *L, int rc, struct error *err)
{
	if (rc < 0)
		return lu_fail(L, err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_tree(lua_State *L)
{
	const char *dir = path_at(L, 1);
	struct error err = { 0 };
	int *fd = new_tree(L);

	*fd = tree_root(dir, &err);
	return *fd < 0 ? lu_fail(L, &err) : 1;
}

static int l_below(lua_State *L)
{
	int root = tree_at(L, 1);
	const char *path = path_at(L, 2);
	struct error err = { 0 };
	int *fd = new_tree(L);

	*fd = tree_below(root, path, &err);
	return *fd < 0 ? lu_fail(L, &err) : 1;
}

static int l_close(lua_State *L)
{
	int *fd = luaL_checkudata(L, 1, TREE);

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return 0;
}

static int push_stat(lua_State *L, bool follow)
{
	struct error err = { 0 };
	struct stat st;

	if (tree_stat(tree_at(L, 1), path_at(L, 2), follow, &st, &err) < 0)
		return lu_fail(L, &err);
	bind_fs_push_stat(L, &st);
	return 1;
}

static int l_stat(lua_State *L)
{
	return push_stat(L, true);
}

static int l_lstat(lua_State *L)
{
	return push_stat(L, false);
}

static void close_fd(void *p)
{
	cleanup_fdp(p);
	free(p);
}

static int l_list(lua_State *L)
{
	int root = tree_at(L, 1), *fd;
	const char *path = path_at(L, 2);
	struct error err = { 0 };
	void **box = lu_box(L, close_fd);

	*box = fd = xmalloc(sizeof(*fd));
	*fd = tree_open_dir(root, path, &err);
	if (*fd < 0)
		return lu_fail(L, &err);
	return bind_fs_push_names(L, *fd, ".", path);
}

static int l_readlink(lua_State *L)
{
	int root = tree_at(L, 1);
	const char *path = path_at(L, 2);
	struct error err = { 0 };
	void **box = lu_box(L, free);

	*box = tree_readlink(root, path, &err);
	if (!*box)
		return lu_fail(L, &err);
	lua_pushstring(L, *box);
	return 1;
}

static int l_read(lua_State *L)
{
	static const char *const keys[] = { "limit", NULL };
	int root = tree_at(L, 1);
	const char *path = path_at(L, 2);
	struct error err = { 0 };
	size_t limit, len;
	void **box;

	lu_check_keys(L, 3, keys);
	limit = (size_t)lu_opt_int(L, 3, "limit", READ_LIMIT);
	box = lu_box(L, free);
	if (tree_read(root, path, limit, (char **)box, &len, &err) < 0)
		return lu_fail(L, &err);
	lua_pushlstring(L, *box, len);
	return 1;
}

static int l_write(lua_State *L)
{
	static const char *const keys[] = { "mode", NULL };
	int root = tree_at(L, 1);
	const char *path = path_at(L, 2);
	struct error err = { 0 };
	size_t len;
	const char *data = luaL_checklstring(L, 3, &len);

	lu_check_keys(L, 4, keys);
	return result(
		L, tree_write(root, path, data, len, (mode_t)lu_opt_int(L, 4, "mode", 0644), &err),
		&err);
}

static int l_copy_to(lua_State *L)
{
	static const char *const keys[] = { "mode", NULL };
	int root = tree_at(L, 1), other = tree_at(L, 3);
	const char *from = path_at(L, 2), *to = path_at(L, 4);
	struct error err = { 0 };

	lu_check_keys(L, 5, keys);
	return result(
		L, tree_copy(root, from, other, to, (mode_t)lu_opt_int(L, 5, "mode", 0644), &err),
		&err);
}

static int l_mkdir(lua_State *L)
{
	struct error err = { 0 };

	return result(
		L,
		tree_mkdir(tree_at(L, 1), path_at(L, 2), (mode_t)luaL_optinteger(L, 3, 0755), &err),
		&err);
}

static int l_mkdir_p(lua_State *L)
{
	struct error err = { 0 };

	return result(L,
		      tree_mkdir_p(tree_at(L, 1), path_at(L, 2),
				   (mode_t)luaL_optinteger(L, 3, 0755), &err),
		      &err);
}

static int l_symlink(lua_State *L)
{
	struct error err = { 0 };

	return result(L, tree_symlink(tree_at(L, 1), path_at(L, 2), path_at(L, 3), &err), &err);
}

static int l_rename(lua_State *L)
{
	struct error err = { 0 };

	return result(L, tree_rename(tree_at(L, 1), path_at(L, 2), path_at(L, 3), &err), &err);
}

static int l_rmdir(lua_State *L)
{
	struct error err = { 0 };

	return result(L, tree_rmdir(tree_at(L, 1), path_at(L, 2), &err), &err);
}

static int l_remove(lua_State *L)
{
	struct error err = { 0 };

	return result(L, tree_remove(tree_at(L, 1), path_at(L, 2), &err), &err);
}

static int l_chmod(lua_State *L)
{
	struct error err = { 0 };

	return result(
		L, tree_chmod(tree_at(L, 1), path_at(L, 2), (mode_t)luaL_checkinteger(L, 3), &err),
		&err);
}

void bind_tree_register(lua_State *L)
{
	static const luaL_Reg methods[] = { { "below", l_below },
					    { "stat", l_stat },
					    { "lstat", l_lstat },
					    { "list", l_list },
					    { "readlink", l_readlink },
					    { "read", l_read },
					    { "write", l_write },
					    { "copy_to", l_copy_to },
					    { "mkdir", l_mkdir },
					    { "mkdir_p", l_mkdir_p },
					    { "symlink", l_symlink },
					    { "rename", l_rename },
					    { "rmdir", l_rmdir },
					    { "remove", l_remove },
					    { "chmod", l_chmod },
					    { "close", l_close },
					    { "__gc", l_close },
					    { "__close", l_close },
					    { NULL, NULL } };

	if (luaL_newmetatable(L, TREE)) {
		luaL_setfuncs(L, methods, 0);
		lua_pushvalue(L, -1);
		lua_setfield(L, -2, "__index");
	}
	lua_pop(L, 1);
	lua_pushcfunction(L, l_tree);
	lua_setfield(L, -2, "tree");
}
