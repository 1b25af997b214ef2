// SPDX-License-Identifier: MIT
// What is known about the composed image of a flake (layers, host files, includes in one image):
// its id and the state of all files that it was made from. A launch trusts it as long as they are
// unchanged; so it needs no engine to know.
#pragma once

#include "error.h"
#include "strv.h"

// The name that composed images of a flake get: localhost/flake-pilot/KEY. Caller frees.
char *composed_name(const char *flake);

// Id of the flake's composed image if it is up to date; else NULL. Caller frees.
char *composed_image(const char *flake);

// Records an image and the files (or missing files) that decide whether it is up to date, as
// lstat(2) sees them now. Directories count as themselves, not with what is in them.
int composed_record(const char *flake, const char *image, const struct strv *watched,
		    struct error *err);
