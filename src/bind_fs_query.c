// SPDX-License-Identifier: MIT
// flake.fs: what asks about files, users and terminals. Reference: doc/api/fs.md
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "bind_fs.h"
#include "fs.h"
#include "fs_trust.h"
#include "lua_util.h"
#include "util.h"

enum { READ_LIMIT = 256 << 20 };

// Text read from a file, owned by a box.
struct text {
	char *data;
	size_t len;
};

static void free_text(void *p)
{
	struct text *text = p;

	free(text->data);
	free(text);
}

static int read_text(const char *path, size_t limit, bool trusted, struct text *text,
		     struct error *err)
{
	cleanup_fd int fd = -1;

	if (!trusted)
		return fs_read(path, limit, &text->data, &text->len, err);
	fd = fs_open_trusted(path, err);
	if (fd < 0)
		return -1;
	return read_fd_all(fd, limit, &text->data, &text->len, err) < 0
		       ? error_wrap(err, "%s", path)
		       : 0;
}

static int l_read(lua_State *L)
{
	static const char *const keys[] = { "limit", "trusted", NULL };
	struct error err = { 0 };
	const char *path = luaL_checkstring(L, 1);
	struct text *text;
	size_t limit;
	bool trusted;
	void **box;

	lu_check_keys(L, 2, keys);
	limit = (size_t)lu_opt_int(L, 2, "limit", READ_LIMIT);
	trusted = lu_opt_bool(L, 2, "trusted", false);
	box = lu_box(L, free_text);
	*box = text = xcalloc(1, sizeof(*text));
	if (read_text(path, limit, trusted, text, &err) < 0)
		return lu_fail(L, &err);
	lua_pushlstring(L, text->data, text->len);
	return 1;
}

static int l_readlink(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char buf[PATH_MAX];
	ssize_t n = readlink(path, buf, sizeof(buf));

	if (n < 0)
		return bind_fs_result(L, -1, "read link", path);
	lua_pushlstring(L, buf, (size_t)n);
	return 1;
}

static int l_realpath(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	char buf[PATH_MAX];

	if (!realpath(path, buf))
		return bind_fs_result(L, -1, "find", path);
	lua_pushstring(L, buf);
	return 1;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "character device";
	default:
		return "block device";
	}
}

static void set_int(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

void bind_fs_push_stat(lua_State *L, const struct stat *st)
{
	lua_createtable(L, 0, 8);
	lua_pushstring(L, type_name(st->st_mode));
	lua_setfield(L, -2, "type");
	set_int(L, "mode", st->st_mode & 07777);
	set_int(L, "uid", st->st_uid);
	set_int(L, "gid", st->st_gid);
	set_int(L, "size", st->st_size);
	set_int(L, "dev", (lua_Integer)st->st_dev);
	set_int(L, "ino", (lua_Integer)st->st_ino);
	lua_pushnumber(L, (lua_Number)st->st_mtim.tv_sec + (lua_Number)st->st_mtim.tv_nsec / 1e9);
	lua_setfield(L, -2, "mtime");
}

static int push_stat(lua_State *L, int rc, const struct stat *st, const char *path)
{
	if (rc < 0)
		return bind_fs_result(L, -1, "stat", path);
	bind_fs_push_stat(L, st);
	return 1;
}

static int l_stat(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	return push_stat(L, stat(path, &st), &st, path);
}

static int l_lstat(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);
	struct stat st;

	return push_stat(L, lstat(path, &st), &st, path);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

// scandir's result, owned by a box.
struct entries {
	struct dirent **v;
	int n;
};

static void free_entries(void *p)
{
	struct entries *entries = p;

	for (int i = 0; i < entries->n; i++)
		free(entries->v[i]);
	free(entries->v);
	free(entries);
}

static int not_dots(const struct dirent *e)
{
	return !streq(e->d_name, ".") && !streq(e->d_name, "..");
}

int bind_fs_push_names(lua_State *L, int dirfd, const char *path, const char *shown)
{
	void **box = lu_box(L, free_entries);
	struct entries *entries;

	*box = entries = xcalloc(1, sizeof(*entries));
	entries->n = scandirat(dirfd, path, &entries->v, not_dots, by_name);
	if (entries->n < 0)
		return bind_fs_result(L, -1, "read directory", shown);
	lua_createtable(L, entries->n, 0);
	for (int i = 0; i < entries->n; i++) {
		lua_pushstring(L, entries->v[i]->d_name);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

static int l_list(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1);

	return bind_fs_push_names(L, AT_FDCWD, path, path);
}

static int l_trusted(lua_State *L)
{
	struct error err = { 0 };

	if (fs_trusted(luaL_checkstring(L, 1), &err) < 0)
		return lu_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

static int l_access(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1), *how = luaL_optstring(L, 2, "");
	int mode = (strchr(how, 'r') ? R_OK : 0) | (strchr(how, 'w') ? W_OK : 0) |
		   (strchr(how, 'x') ? X_OK : 0);

	return bind_fs_result(L, access(path, mode), "access", path);
}

static int l_getuid(lua_State *L)
{
	lua_pushinteger(L, getuid());
	return 1;
}

static int l_geteuid(lua_State *L)
{
	lua_pushinteger(L, geteuid());
	return 1;
}

static int l_user(lua_State *L)
{
	const struct passwd *pw;
	struct error err = { 0 };

	if (lua_isinteger(L, 1))
		pw = getpwuid((uid_t)lua_tointeger(L, 1));
	else
		pw = getpwnam(luaL_checkstring(L, 1));
	if (!pw) {
		error_set(&err, ENOENT, "user '%s'", lua_tostring(L, 1));
		return lu_fail(L, &err);
	}
	lua_createtable(L, 0, 5);
	set_int(L, "uid", pw->pw_uid);
	set_int(L, "gid", pw->pw_gid);
	lua_pushstring(L, pw->pw_name);
	lua_setfield(L, -2, "name");
	lua_pushstring(L, pw->pw_dir);
	lua_setfield(L, -2, "home");
	lua_pushstring(L, pw->pw_shell);
	lua_setfield(L, -2, "shell");
	return 1;
}

static int l_isatty(lua_State *L)
{
	lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
	return 1;
}

static int l_tty_size(lua_State *L)
{
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
		return bind_fs_result(L, -1, "ask the size of", "standard output");
	lua_pushinteger(L, ws.ws_col);
	lua_pushinteger(L, ws.ws_row);
	return 2;
}

void bind_fs_query_register(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "read", l_read },	    { "readlink", l_readlink },
		{ "realpath", l_realpath }, { "stat", l_stat },
		{ "lstat", l_lstat },	    { "list", l_list },
		{ "trusted", l_trusted },   { "access", l_access },
		{ "getuid", l_getuid },	    { "geteuid", l_geteuid },
		{ "user", l_user },	    { "isatty", l_isatty },
		{ "tty_size", l_tty_size }, { NULL, NULL }
	};

	luaL_setfuncs(L, functions, 0);
}
