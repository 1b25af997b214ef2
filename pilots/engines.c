// SPDX-License-Identifier: MIT
#include "pilot.h"
#include "util.h"

const struct engine *const engines[] = { &engine_podman, &engine_firecracker, NULL };

const struct engine *engine_find(const char *name)
{
	for (size_t i = 0; name && engines[i]; i++)
		if (streq(engines[i]->name, name))
			return engines[i];
	return NULL;
}
