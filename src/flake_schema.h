// SPDX-License-Identifier: MIT
// Reads the merged document of a flake into its fields: schema versions 1 and 2.
#pragma once

#include "flake.h"

// Fills the fields of flake from flake->doc. ERR_FLAKE names file, line and key.
int schema_read(struct flake *flake, struct error *err);
