// SPDX-License-Identifier: MIT
// Plans for podman: one `podman run` (podman-run(1)).
#include <errno.h>

#include "bytes.h"
#include "composed.h"
#include "instance.h"
#include "paths.h"
#include "pilot.h"
#include "podman.h"
#include "podman_options.h"
#include "util.h"

// Where podman's --init puts our process 1, and what makes it wait (pilots/init.c).
#define INIT_INSIDE "/run/podman-init"
#define INIT_HOLD "--hold"

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

// Is the option at i a volume whose host path is missing?
static bool is_missing_volume(const struct strv *options, size_t i)
{
	const char *value = podman_option_value(options, i, "volume");

	if (!value && streq(options->v[i], "-v") && i + 1 < options->n)
		value = options->v[i + 1];
	return value && volume_is_missing(value);
}

static void add_options(struct strv *argv, const struct plan *plan)
{
	const struct strv *options = &plan->options;

	for (size_t i = 0, n; i < options->n; i += n) {
		char *option = podman_option_filter(options->v[i]);

		n = podman_option_len(options, i);
		if (option && plan->skip_missing_volumes && is_missing_volume(options, i)) {
			free(option);
			continue;
		}
		if (option)
			strv_take(argv, option);
		if (option && n == 2)
			strv_push(argv, options->v[i + 1]);
	}
}

// A definition that brings its own idea of process 1 keeps it: --init=false, --init-path,
// --systemd; and in a PID namespace that others share, process 1 is none of ours.
static bool has_own_init(const struct strv *options)
{
	for (size_t i = 0; i < options->n; i += podman_option_len(options, i)) {
		const char *systemd = podman_option_value(options, i, "systemd");
		const char *pid = podman_option_value(options, i, "pid");

		if (streq(options->v[i], "--init=false") ||
		    podman_option_value(options, i, "init-path") ||
		    (systemd && !streq(systemd, "false")) || (pid && !streq(pid, "private")))
			return true;
	}
	return false;
}

// Our process 1: its path on the host, or NULL if it is not installed.
static char *find_init(void)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *init = dir ? paths_lib_file(dir, "flake-init") : NULL;

	return init && access(init, X_OK) == 0 ? steal_ptr(&init) : NULL;
}

static void add_args(struct strv *argv, const struct plan *plan, bool encode)
{
	for (size_t i = 0; i < plan->args.n; i++) {
		const char *arg = plan->args.v[i];

		if (!encode || !bytes_need_encoding(arg)) {
			strv_push(argv, arg);
			continue;
		}
		do
			strv_take(argv, bytes_encode(&arg));
		while (*arg);
	}
}

static void add_env(struct strv *argv, const struct plan *plan)
{
	for (size_t i = 0; i < plan->env.n; i++)
		strv_pushf(argv, "--env=%s", plan->env.v[i]);
}

// What every container of a flake has, whatever runs in it.
static void add_container(struct strv *argv, const struct plan *plan, const char *init)
{
	if (!plan->progress && !isatty(STDERR_FILENO))
		strv_push(argv, "--quiet");
	if (init) {
		strv_push(argv, "--init");
		strv_pushf(argv, "--init-path=%s", init);
	}
	strv_pushf(argv, "--label=flake-pilot.flake=%s", plan->flake);
	if (plan->instance)
		strv_pushf(argv, "--label=flake-pilot.instance=%s", plan->instance);
	add_env(argv, plan);
	add_options(argv, plan);
}

static void add_terminal(struct strv *argv, const struct plan *plan)
{
	strv_push(argv, "-i");
	if (plan->tty)
		strv_push(argv, "-t");
}

// The app as process of its own container, which others may attach to if it has a name.
static void compose_run(struct plan *plan, const struct place *place)
{
	struct strv *argv = &plan->argv;
	cleanup_free char *init = has_own_init(&plan->options) ? NULL : find_init();

	strv_push(argv, "podman");
	strv_push(argv, "run");
	strv_push(argv, "--rm");
	add_terminal(argv, plan);
	if (place) {
		strv_pushf(argv, "--name=%s", place->container);
		strv_pushf(argv, "--pidfile=%s", place->pidfile);
	}
	add_container(argv, plan, init);
	if (!streq(plan->target, "/"))
		strv_pushf(argv, "--entrypoint=%s", plan->target);
	strv_push(argv, plan->image);
	add_args(argv, plan, init != NULL);
}

// A container that does nothing but be there: its process 1 is our init, which waits.
static int compose_start(struct plan *plan, const struct place *place, struct error *err)
{
	struct strv *argv = &plan->start;
	cleanup_free char *init = find_init();

	if (!init)
		return error_set(err, ENOENT, "flake '%s' needs flake-init for its instance",
				 plan->flake);
	strv_push(argv, "podman");
	strv_push(argv, "run");
	strv_push(argv, "--rm");
	strv_push(argv, "--detach");
	strv_pushf(argv, "--name=%s", place->container);
	strv_pushf(argv, "--pidfile=%s", place->pidfile);
	add_container(argv, plan, init);
	strv_push(argv, "--entrypoint=" INIT_INSIDE);
	strv_push(argv, plan->image);
	strv_push(argv, INIT_HOLD);
	return 0;
}

// The image's entry point with its own arguments, or the app's arguments instead.
static int add_entry(struct strv *argv, const struct plan *plan, const struct instance *instance,
		     struct error *err)
{
	cleanup_node struct node *entry = NULL;

	if (!instance->entry)
		return error_set(err, ERR_FLAKE,
				 "flake '%s': the entry point of its image is "
				 "unknown: stop the instance",
				 plan->flake);
	// JSON is YAML, but for surrogate pairs.
	entry = doc_parse(instance->entry, strlen(instance->entry), "entry point", err);
	if (!entry)
		return -1;
	for (size_t list = 0; list < (plan->args.n ? 1 : 2) && list < entry->n; list++) {
		const struct node *words = entry->items[list];

		for (size_t i = 0; words->type == NODE_SEQ && i < words->n; i++)
			strv_push(argv, words->items[i]->value ? words->items[i]->value : "");
	}
	return 0;
}

// A call into a running instance. The OCI runtime itself enters it in a fraction of podman's time.
static int compose_exec(struct plan *plan, const char *container, const struct instance *instance,
			struct error *err)
{
	struct strv *argv = &plan->argv;

	if (instance->runtime) {
		strv_push(argv, "crun");
		strv_pushf(argv, "--root=%s", instance->runtime);
		strv_push(argv, "exec");
		if (plan->tty)
			strv_push(argv, "--tty");
	} else {
		strv_push(argv, "podman");
		strv_push(argv, "exec");
		add_terminal(argv, plan);
	}
	add_env(argv, plan);
	strv_push(argv, instance->id ? instance->id : container);
	// Our init looks the program up, so that 126 and 127 are told apart.
	strv_push(argv, INIT_INSIDE);
	strv_push(argv, "--");
	if (!streq(plan->target, "/"))
		strv_push(argv, plan->target);
	else if (instance->id && add_entry(argv, plan, instance, err) < 0)
		return -1;
	add_args(argv, plan, !instance->runtime);
	return 0;
}

static void compose_attach(struct plan *plan, const struct instance *instance)
{
	strv_push(&plan->argv, "podman");
	strv_push(&plan->argv, "attach");
	strv_push(&plan->argv, instance->id);
}

// Resume and attach: depends on whether the instance runs.
static int compose_instance(struct plan *plan, struct error *err)
{
	cleanup_place struct place place = { .dir = -1 };
	cleanup_instance struct instance instance = { 0 };
	bool runs;

	if (place_open(&place, plan, err) < 0)
		return -1;
	runs = instance_load(place.dir, place.key, &instance) > 0;
	if (plan->attach) {
		if (runs)
			compose_attach(plan, &instance);
		else
			compose_run(plan, &place);
		return 0;
	}
	if (!runs && compose_start(plan, &place, err) < 0)
		return -1;
	return compose_exec(plan, place.container, &instance, err);
}

// The image made of the flake's parts, if it is up to date; else a name for it, and the command
// that makes it.
static int find_composed(struct plan *plan, struct error *err)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *ctl = dir ? paths_bin_file(dir, "flake-ctl") : NULL;
	cleanup_free char *image = composed_image(plan->flake);

	if (!image) {
		if (!ctl)
			return error_set(err, ENOENT, "cannot find flake-ctl");
		image = composed_name(plan->flake);
		strv_push(&plan->prepare, ctl);
		strv_push(&plan->prepare, "podman");
		strv_push(&plan->prepare, "compose");
		if (plan->own)
			strv_push(&plan->prepare, "--user");
		strv_push(&plan->prepare, plan->flake);
	}
	free(plan->image);
	plan->image = steal_ptr(&image);
	return 0;
}

// What must be decided as the other user goes through sudo as a whole.
static int compose_relay(struct plan *plan, struct error *err)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *relay = dir ? paths_lib_file(dir, "flake-relay") : NULL;

	if (!relay)
		return error_set(err, ENOENT, "cannot find flake-relay");
	strv_push(&plan->argv, relay);
	relay_pack(&plan->argv, plan);
	return 0;
}

static int compose(struct plan *plan, struct error *err)
{
	bool instance = plan->resume || plan->attach;

	if (!plan->image || !*plan->image || plan->image[0] == '-')
		return error_set(err, ERR_FLAKE, "flake '%s' has no usable image", plan->flake);
	strv_free(&plan->prepare);
	strv_free(&plan->start);
	strv_free(&plan->argv);
	if (plan->user) {
		strv_push(&plan->argv, "sudo");
		strv_pushf(&plan->argv, "--user=%s", plan->user);
		strv_push(&plan->argv, "--");
		if (instance || plan->composed)
			return compose_relay(plan, err);
	}
	if (plan->composed && find_composed(plan, err) < 0)
		return -1;
	if (instance)
		return compose_instance(plan, err);
	compose_run(plan, NULL);
	return 0;
}

// Gets everything done that must be before plan->argv.
static int ready(struct plan *plan, struct error *err)
{
	if (plan->prepare.n) {
		if (podman_prepare(plan, err) < 0 || compose(plan, err) < 0)
			return -1;
		if (plan->prepare.n)
			return error_set(err, ERR_FLAKE,
					 "the image of flake '%s' changes all the "
					 "time",
					 plan->flake);
	}
	if (plan->resume && plan->start.n)
		return podman_start(plan, err) < 0 ? -1 : compose(plan, err);
	if (plan->attach)
		return podman_attach(plan, compose, err);
	return 0;
}

const struct engine engine_podman = { "podman", compose, ready, podman_end };
