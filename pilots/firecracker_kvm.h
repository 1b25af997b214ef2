// SPDX-License-Identifier: MIT
// Does a virtual machine run here? Opening /dev/kvm is not the answer: KVM may be there and refuse,
// or emulate a guest instruction by instruction, some thousand times slower than the processor.
#pragma once

#include <stdbool.h>

// True if guests of this caller run on the processor. Otherwise false, and in *why the reason and
// what to do, for the user; caller frees. Keeps nothing; takes some milliseconds, at most a second.
bool kvm_usable(char **why);

// The proof alone, without looking for the processor's flags first: KVM takes a tiny guest, and the
// guest is through within a second.
bool kvm_runs_guest(char **why);
