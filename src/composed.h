// SPDX-License-Identifier: MIT
// What is known about the composed image of a flake (layers, host files, includes in one image):
// its id and the state of all files that it was made from. A launch trusts it as long as they are
// unchanged; so it needs no engine to know.
#pragma once

#include <stdbool.h>

#include "error.h"
#include "strv.h"

// The name that composed images of a flake get: localhost/flake-pilot/KEY. Caller frees.
char *composed_name(const char *flake);

// Id of the flake's composed image if it is up to date; else NULL. anyhow: even if something has
// changed since it was recorded. Caller frees.
char *composed_image(const char *flake, bool anyhow);

// "STAMP PATH": a file, or that it is missing, as lstat(2) sees it now. A directory counts as
// itself, not with what is in it. Caller frees.
char *composed_watch(const char *path);

// Records an image and what composed_watch said, before the image was made, of everything that
// decides whether it is up to date.
int composed_record(const char *flake, const char *image, const struct strv *watched,
		    struct error *err);
