// SPDX-License-Identifier: MIT
// The shared part of a plan (mounts, working directory, user) as options of podman run.
#pragma once

#include "pilot.h"

// Appends them to plan->argv.
int podman_share(struct plan *plan, struct error *err);
