// SPDX-License-Identifier: MIT
// main of every pilot: link name -> flake -> hooks? -> plan -> exec.
#include <errno.h>
#include <fcntl.h>

#include "paths.h"
#include "pilot.h"
#include "printable.h"
#include "util.h"

#ifndef PILOT_ENGINE
#define PILOT_ENGINE engine_podman
#endif

static int complain(const char *who, struct error *err, int code)
{
	show_message(who, err->message);
	error_clear(err);
	return code;
}

static int explain(void)
{
	fprintf(stderr,
		"%s-pilot: launches the flake that it is called by the name of\n"
		"Call it through a link such as /usr/bin/NAME, made by:\n"
		"  flake-ctl %s register --container IMAGE --app /usr/bin/NAME\n",
		PILOT_ENGINE.name, PILOT_ENGINE.name);
	return 1;
}

// Hooks are Lua: flake-launch repeats the look-up, runs them and executes the plan.
static int run_launcher(char *const *argv, struct error *err)
{
	cleanup_free char *dir = paths_exe_dir();
	cleanup_free char *launcher = dir ? paths_lib_file(dir, "flake-launch") : NULL;

	if (launcher)
		execv(launcher, argv);
	if (errno == ENOENT)
		return error_set(err, ERR_FLAKE,
				 "cannot run the hooks with %s: no such file or directory; "
				 "install the package flake-pilot",
				 launcher ? launcher : "flake-launch");
	return error_set(err, errno, "cannot run the hooks with %s",
			 launcher ? launcher : "flake-launch");
}

static void show(const struct strv *argv)
{
	for (size_t i = 0; i < argv->n; i++) {
		cleanup_free char *word = printable(argv->v[i]);

		fprintf(stderr, "%s%s", i ? " " : "+ ", word);
	}
	if (argv->n)
		fputc('\n', stderr);
}

int main(int argc, char **argv)
{
	cleanup_error struct error err = { 0 };
	cleanup_flake struct flake flake = { 0 };
	cleanup_plan struct plan plan = { 0 };
	struct call call = { .args = argc > 0 ? argv + 1 : NULL, .tty = -1 };
	const char *name = argc > 0 ? path_base(argv[0]) : "";
	int code, hooks;

	open_standard_fds(O_RDWR);
	if (str_starts(name, RELAY_NAME "-"))
		return relay_main(argc, argv);
	if (!*name || str_ends(name, "-pilot"))
		return explain();
	if (plan_find_flake(argv[0], NULL, &flake, &err) < 0)
		return complain(name, &err, exit_code_of(&err));
	if (!streq(flake.engine, PILOT_ENGINE.name)) {
		error_set(&err, ERR_FLAKE, "%s is for engine '%s', not '%s'", flake.file,
			  flake.engine, PILOT_ENGINE.name);
		return complain(name, &err, EXIT_REFUSED);
	}
	hooks = hooks_present(&flake, &err);
	if (hooks < 0 || (hooks && run_launcher(argv, &err) < 0))
		return complain(name, &err, EXIT_REFUSED);
	if (plan_make(&plan, &flake, &call, &PILOT_ENGINE, &err) < 0)
		return complain(name, &err, exit_code_of(&err));
	if (plan.debug) {
		show(&plan.prepare);
		show(&plan.start);
		show(&plan.argv);
	}
	code = plan_run(&plan, &PILOT_ENGINE, &err);
	return code >= 0 ? code : complain(name, &err, EXIT_ENGINE);
}
