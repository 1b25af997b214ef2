// SPDX-License-Identifier: MIT
// Instances of podman flakes: containers that more than one call uses.
#pragma once

#include "error.h"
#include "instance.h"
#include "pilot.h"

// Labels of containers. An image may have them, too, so that each container gets a value of ours.
#define LABEL_FLAKE "flake-pilot.flake"
#define LABEL_INSTANCE "flake-pilot.instance"
#define LABEL_DEFINITION "flake-pilot.definition"
#define LABEL_KEY "flake-pilot.key"
#define LABEL_COMPOSED "flake-pilot.composed"
#define LABEL_RUN "flake-pilot.run" // of random: tells containers of ours from those of an image

// Names and files of an instance. Zero-initialise, dir to -1.
struct place {
	int dir;	  // the state directory
	char *key;	  // of its files there
	char *container;  // name of the container
	char *pidfile;	  // podman writes it
	char *definition; // what an instance is of: the plan's definition, and its composed image
};

int place_open(struct place *place, const struct plan *plan, struct error *err);
// Does the instance run, and is it of this definition? Fills instance if so.
bool place_runs(const struct place *place, struct instance *instance);

void place_close(struct place *place);
#define cleanup_place __attribute__((cleanup(place_close)))

// Starts the instance with plan->start, once even if many call at the same time, and records it.
int podman_start(const struct plan *plan, struct error *err);

// For attach: makes sure that plan->argv either starts the only container, which a short-lived
// process records as soon as it runs, or attaches to it.
int podman_attach(struct plan *plan, int (*compose)(struct plan *, struct error *),
		  struct error *err);

// A descriptor, inherited by what we become, from which the text can be read.
int podman_memory(const char *text, struct error *err);

// Does crun's directory hold that container's state, and can nobody but the caller change it? Where
// another could, crun would do what he says, with our rights and descriptors.
bool podman_runtime_is_ours(const char *dir, const char *id);

// Removes the instance's container.
int podman_end(const struct plan *plan, struct error *err);
