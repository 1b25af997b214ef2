// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>

#include "bind_process.h"
#include "lua_util.h"
#include "util.h"

const char *const CHILD = "flake.process.child";

struct child *child_new(lua_State *L)
{
	struct child *child = lua_newuserdatauv(L, sizeof(*child), 2);

	*child = (struct child){
		.spec = { .fds = { -1, -1, -1 } },
		.talk = { .in = -1, .out = -1, .err = -1 },
		.ends = { -1, -1, -1 },
	};
	luaL_setmetatable(L, CHILD);
	return child;
}

static void close_ends(struct child *child)
{
	for (int i = 0; i < 3; i++) {
		if (child->ends[i] >= 0)
			close(child->ends[i]);
		child->ends[i] = -1;
	}
}

void child_end(struct child *child)
{
	close_ends(child);
	process_talk_end(&child->talk);
	strv_free(&child->env);
}

static bool is_env_name(const char *s)
{
	return *s && !strchr(s, '=');
}

// The variables of options.env (at the top of the stack) replace or remove inherited ones.
static bool overridden(lua_State *L, const char *entry)
{
	size_t n = strcspn(entry, "=");
	bool found;

	lua_pushlstring(L, entry, n);
	found = lua_rawget(L, -2) != LUA_TNIL;
	lua_pop(L, 1);
	return found;
}

static void read_env(lua_State *L, struct child *child)
{
	bool clear = lu_opt_bool(L, 2, "clear_env", false);
	bool some = lua_istable(L, 2) && lua_getfield(L, 2, "env") == LUA_TTABLE;

	if (!some)
		lua_newtable(L);
	if (!some && !clear)
		return;
	for (char **e = environ; !clear && *e; e++)
		if (!overridden(L, *e))
			strv_push(&child->env, *e);
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || !is_env_name(lua_tostring(L, -2)))
			luaL_error(L, "env must map names to strings");
		if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
			continue;
		if (lua_type(L, -1) != LUA_TSTRING)
			luaL_error(L, "env '%s' must be a string or false", lua_tostring(L, -2));
		strv_pushf(&child->env, "%s=%s", lu_check_text(L, -2, "env"),
			   lu_check_text(L, -1, "env"));
	}
	if (!child->env.v) {
		strv_push(&child->env, "");
		free(child->env.v[--child->env.n]);
		child->env.v[0] = NULL;
	}
	child->spec.env = (const char *const *)child->env.v;
}

void child_read(lua_State *L, struct child *child)
{
	int self = lua_gettop(L);

	child->spec.argv = lu_check_argv(L, 1);
	lua_setiuservalue(L, self, 1); // keeps the vector alive
	child->spec.cwd = lu_opt_string(L, 2, "cwd", NULL);
	child->spec.user = lu_opt_string(L, 2, "user", NULL);
	read_env(L, child);
	lua_settop(L, self);
}

// One stdio option, decoded before anything is opened.
struct stdio {
	const char *word; // "file" for a path
	const char *path;
	mode_t mode;
	bool append;
};

static struct stdio read_stdio(lua_State *L, const char *key)
{
	static const char *const keys[] = { "path", "append", "mode", "data", NULL };
	struct stdio io = { .word = "inherit" };
	int type = lua_istable(L, 2) ? lua_getfield(L, 2, key) : (lua_pushnil(L), LUA_TNIL);
	int top = lua_gettop(L);

	if (type == LUA_TSTRING) {
		io.word = lua_tostring(L, top);
	} else if (type == LUA_TTABLE) {
		lu_check_keys(L, top, keys);
		io.path = lu_opt_string(L, top, "path", NULL);
		io.append = lu_opt_bool(L, top, "append", false);
		io.mode = (mode_t)lu_opt_int(L, top, "mode", 0644);
		io.word = io.path ? "file" : "data";
		if (!io.path && (*key != 's' || key[3] != 'i'))
			luaL_error(L, "option '%s' needs a path", key);
	} else if (type != LUA_TNIL) {
		luaL_error(L, "option '%s' must be a string or a table", key);
	}
	lua_pop(L, 1);
	return io;
}

static int open_pipe(struct child *child, int i, int *ours, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot make a pipe");
	*ours = ends[i == 0];
	child->ends[i] = ends[i != 0];
	return 0;
}

static int open_file(struct child *child, int i, const char *path, const struct stdio *io,
		     struct error *err)
{
	int flags = i == 0 ? O_RDONLY : O_WRONLY | O_CREAT | (io->append ? O_APPEND : O_TRUNC);

	child->ends[i] = open(path, flags | O_CLOEXEC | O_NOCTTY, io->mode);
	return child->ends[i] < 0 ? error_set(err, errno, "cannot open %s", path) : 0;
}

int child_open(lua_State *L, struct child *child, struct error *err)
{
	static const char *const keys[] = { "stdin", "stdout", "stderr" };
	int *ours[] = { &child->talk.in, &child->talk.out, &child->talk.err };
	struct stdio io[3];
	int rc = 0;

	for (int i = 0; i < 3; i++)
		io[i] = read_stdio(L, keys[i]);
	for (int i = 0; i < 3; i++) {
		const char *word = io[i].word;

		if (streq(word, "inherit"))
			continue;
		if (i == 2 && streq(word, "stdout")) {
			child->spec.fds[2] = child->ends[1] >= 0 ? child->ends[1] : STDOUT_FILENO;
			continue;
		}
		if (io[i].path)
			rc = open_file(child, i, io[i].path, &io[i], err);
		else if (streq(word, "null"))
			rc = open_file(child, i, "/dev/null", &io[i], err);
		else if (streq(word, "pipe") || (i == 0 && streq(word, "data")))
			rc = open_pipe(child, i, ours[i], err);
		else
			rc = luaL_error(L, "option '%s': unknown word '%s'", keys[i], word);
		if (rc < 0)
			return -1;
		child->spec.fds[i] = child->ends[i];
	}
	return 0;
}

int child_start(struct child *child, struct error *err)
{
	int rc = process_start(&child->spec, &child->talk.pid, err);

	if (rc < 0)
		child->talk.pid = 0;
	close_ends(child);
	return rc;
}

void child_push_status(lua_State *L, const struct process_status *status)
{
	lua_createtable(L, 0, 5);
	lua_pushinteger(L, status->signal ? status->signal : status->code);
	lua_setfield(L, -2, status->signal ? "signal" : "code");
}
