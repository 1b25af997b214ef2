// SPDX-License-Identifier: MIT
#include "firecracker_kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "firecracker_kvm_guest.h"
#include "util.h"

static char *reason_open(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return xstrdup(KVM_NODE ": permission denied: add yourself to the group kvm");
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return xstrdup(KVM_NODE
			       ": no such device: the machine has no KVM, or virtualization "
			       "is switched off in its firmware");
	default:
		return NULL;
	}
}

static char *reason(const struct kvm_answer *a)
{
	struct error err = { 0 };
	char *text = a->step == KVM_STEP_OPEN ? reason_open(a->error) : NULL;

	if (text)
		return text;
	if (a->step == KVM_STEP_GUEST && a->error == ETIMEDOUT)
		return xstrdup(KVM_NODE
			       ": guests do not run on the processor here: KVM emulates them");
	if (a->step == KVM_STEP_VM && a->error == EBUSY)
		return xstrdup(KVM_NODE ": another hypervisor uses the processor: end it first");
	if (a->step == KVM_STEP_VERSION && a->error == 0)
		return xasprintf(KVM_NODE ": version %u of the interface, not %d", a->code,
				 KVM_API_VERSION);
	if (a->step == KVM_STEP_GUEST && a->error == 0)
		return xasprintf(KVM_NODE ": a guest failed: KVM exit reason %u", a->code);
	error_set(&err, a->error,
		  a->step == KVM_STEP_GUEST ? KVM_NODE ": a guest failed"
		  : a->step == KVM_STEP_VM  ? KVM_NODE ": cannot make a guest"
					    : KVM_NODE);
	return err.message;
}

bool kvm_runs_guest(char **why)
{
	struct kvm_answer answer = { 0 };

	*why = NULL;
	kvm_try_guest(&answer);
	if (answer.step == KVM_STEP_DONE)
		return true;
	*why = reason(&answer);
	return false;
}

#ifdef __x86_64__

// With the flag the kernel has found Intel's or AMD's virtualization, not locked by the firmware.
// Without it /dev/kvm can only be a KVM that does without (PVM, in clouds that do not nest): that
// runs kernels that were made for it and emulates ordinary ones.
static bool processor_virtualizes(void)
{
	cleanup_file FILE *f = fopen("/proc/cpuinfo", "re");
	cleanup_free char *line = NULL;
	size_t cap = 0;

	if (!f)
		return true; // no answer: the guest will tell
	while (getline(&line, &cap, f) > 0)
		if (str_starts(line, "flags"))
			return strstr(line, " vmx") || strstr(line, " svm");
	return true;
}

#else

static bool processor_virtualizes(void)
{
	return true;
}

#endif

bool kvm_usable(char **why)
{
	struct kvm_answer answer = { 0 };
	int fd = kvm_open(&answer);

	*why = NULL;
	if (fd < 0) {
		*why = reason(&answer);
		return false;
	}
	close(fd);
	if (processor_virtualizes())
		return kvm_runs_guest(why);
	*why = xstrdup(KVM_NODE ": the processor offers no virtualization (vmx or svm): "
				"guests would be emulated");
	return false;
}
