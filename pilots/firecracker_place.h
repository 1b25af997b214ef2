// SPDX-License-Identifier: MIT
// Where the parts of an instance of a VM flake are, and VMs that stay.
#pragma once

#include "firecracker.h"
#include "instance.h"

// Zero-initialise, descriptors to -1.
struct vm_place {
	int state; // the state directory
	char *state_path;
	char *key;    // of the instance's files there
	char *socket; // that calls connect to
	char *dir;    // of the VM
};

int vm_place_open(struct vm_place *place, const struct plan *plan, const struct machine *machine,
		  struct error *err);
void vm_place_close(struct vm_place *place);
#define cleanup_vm_place __attribute__((cleanup(vm_place_close)))

// Directories of VMs of one call whose pilots were killed.
void vm_collect(const struct vm_place *place);

// A new directory for the VM of one call, locked as long as *lock is open.
int vm_directory(struct vm_place *place, int *lock, struct error *err);
// A socket that listens in a directory, only for us.
int vm_listener(const char *dir, const char *name, struct error *err);
void vm_directory_remove(const char *dir);

// Starts an engine with what the plan says.
int vm_boot(struct vm *vm, const struct plan *plan, const struct machine *machine,
	    const struct vm_place *place, const struct strv *argv, int channel, struct error *err);

// Does the instance run, of this definition?
bool vm_runs(const struct vm_place *place, const struct plan *plan);
// Makes sure that the instance runs. Once, even if many call at the same time.
int vm_stay(const struct plan *plan, const struct machine *machine, struct vm_place *place,
	    struct error *err);
// A file in memory that holds the text, to be read from its beginning.
int vm_memory_with(const char *text, struct error *err);
// A connection to a socket in a directory.
int vm_dial(const char *dir, const char *name, struct error *err);
// On a connection to Firecracker's VM_SOCKET: goes on to port 52 of the guest. vm (may be NULL):
// whose end ends the waiting.
int vm_ask_for_port(struct vm *vm, int fd, int ms, struct error *err);
// A connection to the instance's guest.
int vm_connect(const char *socket, struct error *err);
// The same, of which the guest's first word has arrived.
int vm_call(const char *socket, struct error *err);
// Ends the instance of that key, cleanly if it can be; forgets it.
int vm_stop(int state, const char *key, struct error *err);
// The same if it is still the one at that socket, not the next one that somebody has started.
int vm_stop_mute(int state, const char *key, const char *socket, struct error *err);
// The same for who has the instance's lock.
int vm_stop_locked(int state, const char *key, struct error *err);
