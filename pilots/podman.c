// SPDX-License-Identifier: MIT
// Plans for podman: one `podman run` (podman-run(1)).
#include "bytes.h"
#include "paths.h"
#include "pilot.h"
#include "podman_share.h"
#include "util.h"

// -t, -i, -ti, -it and the long forms without value: terminals are decided at each call.
static bool is_terminal_option(const char *token)
{
	if (streq(token, "--tty") || streq(token, "--interactive") || streq(token, "--rm"))
		return true;
	return token[0] == '-' && token[1] && strspn(token + 1, "ti") == strlen(token + 1);
}

// The host path of a bind mount "SRC:DST…"; NULL for named volumes.
static char *volume_source(const char *value)
{
	return value[0] == '/' ? xstrndup(value, strcspn(value, ":")) : NULL;
}

static bool volume_is_missing(const char *value)
{
	cleanup_free char *source = volume_source(value);

	return source && access(source, F_OK) < 0;
}

// How many tokens from i on make a volume whose host path is missing; 0 if none.
static size_t missing_volume(const struct strv *options, size_t i)
{
	const char *token = options->v[i];

	if (str_starts(token, "--volume="))
		return volume_is_missing(token + strlen("--volume="));
	if (streq(token, "--volume") || streq(token, "-v"))
		return i + 1 < options->n && volume_is_missing(options->v[i + 1]) ? 2 : 0;
	return 0;
}

static void add_options(struct plan *plan)
{
	const struct strv *options = &plan->options;

	for (size_t i = 0; i < options->n;) {
		size_t skip = plan->skip_missing_volumes ? missing_volume(options, i) : 0;

		if (!skip && !is_terminal_option(options->v[i]))
			strv_push(&plan->argv, options->v[i]);
		i += skip ? skip : 1;
	}
}

// A definition that brings its own idea of process 1 keeps it: --init=false, --init-path.
static bool has_own_init(const struct strv *options)
{
	for (size_t i = 0; i < options->n; i++)
		if (streq(options->v[i], "--init=false") ||
		    str_starts(options->v[i], "--init-path") || streq(options->v[i], "--systemd"))
			return true;
	return false;
}

static bool add_init(struct plan *plan)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *init = dir ? paths_lib_file(dir, "flake-init") : NULL;

	if (!init || has_own_init(&plan->options) || access(init, X_OK) < 0)
		return false;
	strv_push(&plan->argv, "--init");
	strv_pushf(&plan->argv, "--init-path=%s", init);
	return true;
}

static void add_args(struct plan *plan, bool init)
{
	for (size_t i = 0; i < plan->args.n; i++) {
		const char *arg = plan->args.v[i];

		if (init && bytes_need_encoding(arg))
			strv_take(&plan->argv, bytes_encode(arg));
		else
			strv_push(&plan->argv, arg);
	}
}

static int compose(struct plan *plan, struct error *err)
{
	struct strv *argv = &plan->argv;
	bool init;

	if (!plan->image || !*plan->image || plan->image[0] == '-')
		return error_set(err, ERR_FLAKE, "flake '%s' has no usable image", plan->flake);
	strv_free(argv);
	if (plan->user) {
		strv_push(argv, "sudo");
		strv_pushf(argv, "--user=%s", plan->user);
		strv_push(argv, "--");
	}
	strv_push(argv, "podman");
	strv_push(argv, "run");
	strv_push(argv, "--rm");
	strv_push(argv, "-i");
	if (plan->tty)
		strv_push(argv, "-t");
	if (!plan->progress && !isatty(STDERR_FILENO))
		strv_push(argv, "--quiet");
	init = add_init(plan);
	strv_pushf(argv, "--label=flake-pilot.flake=%s", plan->flake);
	if (plan->instance)
		strv_pushf(argv, "--label=flake-pilot.instance=%s", plan->instance);
	for (size_t i = 0; i < plan->env.n; i++)
		strv_pushf(argv, "--env=%s", plan->env.v[i]);
	// Before the definition's options: those win.
	if (podman_share(plan, err) < 0)
		return -1;
	add_options(plan);
	if (!streq(plan->target, "/"))
		strv_pushf(argv, "--entrypoint=%s", plan->target);
	strv_push(argv, plan->image);
	add_args(plan, init);
	return 0;
}

const struct engine engine_podman = { "podman", compose };
