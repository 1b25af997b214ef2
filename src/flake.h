// SPDX-License-Identifier: MIT
// A flake: the definition NAME.yaml with NAME.d/*.yaml merged over it, schema versions 1 and 2.
#pragma once

#include <stdbool.h>

#include "doc.h"
#include "strv.h"

// How calls share a container: not at all, run in one that stays, or attach to the one that runs.
struct flake_instance {
	bool resume, attach;
};

// One command of a flake.
struct flake_app {
	char *path;			 // on the host
	char *target;			 // inside; NULL: same as path, "/": the image's entry point
	char *user;			 // overrides the flake's; NULL: as the flake
	struct flake_instance *instance; // likewise
};

struct flake {
	char *name;	   // of the flake: the definition's file name without .yaml
	char *command;	   // it was asked for by this name
	char *file;	   // the definition
	struct strv files; // every file that was merged, in order
	char *engine;	   // "podman", "firecracker", …
	char *image;
	char *user; // NULL: whoever calls
	struct flake_instance instance;
	bool check_host_dependencies; // files of the host go into the composed image
	struct strv share;	      // what of the caller's surroundings the app gets
	bool own;		      // from the user's own directory
	bool user_may_override;	      // a user's own flake of the same name wins
	struct flake_app *apps;
	size_t napps;
	struct strv options; // the engine's, as written
	struct strv layers, include_tar, include_path;
	struct strv archives;	    // files that hold the images, for where they are missing
	char *signature_policy;	    // what podman demands of images that it pulls for the flake
	struct strv signature_keys; // files of the keys with which its bundles must be signed
	char *base;
	struct strv unknown;	// keys no schema knows
	struct strv unknown_at; // where: "FILE:LINE" each
	struct node *doc;
};

// Where to look. NULL members mean the default.
struct flake_where {
	const char *prefix;   // before FLAKES_DIR
	const char *user_dir; // the user's own definitions
	const char *dir;      // look only in this directory
	bool own;	      // which is the user's own
};

// Is this a possible name of a flake or a command: 1 to 255 bytes, no slash, no control
// character, no leading dot or blank?
bool flake_name_is_valid(const char *name);

// Finds and loads the flake of a command. The system's definition wins over the user's own, unless
// it says user_may_override.
// ENOENT: there is none; EPERM: others could have changed it; ERR_YAML, ERR_FLAKE: it is broken.
int flake_load(const char *name, const struct flake_where *where, struct flake *out,
	       struct error *err);

// The app called by that base name; the first one if there is none of that name.
const struct flake_app *flake_app_of(const struct flake *flake, const char *command);

// The words that `share` may hold, NULL-terminated.
extern const char *const flake_share_words[];

// Does the flake share that word?
bool flake_shares(const struct flake *flake, const char *word);

void flake_free(struct flake *flake);
#define cleanup_flake __attribute__((cleanup(flake_free)))
