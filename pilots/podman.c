// SPDX-License-Identifier: MIT
// Plans for podman: one `podman run` (podman-run(1)).
#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "bytes.h"
#include "composed.h"
#include "instance.h"
#include "paths.h"
#include "pilot.h"
#include "podman.h"
#include "podman_options.h"
#include "podman_share.h"
#include "state.h"
#include "util.h"

// Where podman's --init puts our process 1, and what makes it wait (pilots/init.c).
#define INIT_INSIDE "/run/podman-init"
#define INIT_HOLD "--hold"

#define PROCESS_OPTION "--process="

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

// The same of --mount type=bind,source=SRC,…
static bool mount_is_missing(const char *value)
{
	cleanup_free char *fields = xstrdup(value);
	char *rest = fields, *field;
	const char *source = NULL;
	bool bind = false;

	while ((field = strsep(&rest, ","))) {
		bind |= streq(field, "type=bind");
		if (str_starts(field, "source=") || str_starts(field, "src="))
			source = strchr(field, '=') + 1;
	}
	return bind && source && source[0] == '/' && access(source, F_OK) < 0;
}

// Is the option at i a volume whose host path is missing?
static bool is_missing_volume(const struct strv *options, size_t i)
{
	const char *value = podman_option_value(options, i, "volume");
	const char *mount = podman_option_value(options, i, "mount");

	if (streq(options->v[i], "-v") && i + 1 < options->n)
		value = options->v[i + 1];
	else if (str_starts(options->v[i], "-v"))
		value = options->v[i] + (options->v[i][2] == '=' ? 3 : 2);
	return (value && volume_is_missing(value)) || (mount && mount_is_missing(mount));
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

static bool has_pull_policy(const struct strv *options)
{
	for (size_t i = 0; i < options->n; i++)
		if (str_starts(options->v[i], "--pull"))
			return true;
	return false;
}

// All labels that we know, so that those of an image never count. add_place() gives an instance its
// values afterwards.
static int add_labels(struct strv *argv, const struct plan *plan, struct error *err)
{
	uint64_t run;

	if (getrandom(&run, sizeof(run), 0) != sizeof(run))
		return error_set(err, errno, "cannot get a random number");
	strv_push(argv, "--label=" LABEL_KEY "=");
	strv_push(argv, "--label=" LABEL_DEFINITION "=");
	strv_push(argv, "--label=" LABEL_COMPOSED "=");
	strv_pushf(argv, "--label=" LABEL_RUN "=%016" PRIx64, run);
	strv_pushf(argv, "--label=" LABEL_INSTANCE "=%s", plan->instance ? plan->instance : "");
	strv_pushf(argv, "--label=" LABEL_FLAKE "=%s", plan->flake);
	return 0;
}

// What every container of a flake has, whatever runs in it.
static int add_container(struct strv *argv, const struct plan *plan, const char *init,
			 struct error *err)
{
	if (!plan->progress && !isatty(STDERR_FILENO))
		strv_push(argv, "--quiet");
	// There is no registry to ask for it: podman says at once that it is missing.
	if (str_starts(plan->image, "localhost/") && !has_pull_policy(&plan->options))
		strv_push(argv, "--pull=never");
	if (init) {
		strv_push(argv, "--init");
		strv_pushf(argv, "--init-path=%s", init);
	}
	if (add_labels(argv, plan, err) < 0)
		return -1;
	add_env(argv, plan);
	// Before the definition's options: those win.
	if (podman_share(argv, plan, err) < 0)
		return -1;
	add_options(argv, plan);
	// Behind them: the flake's demand is no matter of its options.
	if (plan->policy)
		strv_pushf(argv, "--signature-policy=%s", plan->policy);
	return 0;
}

static void add_terminal(struct strv *argv, const struct plan *plan)
{
	strv_push(argv, "-i");
	if (plan->tty)
		strv_push(argv, "-t");
}

// By what an instance is found again. Behind the definition's options: these win.
static void add_place(struct strv *argv, const struct place *place)
{
	strv_pushf(argv, "--name=%s", place->container);
	strv_pushf(argv, "--pidfile=%s", place->pidfile);
	strv_pushf(argv, "--label=" LABEL_KEY "=%s", place->key);
	strv_pushf(argv, "--label=" LABEL_DEFINITION "=%s", place->definition);
}

// The app as process of its own container, which others may attach to if it has a name.
static int compose_run(struct plan *plan, const struct place *place, struct error *err)
{
	struct strv *argv = &plan->argv;
	cleanup_free char *init = has_own_init(&plan->options) ? NULL : find_init();

	strv_push(argv, "podman");
	strv_push(argv, "run");
	strv_push(argv, "--rm");
	add_terminal(argv, plan);
	if (add_container(argv, plan, init, err) < 0)
		return -1;
	if (place)
		add_place(argv, place);
	if (!streq(plan->target, "/"))
		strv_pushf(argv, "--entrypoint=%s", plan->target);
	strv_push(argv, plan->image);
	add_args(argv, plan, init != NULL);
	return 0;
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
	if (add_container(argv, plan, init, err) < 0)
		return -1;
	add_place(argv, place);
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
		return 0;
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

// What runs in the instance. Our init looks the program up, so that 126 and 127 are told apart.
static int add_program(struct strv *argv, const struct plan *plan, const struct instance *instance,
		       struct error *err)
{
	strv_push(argv, INIT_INSIDE);
	strv_push(argv, "--");
	if (!streq(plan->target, "/"))
		strv_push(argv, plan->target);
	else if (instance->id && add_entry(argv, plan, instance, err) < 0)
		return -1;
	add_args(argv, plan, true);
	return 0;
}

static int exec_by_podman(struct plan *plan, const char *container, const struct instance *instance,
			  struct error *err)
{
	struct strv *argv = &plan->argv;

	strv_push(argv, "podman");
	strv_push(argv, "exec");
	add_terminal(argv, plan);
	add_env(argv, plan);
	if (plan->run_user)
		strv_pushf(argv, "--user=%s", plan->run_user);
	strv_push(argv, instance->id ? instance->id : container);
	return add_program(argv, plan, instance, err);
}

static struct node *list_of(const struct strv *texts)
{
	struct node *list = node_new(NODE_SEQ);

	for (size_t i = 0; i < texts->n; i++)
		node_add(list, NULL, node_scalar(texts->v[i], strlen(texts->v[i]), false));
	return list;
}

static bool sets(const struct strv *env, const char *entry)
{
	size_t n = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], entry, n) == 0)
			return true;
	return false;
}

// The container's own variables with those of the plan over them.
static struct node *env_of(const struct plan *plan, const struct node *process)
{
	const struct node *own = doc_get(process, "env");
	cleanup_strv struct strv env = { 0 };

	for (size_t i = 0; own && own->type == NODE_SEQ && i < own->n; i++)
		if (own->items[i]->value && !sets(&plan->env, own->items[i]->value))
			strv_push(&env, own->items[i]->value);
	strv_append(&env, &plan->env);
	return list_of(&env);
}

// The OCI runtime itself enters a container in a fraction of podman's time. User, groups, rights,
// limits and working directory are those of the container's own process. Returns 1 if what we know
// of that is no use.
static int exec_by_runtime(struct plan *plan, const struct instance *instance, struct error *err)
{
	struct strv *argv = &plan->argv;
	cleanup_strv struct strv program = { 0 };
	cleanup_node struct node *process = NULL;
	struct node *call;

	// Cleaners of /tmp take it away while the container runs, and then anyone can make it.
	if (!podman_runtime_is_ours(instance->runtime, instance->id))
		return 1;
	process = doc_parse(instance->process, strlen(instance->process), "process", NULL);
	if (!process || process->type != NODE_MAP)
		return 1;
	if (add_program(&program, plan, instance, err) < 0)
		return -1;
	call = node_new(NODE_MAP);
	node_add(call, xstrdup("terminal"), node_scalar("false", 5, true));
	node_add(call, xstrdup("args"), list_of(&program));
	node_add(call, xstrdup("env"), env_of(plan, process));
	process = doc_merge(process, call);
	plan->process = doc_json(process);
	strv_push(argv, "crun");
	strv_pushf(argv, "--root=%s", instance->runtime);
	strv_push(argv, "exec");
	strv_push(argv, PROCESS_OPTION "/dev/fd/3");
	strv_push(argv, instance->id);
	return 0;
}

static void compose_attach(struct plan *plan, const struct instance *instance)
{
	strv_push(&plan->argv, "podman");
	strv_push(&plan->argv, "attach");
	strv_push(&plan->argv, instance->id);
}

static int compose_attached(struct plan *plan, const struct place *place, struct error *err)
{
	cleanup_instance struct instance instance = { 0 };

	if (place_runs(place, &instance)) {
		compose_attach(plan, &instance);
		return 0;
	}
	// Nobody's application is ended by somebody else's call.
	if (instance_load(place->dir, place->key, &instance) > 0)
		return error_set(err, ERR_FLAKE,
				 "flake '%s' still runs with another definition: flake-ctl podman "
				 "stop %s",
				 plan->flake, plan->flake);
	return compose_run(plan, place, err);
}

// Resume and attach: depends on whether the instance runs.
static int compose_instance(struct plan *plan, struct error *err)
{
	cleanup_place struct place place = { .dir = -1 };
	cleanup_instance struct instance instance = { 0 };
	bool runs;

	if (place_open(&place, plan, err) < 0)
		return -1;
	if (plan->attach)
		return compose_attached(plan, &place, err);
	// What "/" stands for may still have to be found out.
	runs = place_runs(&place, &instance) && (!streq(plan->target, "/") || instance.entry);
	if (!runs && compose_start(plan, &place, err) < 0)
		return -1;
	// crun exec does not pass on changes of a terminal's size (seen with 1.8).
	if (runs && !plan->tty && instance.runtime && instance.process) {
		int rc = exec_by_runtime(plan, &instance, err);

		if (rc <= 0)
			return rc;
	}
	return exec_by_podman(plan, place.container, &instance, err);
}

// The image made of the flake's parts, if it is up to date; else a name for it, and the command
// that makes it.
static int find_composed(struct plan *plan, struct error *err)
{
	cleanup_free char *name = state_name(plan->flake, plan->own);
	cleanup_free char *image = composed_image(name, plan->prepared);

	if (!image) {
		image = composed_name(name);
		if (plan_needs_compose(plan, err) < 0)
			return -1;
	}
	free(plan->image);
	plan->image = steal_ptr(&image);
	return 0;
}

static int compose(struct plan *plan, struct error *err)
{
	bool instance = plan->resume || plan->attach;

	if (!plan->image || !*plan->image || plan->image[0] == '-')
		return error_set(err, ERR_FLAKE, "flake '%s' has no usable image", plan->flake);
	plan_uncompose(plan);
	if (plan->user) {
		relay_sudo(plan);
		if (instance || plan->composed)
			return relay_compose(plan, err);
	}
	if (plan->composed && find_composed(plan, err) < 0)
		return -1;
	if (instance)
		return compose_instance(plan, err);
	return compose_run(plan, NULL, err);
}

static int ready_image(struct plan *plan, struct error *err)
{
	if (!plan->prepare.n)
		return 0;
	if (plan_prepare(plan, err) < 0)
		return -1;
	// It is as new as can be, even if the store has changed again by now.
	plan->prepared = true;
	if (compose(plan, err) < 0)
		return -1;
	return plan->prepare.n ? error_set(err, ERR_FLAKE,
					   "the image of flake '%s' was not recorded", plan->flake)
			       : 0;
}

// The description of the process stays in memory; the runtime inherits it.
static int ready_process(struct plan *plan, struct error *err)
{
	for (size_t i = 0; plan->process && i < plan->argv.n; i++) {
		int fd;

		if (!str_starts(plan->argv.v[i], PROCESS_OPTION))
			continue;
		fd = podman_memory(plan->process, err);
		if (fd < 0)
			return -1;
		free(plan->argv.v[i]);
		plan->argv.v[i] = xasprintf(PROCESS_OPTION "/proc/self/fd/%d", fd);
	}
	return 0;
}

// Gets everything done that must be before plan->argv.
static int ready(struct plan *plan, struct error *err)
{
	if (ready_image(plan, err) < 0)
		return -1;
	if (plan->attach)
		return podman_attach(plan, compose, err);
	if (plan->start.n && (podman_start(plan, err) < 0 || compose(plan, err) < 0))
		return -1;
	return ready_process(plan, err);
}

const struct engine engine_podman = {
	.name = "podman", .compose = compose, .ready = ready, .end = podman_end
};
