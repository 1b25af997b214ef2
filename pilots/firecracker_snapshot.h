// SPDX-License-Identifier: MIT
// Saved VMs (Firecracker only): booted once, idle, and restored by every call. What is saved of a
// flake is a directory NAME-HASH.snap beside its template: state, memory and overlay of one moment.
// It is whole from the moment it has that name; the hash is over all that it depends on.
#pragma once

#include "firecracker_place.h"

// Zero-initialise, descriptors to -1.
struct snapshot {
	int state, memory, overlay;
};

// Opens what is saved. false: nothing is, or it is no good.
bool vm_snapshot_open(struct snapshot *saved, const struct plan *plan,
		      const struct machine *machine, const char *mac);
void vm_snapshot_close(struct snapshot *saved);
#define cleanup_snapshot __attribute__((cleanup(vm_snapshot_close)))

// Starts plan->argv in place->dir, lets it restore what is saved, and goes on to the guest. Returns
// the channel, on which nothing was read yet.
int vm_snapshot_restore(struct vm *vm, const struct plan *plan, const struct machine *machine,
			const struct vm_place *place, const struct snapshot *saved,
			struct error *err);

// Boots the machine, saves it when it is idle. Replaces what was saved of the flake.
int vm_snapshot_save(const struct plan *plan, struct machine *machine, struct vm_place *place,
		     const char *mac, struct error *err);

// The same of a plan, from the beginning.
int vm_snapshot_make(const struct plan *plan, struct error *err);
