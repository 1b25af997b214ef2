// SPDX-License-Identifier: MIT
// A running instance of a resume or attach flake, as its state file tells. Whether it runs is known
// without the engine: process id and start time agree.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

// Zero-initialise.
struct instance {
	char *id;	  // the engine's: a container's id
	char *runtime;	  // directory of the OCI runtime's state; NULL: only the engine can enter
	char *process;	  // what runs in it by default, as the runtime takes it (JSON, one line)
	char *definition; // of which flake it is an instance: what plan->definition was at its
			  // start
	char *entry; // the image's entry point and command, one JSON list each: "[…] […]"; or NULL
	char *flake, *name;	  // whose instance it is, and its name; or NULL
	pid_t pid;		  // process 1 inside, seen from here; of a VM its holder
	unsigned long long start; // its start time in clock ticks after boot: proc_pid_stat(5)
};

// Start time of a process in clock ticks after boot; 0 if there is none of that id.
unsigned long long instance_start_time(pid_t pid);

// Can it be told which processes run? Not where /proc is missing, or another PID namespace's: there
// a process that runs looks dead, and nobody may clear up after it. Returns 0, or -1.
int instance_tells(struct error *err);

// Reads the state file of that key. Returns 1: it runs; 0: it doesn't, or there is no (good) file.
int instance_load(int dir, const char *key, struct instance *out);

int instance_save(int dir, const char *key, const struct instance *instance, struct error *err);

void instance_forget(int dir, const char *key);

void instance_free(struct instance *instance);
#define cleanup_instance __attribute__((cleanup(instance_free)))
