// SPDX-License-Identifier: MIT
// Form: NAME=VALUE for each member that decides (lists: once an entry; flags: NAME=1), then "--"
// and the app's arguments.
#include <errno.h>
#include <fcntl.h>

#include "paths.h"
#include "pilot.h"
#include "printable.h"
#include "util.h"

void relay_pack(struct strv *argv, const struct plan *plan)
{
	for (const struct plan_field *f = plan_fields; f->name; f++) {
		const void *member = plan_member(plan, f);
		const struct strv *list = member;

		if (!f->decides || streq(f->name, "args"))
			continue;
		if (f->type == PLAN_TEXT && *(char *const *)member)
			strv_pushf(argv, "%s=%s", f->name, *(char *const *)member);
		else if (f->type == PLAN_FLAG && *(const bool *)member)
			strv_pushf(argv, "%s=1", f->name);
		for (size_t i = 0; f->type == PLAN_LIST && i < list->n; i++)
			strv_pushf(argv, "%s=%s", f->name, list->v[i]);
	}
	strv_push(argv, "--");
	strv_append(argv, &plan->args);
}

void relay_sudo(struct plan *plan)
{
	strv_push(&plan->argv, "sudo");
	strv_pushf(&plan->argv, "--user=%s", plan->user);
	strv_push(&plan->argv, "--");
}

// Every package of a pilot has a relay: that of podman's, or a link to the pilot itself.
static char *find_relay(const struct plan *plan)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *name = xasprintf(RELAY_NAME "-%s", plan->engine);
	cleanup_free char *own = dir ? paths_lib_file(dir, name) : NULL;

	if (own && access(own, X_OK) == 0)
		return steal_ptr(&own);
	return dir ? paths_lib_file(dir, RELAY_NAME) : NULL;
}

int relay_compose(struct plan *plan, struct error *err)
{
	cleanup_free char *relay = find_relay(plan);

	if (!relay)
		return error_set(err, ENOENT, "cannot find flake-relay");
	strv_push(&plan->argv, relay);
	relay_pack(&plan->argv, plan);
	return 0;
}

static const struct plan_field *find_field(const char *word, size_t len)
{
	for (const struct plan_field *f = plan_fields; f->name; f++)
		if (f->decides && strlen(f->name) == len && strncmp(f->name, word, len) == 0)
			return f;
	return NULL;
}

static int take_word(struct plan *plan, const char *word, struct error *err)
{
	size_t len = strcspn(word, "=");
	const struct plan_field *f = word[len] ? find_field(word, len) : NULL;
	const char *value = word + len + 1;

	if (!f)
		return error_set(err, ERR_FLAKE, "'%.40s' is no part of a plan", word);
	if (f->type == PLAN_TEXT) {
		char **text = plan_member(plan, f);

		free(*text);
		*text = xstrdup(value);
	} else if (f->type == PLAN_FLAG) {
		*(bool *)plan_member(plan, f) = true;
	} else {
		strv_push(plan_member(plan, f), value);
	}
	return 0;
}

int relay_unpack(struct plan *plan, int argc, char **argv, struct error *err)
{
	int i = 0;

	for (; i < argc && !streq(argv[i], "--"); i++)
		if (take_word(plan, argv[i], err) < 0)
			return -1;
	if (i == argc || !plan->flake || !plan->engine || !plan->image || !plan->target)
		return error_set(err, ERR_FLAKE, "the plan is incomplete");
	while (++i < argc)
		strv_push(&plan->args, argv[i]);
	return 0;
}

int relay_main(int argc, char **argv)
{
	cleanup_error struct error err = { 0 };
	cleanup_plan struct plan plan = { 0 };
	const struct engine *engine;
	int code = -1;

	open_standard_fds(O_RDWR);
	if (argc < 2) {
		fputs("flake-relay: carries a plan through sudo; it is started by the pilots\n",
		      stderr);
		return 1;
	}
	if (relay_unpack(&plan, argc - 1, argv + 1, &err) == 0) {
		engine = engine_find(plan.engine);
		if (!engine)
			error_set(&err, ERR_FLAKE, "there is no engine '%s' here", plan.engine);
		else if (engine->compose(&plan, &err) == 0)
			code = plan_run(&plan, engine, &err);
	}
	if (code < 0) {
		show_message(plan.command ? plan.command : "flake-relay", err.message);
		code = EXIT_ENGINE;
	}
	return code;
}
