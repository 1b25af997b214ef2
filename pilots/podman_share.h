// SPDX-License-Identifier: MIT
// The shared part of a plan (mounts, working directory, user) as options of podman run.
#pragma once

#include "pilot.h"

// Appends them to argv.
int podman_share(struct strv *argv, const struct plan *plan, struct error *err);
