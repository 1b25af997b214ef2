// SPDX-License-Identifier: MIT
// flake-relay: carries a plan through sudo. What a pilot cannot decide as the caller (does the
// other user's instance run? is his image composed?) is decided here, as that user.
#include <fcntl.h>

#include "pilot.h"
#include "util.h"

int main(int argc, char **argv)
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
		fprintf(stderr, "%s: %s\n", plan.command ? plan.command : "flake-relay",
			err.message);
		code = EXIT_ENGINE;
	}
	return code;
}
