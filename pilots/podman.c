// SPDX-License-Identifier: MIT
// Plans for podman: one `podman run` (podman-run(1)).
#include <errno.h>

#include "pilot.h"
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

static int compose(struct plan *plan, struct error *err)
{
	struct strv *argv = &plan->argv;

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
	strv_pushf(argv, "--label=flake-pilot.flake=%s", plan->flake);
	if (plan->instance)
		strv_pushf(argv, "--label=flake-pilot.instance=%s", plan->instance);
	for (size_t i = 0; i < plan->env.n; i++)
		strv_pushf(argv, "--env=%s", plan->env.v[i]);
	add_options(plan);
	if (!streq(plan->target, "/"))
		strv_pushf(argv, "--entrypoint=%s", plan->target);
	strv_push(argv, plan->image);
	strv_append(argv, &plan->args);
	return 0;
}

const struct engine engine_podman = { "podman", compose };
