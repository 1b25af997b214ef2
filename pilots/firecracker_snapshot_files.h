// SPDX-License-Identifier: MIT
// Inside of firecracker_snapshot: the files of a saved VM.
#pragma once

#include "firecracker.h"

#define SNAPSHOT_STATE "state"
#define SNAPSHOT_MEMORY "memory"
#define SNAPSHOT_OVERLAY "overlay"

// Name of the directory of what is saved of that machine; NULL: it cannot be told. Caller frees.
char *snapshot_name(const struct plan *plan, const struct machine *machine, const char *mac);

// A new, empty directory where that is to be made. Caller frees.
char *snapshot_begin(const char *storage, const char *name, struct error *err);
// Puts what was made into place, for its owner alone, and removes others of the flake.
int snapshot_finish(const char *storage, const char *name, const char *state_name,
		    struct error *err);
