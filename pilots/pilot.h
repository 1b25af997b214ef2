// SPDX-License-Identifier: MIT
// From a call to a plan (argv, env, descriptors) to exec. The one place where plans are made: it is
// linked into the pilots and into the host, so explain, hooks and pilots cannot disagree.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "flake.h"
#include "strv.h"

// Exit codes of a launch that did not reach the app.
enum { EXIT_ENGINE = 125, EXIT_REFUSED = 126, EXIT_NOT_FOUND = 127 };

struct plan {
	char *flake, *command, *engine, *image;
	char *target;	  // program inside; "/": the image's entry point
	char *user;	  // runs as that user; NULL: as the caller
	char *instance;	  // NULL: none was named
	char *definition; // tells definitions apart: a hash of all that was merged
	bool tty;	  // stdin and stdout are terminals
	bool remove, progress, interactive, skip_missing_volumes, debug; // pilot arguments
	bool own;	     // from the user's own definitions
	bool resume, attach; // calls share a running instance
	bool composed;	     // the image is made of parts (composed.h)
	bool lenient;	     // parts may want files that the host has not
	bool prepared;	     // prepare has run
	struct strv options; // the engine's, expanded, one token each
	struct strv env;     // NAME=VALUE for the app
	struct strv args;    // the app's
	struct strv mounts;  // "rw:PATH" or "ro:PATH": host paths that are the same inside
	char *workdir;	     // inside; NULL: the image's
	char *run_user;	     // UID:GID inside; NULL: the image's
	char *policy;	     // of signatures, for what has to be pulled; NULL: the engine's
	struct strv files;   // that decided
	struct strv prepare; // to be run first: makes the composed image
	struct strv start;   // to be run first: starts the instance
	struct strv argv;    // what is executed
	char *process;	     // what argv (or start) reads as /dev/fd/3; NULL: nothing
	char *socket;	     // what the call goes through, instead of argv; NULL: nothing
	bool stays;	     // the pilot stays beside the app, as its engine's run
};

// The members of a plan by name, for whoever passes plans on: Lua and the relay.
struct plan_field {
	const char *name;
	enum { PLAN_TEXT, PLAN_FLAG, PLAN_LIST } type;
	bool decides; // is input of compose, not its result
	size_t offset;
};
extern const struct plan_field plan_fields[]; // the last has no name

static inline void *plan_member(const struct plan *plan, const struct plan_field *field)
{
	return (char *)plan + field->offset;
}

// A call: which name, with what arguments, on which descriptors.
struct call {
	char *const *args; // NULL-terminated, may be NULL
	int tty;	   // 1, 0, or -1: look at stdin and stdout
};

struct engine {
	const char *name;
	// Fills plan->prepare, start and argv from everything else in the plan.
	int (*compose)(struct plan *plan, struct error *err);
	// Runs what has to be run first, so that argv can be executed. May be NULL.
	int (*ready)(struct plan *plan, struct error *err);
	// In place of executing argv: runs the app and returns its exit status, or -1. May be NULL.
	int (*run)(struct plan *plan, struct error *err);
	// Ends the instance. May be NULL.
	int (*end)(const struct plan *plan, struct error *err);
};

extern const struct engine engine_podman, engine_firecracker;

// All engines that have a pilot; the last is NULL.
extern const struct engine *const engines[];
// The engine of that name; NULL: it has no pilot.
const struct engine *engine_find(const char *name);

// The flake of a call by its argv[0]. When there is no definition of that name, the name that the
// called link points to may have one. Errors as of flake_load.
int plan_find_flake(const char *called, const struct flake_where *where, struct flake *flake,
		    struct error *err);

// Makes the plan of a call. A NULL engine leaves argv empty (drivers in Lua launch themselves).
int plan_make(struct plan *plan, const struct flake *flake, const struct call *call,
	      const struct engine *engine, struct error *err);

// Where the flake does not share the working directory, and who runs the engine may not reach it,
// goes to /.
void plan_leave_directory(const struct plan *plan);

// Takes back what compose has put into the plan.
void plan_uncompose(struct plan *plan);

// Notes in plan->prepare that "flake-ctl ENGINE compose" has to make something for the flake first.
int plan_needs_compose(struct plan *plan, struct error *err);
// Runs plan->prepare.
int plan_prepare(const struct plan *plan, struct error *err);

// Gets the plan ready and replaces this process by plan->argv; returns only on failure, or the exit
// code of a call that ends its instance (%remove), for which we stay. Another user's process gets a
// minimal environment.
int plan_run(struct plan *plan, const struct engine *engine, struct error *err);

// The environment of what runs as another user; false: it is this process's own.
bool plan_environment(const struct plan *plan, struct strv *env);

void plan_free(struct plan *plan);
#define cleanup_plan __attribute__((cleanup(plan_free)))

// Splits "OPTION VALUE" entries of a definition into tokens.
void plan_split(struct strv *out, const struct strv *entries);

// Splits entries and expands %NAME from the environment. Missing variables become empty and are
// collected in missing (may be NULL).
int plan_expand(struct strv *out, const struct strv *entries, struct strv *missing,
		struct error *err);

// Puts what the flake shares of the caller's surroundings (flake_share_words) into the plan:
// mounts, environment, working directory, user.
int share_apply(struct plan *plan, const struct flake *flake, struct error *err);

// The pilot arguments (@instance, %option) at the front of a call; returns how many were ours.
size_t plan_take_pilot_args(struct plan *plan, char *const *args);

// Is there a launch or exit hook for the flake? One directory look-up a place. 1, 0, or -1 where
// that cannot be known: the launch must not go on then.
int hooks_present(const struct flake *flake, struct error *err);

// For the way through sudo: an argument vector for flake-relay that holds the whole plan, and the
// way back.
void relay_pack(struct strv *argv, const struct plan *plan);
// What must be decided as the other user goes through sudo as a whole: relay_sudo begins plan->argv
// for any program that runs as plan->user, relay_compose ends it with flake-relay and the plan.
void relay_sudo(struct plan *plan);
int relay_compose(struct plan *plan, struct error *err);
// What flake-relay does, and a pilot that is called by a name which begins like that.
#define RELAY_NAME "flake-relay"
int relay_main(int argc, char **argv);
int relay_unpack(struct plan *plan, int argc, char **argv, struct error *err);

// Exit code that stands for an error of flake_load or plan_*.
int exit_code_of(const struct error *err);
