// SPDX-License-Identifier: MIT
// Inside of firecracker_kvm: the tiny guest.
#pragma once

#define KVM_NODE "/dev/kvm"

// How far we came, and why no further.
enum kvm_step {
	KVM_STEP_OPEN,
	KVM_STEP_VERSION,
	KVM_STEP_VM,
	KVM_STEP_GUEST,
	KVM_STEP_DONE,
};

struct kvm_answer {
	enum kvm_step step;
	int error;	   // errno; 0: see code
	unsigned int code; // KVM's version, or the reason why the guest was left
};

// The node, if it speaks the version of the interface that we know; -1: out says why.
int kvm_open(struct kvm_answer *out);

// Opens the node, makes a guest and runs it, as far as it goes: out. ETIMEDOUT: it does not end.
void kvm_try_guest(struct kvm_answer *out);
