// SPDX-License-Identifier: MIT
// Bytes as arguments (split at NUL) and as one option of a definition: every argument behind the
// pilot's own must reach the app unchanged.
#include <stdint.h>

#include "pilot.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// The state of instances stays out of the host's.
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return setenv("FLAKE_ROOT", "/proc/self/cwd/build/fuzz", 1);
}

static void split(struct strv *out, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size;) {
		char *arg = xstrndup((const char *)data + i, size - i);

		i += strlen(arg) + 1;
		strv_take(out, arg);
	}
}

// Whatever a plan is unpacked from, packing and unpacking it once more changes nothing.
static void relay(const struct strv *args)
{
	cleanup_plan struct plan plan = { 0 }, again = { 0 };
	cleanup_strv struct strv first = { 0 }, second = { 0 };

	if (relay_unpack(&plan, (int)args->n, args->v, NULL) < 0)
		return;
	relay_pack(&first, &plan);
	if (relay_unpack(&again, (int)first.n, first.v, NULL) < 0)
		abort();
	relay_pack(&second, &again);
	if (first.n != second.n)
		abort();
	for (size_t i = 0; i < first.n; i++)
		if (!streq(first.v[i], second.v[i]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_error struct error err = { 0 };
	cleanup_strv struct strv args = { 0 }, tokens = { 0 };
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .image = xstrdup("i"),
					  .target = xstrdup("/t") };
	size_t own;

	split(&args, data, size);
	if (!args.n)
		return 0;
	own = plan_take_pilot_args(&plan, args.v);
	for (size_t i = own; i < args.n; i++)
		strv_push(&plan.args, args.v[i]);
	relay(&args);
	plan_expand(&plan.options, &args, NULL, &err);
	if (engine_podman.compose(&plan, &err) < 0)
		abort();
	for (size_t i = 0; i < plan.args.n; i++)
		if (!streq(plan.argv.v[plan.argv.n - plan.args.n + i], args.v[own + i]))
			abort();
	return 0;
}
