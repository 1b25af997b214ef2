// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>

#include "paths.h"
#include "pilot.h"
#include "process.h"
#include "util.h"

// Linux's MAX_ARG_STRLEN: one argument of execve cannot be longer.
enum { MAX_TOKEN = 128 * 1024 };

#define FIELD(type, decides, member)                                                               \
	{                                                                                          \
#member, type, decides, offsetof(struct plan, member)                              \
	}

// clang-format off
const struct plan_field plan_fields[] = {
	FIELD(PLAN_TEXT, true, flake),
	FIELD(PLAN_TEXT, true, command),
	FIELD(PLAN_TEXT, true, engine),
	FIELD(PLAN_TEXT, true, image),
	FIELD(PLAN_TEXT, true, target),
	FIELD(PLAN_TEXT, false, user),
	FIELD(PLAN_TEXT, true, instance),
	FIELD(PLAN_TEXT, true, definition),
	FIELD(PLAN_FLAG, true, tty),
	FIELD(PLAN_FLAG, true, remove),
	FIELD(PLAN_FLAG, true, progress),
	FIELD(PLAN_FLAG, true, interactive),
	FIELD(PLAN_FLAG, true, skip_missing_volumes),
	FIELD(PLAN_FLAG, true, debug),
	FIELD(PLAN_FLAG, true, own),
	FIELD(PLAN_FLAG, true, resume),
	FIELD(PLAN_FLAG, true, attach),
	FIELD(PLAN_FLAG, true, composed),
	FIELD(PLAN_FLAG, true, lenient),
	FIELD(PLAN_LIST, true, options),
	FIELD(PLAN_LIST, true, env),
	FIELD(PLAN_LIST, true, args),
	FIELD(PLAN_LIST, true, mounts),
	FIELD(PLAN_TEXT, true, workdir),
	FIELD(PLAN_TEXT, true, run_user),
	FIELD(PLAN_TEXT, true, policy),
	FIELD(PLAN_LIST, false, files),
	FIELD(PLAN_LIST, false, prepare),
	FIELD(PLAN_LIST, false, start),
	FIELD(PLAN_LIST, false, argv),
	FIELD(PLAN_TEXT, false, process),
	FIELD(PLAN_TEXT, false, socket),
	FIELD(PLAN_FLAG, false, stays),
	{ 0 },
};
// clang-format on

static bool is_instance_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > 64)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_=-", *s))
			return false;
	return true;
}

static bool *pilot_flag(struct plan *plan, const char *arg)
{
	if (streq(arg, "%remove"))
		return &plan->remove;
	if (streq(arg, "%interactive"))
		return &plan->interactive;
	if (streq(arg, "%progress"))
		return &plan->progress;
	if (streq(arg, "%ignore_missing_volume_path"))
		return &plan->skip_missing_volumes;
	if (streq(arg, "%ignore_sync_error"))
		return &plan->lenient;
	if (streq(arg, "%debug"))
		return &plan->debug;
	return NULL;
}

size_t plan_take_pilot_args(struct plan *plan, char *const *args)
{
	size_t n = 0;

	for (; args && args[n]; n++) {
		bool *flag = pilot_flag(plan, args[n]);

		if (flag)
			*flag = true;
		else if (args[n][0] == '@' && !plan->instance && is_instance_name(args[n] + 1))
			plan->instance = xstrdup(args[n] + 1);
		else
			break;
	}
	return n;
}

static void take_args(struct plan *plan, char *const *args)
{
	size_t n = plan_take_pilot_args(plan, args);

	if (!args || !args[n])
		return;
	// "@@x" is the app's own "@x".
	strv_push(&plan->args, str_starts(args[n], "@@") ? args[n] + 1 : args[n]);
	while (args[++n])
		strv_push(&plan->args, args[n]);
}

static bool is_name_byte(char c)
{
	return c == '_' || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// One pass: what a variable holds is not expanded again.
static char *expand(const char *in, size_t len, struct strv *missing, struct error *err)
{
	cleanup_free char *out = xstrdup("");
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		cleanup_free char *name = NULL;
		const char *piece = in + i;
		size_t m = 1, end = i + 1;

		while (in[i] == '%' && end < len && is_name_byte(in[end]))
			end++;
		if (in[i] == '%' && end > i + 1 && !isdigit((unsigned char)in[i + 1])) {
			name = xstrndup(in + i + 1, end - i - 1);
			piece = getenv(name);
			if (!piece && missing)
				strv_push(missing, name);
			piece = piece ? piece : "";
			m = strlen(piece);
		} else {
			end = i + 1;
		}
		if (n + m >= MAX_TOKEN) {
			error_set(err, ERR_LIMIT, "option '%.40s…' is longer than %d bytes", in,
				  MAX_TOKEN);
			return NULL;
		}
		out = xrealloc(out, n + m + 1);
		memcpy(out + n, piece, m);
		out[n += m] = '\0';
		i = end;
	}
	return steal_ptr(&out);
}

void plan_split(struct strv *out, const struct strv *entries)
{
	for (size_t i = 0; i < entries->n; i++) {
		const char *entry = entries->v[i] + (entries->v[i][0] == '\\');
		const char *blank = strchr(entry, ' '), *equals = strchr(entry, '=');
		size_t first = blank ? (size_t)(blank - entry) : strlen(entry);

		// "--env=A=b c" is one token: its blank belongs to the value.
		if (blank && equals && equals < blank && str_starts(entry, "--"))
			first = strlen(entry);
		strv_take(out, xstrndup(entry, first));
		if (entry[first])
			strv_push(out, entry + first + strspn(entry + first, " "));
	}
}

int plan_expand(struct strv *out, const struct strv *entries, struct strv *missing,
		struct error *err)
{
	cleanup_strv struct strv tokens = { 0 };

	plan_split(&tokens, entries);
	for (size_t i = 0; i < tokens.n; i++) {
		char *token = expand(tokens.v[i], strlen(tokens.v[i]), missing, err);

		if (!token)
			return -1;
		strv_take(out, token);
	}
	return 0;
}

// Keeps user NULL when it is the caller anyway.
static int set_user(struct plan *plan, const char *user, struct error *err)
{
	const struct passwd *pw;

	if (!user || !*user)
		return 0;
	pw = getpwnam(user);
	if (!pw)
		return error_set(err, ERR_FLAKE, "flake '%s' runs as '%s': no such user",
				 plan->flake, user);
	if (pw->pw_uid == geteuid())
		return 0;
	if (plan->own)
		return error_set(err, ERR_FLAKE, "flake '%s' is your own and runs as you, not '%s'",
				 plan->flake, user);
	plan->user = xstrdup(user);
	return 0;
}

// Packages link further commands to the first one: the name that the called link points to.
static char *name_behind_link(const char *called)
{
	cleanup_free char *found =
		strchr(called, '/') ? xstrdup(called) : process_which(called, NULL);
	char target[PATH_MAX];
	ssize_t n = found ? readlink(found, target, sizeof(target) - 1) : -1;

	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return xstrdup(path_base(target));
}

int plan_find_flake(const char *called, const struct flake_where *where, struct flake *flake,
		    struct error *err)
{
	cleanup_free char *behind = NULL;
	cleanup_error struct error why = { 0 };

	if (flake_load(path_base(called), where, flake, err) == 0)
		return 0;
	behind = err->code == ENOENT ? name_behind_link(called) : NULL;
	if (!behind || flake_load(behind, where, flake, &why) < 0)
		return -1;
	error_clear(err);
	free(flake->command);
	flake->command = xstrdup(path_base(called));
	return 0;
}

static char *definition_of(const struct flake *flake)
{
	cleanup_free char *text = doc_json(flake->doc);

	return xasprintf("%016" PRIx64, text_hash(text));
}

int plan_make(struct plan *plan, const struct flake *flake, const struct call *call,
	      const struct engine *engine, struct error *err)
{
	const struct flake_app *app = flake_app_of(flake, flake->command);
	const struct flake_instance *instance = app->instance ? app->instance : &flake->instance;

	plan->flake = xstrdup(flake->name);
	plan->command = xstrdup(flake->command);
	plan->engine = xstrdup(flake->engine);
	plan->image = xstrdup(flake->image);
	plan->target = xstrdup(app->target ? app->target : app->path);
	plan->own = flake->own;
	plan->policy = xstrdup(flake->signature_policy);
	plan->definition = definition_of(flake);
	plan->resume = instance->resume;
	plan->attach = instance->attach;
	plan->composed = flake->base || flake->layers.n || flake->include_tar.n ||
			 flake->include_path.n || flake->check_host_dependencies ||
			 flake->archives.n;
	strv_append(&plan->files, &flake->files);
	take_args(plan, call->args);
	plan->debug = plan->debug || getenv("PILOT_DEBUG");
	plan->tty = call->tty >= 0
			    ? call->tty == 1
			    : isatty(STDIN_FILENO) && (plan->interactive || isatty(STDOUT_FILENO));
	if (set_user(plan, app->user ? app->user : flake->user, err) < 0 ||
	    share_apply(plan, flake, err) < 0 ||
	    plan_expand(&plan->options, &flake->options, NULL, err) < 0)
		return -1;
	return engine ? engine->compose(plan, err) : 0;
}

void plan_uncompose(struct plan *plan)
{
	strv_free(&plan->prepare);
	strv_free(&plan->start);
	strv_free(&plan->argv);
	free(steal_ptr(&plan->process));
	free(steal_ptr(&plan->socket));
}

int plan_needs_compose(struct plan *plan, struct error *err)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *ctl = dir ? paths_bin_file(dir, "flake-ctl") : NULL;

	if (!ctl)
		return error_set(err, ENOENT, "cannot find flake-ctl");
	strv_push(&plan->prepare, ctl);
	strv_push(&plan->prepare, plan->engine);
	strv_push(&plan->prepare, "compose");
	if (plan->own)
		strv_push(&plan->prepare, "--user");
	if (plan->lenient)
		strv_push(&plan->prepare, "--ignore-missing");
	strv_push(&plan->prepare, plan->flake);
	return 0;
}

int plan_prepare(const struct plan *plan, struct error *err)
{
	int rc = process_output((const char *const *)plan->prepare.v, false, NULL, err);

	if (rc > 0)
		return error_set(err, ERR_FLAKE, "cannot compose the image of flake '%s'",
				 plan->flake);
	return rc;
}

static void keep_env(struct strv *env, const char *name)
{
	const char *value = getenv(name);

	if (value)
		strv_pushf(env, "%s=%s", name, value);
}

bool plan_environment(const struct plan *plan, struct strv *env)
{
	if (!plan->user)
		return false;
	strv_push(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	keep_env(env, "TERM");
	keep_env(env, "LANG");
	return true;
}

static int plan_exec(const struct plan *plan, struct error *err)
{
	cleanup_strv struct strv env = { 0 };

	if (plan_environment(plan, &env))
		execvpe(plan->argv.v[0], plan->argv.v, env.v);
	else
		execvp(plan->argv.v[0], plan->argv.v);
	return error_set(err, errno, "cannot run %s", plan->argv.v[0]);
}

// Stays until the call is over, then ends the instance; the call's exit code.
static int run_and_end(const struct plan *plan, const struct engine *engine, struct error *err)
{
	struct process_spec spec = { .argv = (const char *const *)plan->argv.v,
				     .fds = { -1, -1, -1 } };
	struct process_status status = { 0 };

	if (process_supervise(&spec, &status, NULL, err) < 0 || engine->end(plan, err) < 0)
		return -1;
	return status.signal ? 128 + status.signal : status.code;
}

// By its path, for engines go back there: below a closed directory only who is in it can stay.
static bool is_directory_reachable(void)
{
	char path[PATH_MAX];

	return getcwd(path, sizeof(path)) && access(path, X_OK) == 0;
}

void plan_leave_directory(const struct plan *plan)
{
	bool reachable = is_directory_reachable();

	if (!plan->workdir && (plan->user || !reachable) && chdir("/") < 0)
		return; // the engine says what it misses
}

int plan_run(struct plan *plan, const struct engine *engine, struct error *err)
{
	plan_leave_directory(plan);
	if (!engine || (!plan->argv.n && !plan->socket))
		return error_set(err, ERR_FLAKE, "engine '%s' has no pilot", plan->engine);
	if (plan->user)
		return plan_exec(plan, err);
	if (engine->run)
		return engine->run(plan, err);
	if (engine->ready && engine->ready(plan, err) < 0)
		return -1;
	if (plan->remove && (plan->resume || plan->attach) && engine->end)
		return run_and_end(plan, engine, err);
	return plan_exec(plan, err);
}

void plan_free(struct plan *plan)
{
	for (const struct plan_field *f = plan_fields; f->name; f++) {
		if (f->type == PLAN_TEXT)
			free(*(char **)plan_member(plan, f));
		else if (f->type == PLAN_LIST)
			strv_free(plan_member(plan, f));
	}
	*plan = (struct plan){ 0 };
}

int exit_code_of(const struct error *err)
{
	return err->code == ENOENT ? EXIT_NOT_FOUND : EXIT_REFUSED;
}
