// SPDX-License-Identifier: MIT
// A guest of one page: it counts in 64-bit mode, then writes to a port, which brings KVM back to
// us. It runs in a child, for nothing but a kill gets a process out of KVM_RUN.
#include "firecracker_kvm_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

// Firecracker and QEMU ask for the same version; it has been 12 since Linux 2.6.22.
int kvm_open(struct kvm_answer *out)
{
	int fd = open(KVM_NODE, O_RDWR | O_CLOEXEC);
	int version;

	out->step = KVM_STEP_OPEN;
	out->error = errno;
	if (fd < 0)
		return -1;
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	out->step = KVM_STEP_VERSION;
	out->error = version < 0 ? errno : 0;
	out->code = (unsigned int)version;
	close(fd);
	return -1;
}

#ifdef __x86_64__

enum {
	PAGE = 4096,
	MAP_L4 = 0,
	MAP_L3 = PAGE,
	MAP_L2 = 2 * PAGE,
	CODE = 3 * PAGE,
	MEMORY = 4 * PAGE,
	PORT = 0x10,
	TIME_LIMIT = 1000, // ms
};

// 8 million rounds: 3 ms of a processor, 8 s of KVM's emulator. The smaller guest, the write to the
// port alone, ends at once on both.
static const unsigned char program[] = {
	0xb9, 0x00, 0x12, 0x7a, 0x00, //    mov ecx, 8000000
	0xff, 0xc9,		      // l: dec ecx
	0x75, 0xfc,		      //    jnz l
	0xe6, PORT,		      //    out PORT, al
	0xf4,			      //    hlt
};

// The first 2 MiB, mapped to themselves.
static void fill_memory(unsigned char *memory)
{
	const uint64_t present_writable = 3, large = 0x80;
	uint64_t entry;

	entry = MAP_L3 | present_writable;
	memcpy(memory + MAP_L4, &entry, sizeof(entry));
	entry = MAP_L2 | present_writable;
	memcpy(memory + MAP_L3, &entry, sizeof(entry));
	entry = present_writable | large;
	memcpy(memory + MAP_L2, &entry, sizeof(entry));
	memcpy(memory + CODE, program, sizeof(program));
}

// 64-bit mode with paging, as a kernel's first instruction has it.
static int set_registers(int cpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_segment data = { .limit = 0xffffffff,
				    .selector = 16,
				    .type = 3,
				    .present = 1,
				    .s = 1,
				    .db = 1,
				    .g = 1 };
	struct kvm_sregs sregs;

	if (ioctl(cpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = MAP_L4;
	sregs.cr4 |= 0x20;	  // PAE
	sregs.cr0 |= 0x80000001u; // PG, PE
	sregs.efer |= 0x500;	  // LMA, LME
	if (ioctl(cpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(cpu, KVM_SET_REGS, &regs);
}

static int make_cpu(int vm)
{
	unsigned char *memory =
		mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = { .memory_size = MEMORY };

	if (memory == MAP_FAILED)
		return -1;
	fill_memory(memory);
	region.userspace_addr = (uintptr_t)memory;
	// Older Intel processors want three pages of their own, anywhere out of the guest's way.
	(void)ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -1;
	return ioctl(vm, KVM_CREATE_VCPU, 0);
}

static int run_cpu(int kvm, int cpu, unsigned int *reason)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run;

	if (size < (int)sizeof(*run))
		return -1;
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	if (run == MAP_FAILED || set_registers(cpu) < 0 || ioctl(cpu, KVM_RUN, 0) < 0)
		return -1;
	*reason = run->exit_reason;
	return run->exit_reason == KVM_EXIT_IO && run->io.port == PORT ? 0 : 1;
}

// What it opens and maps ends with the child.
static void make_and_run(struct kvm_answer *out)
{
	int kvm = kvm_open(out), vm, cpu, done;

	if (kvm < 0)
		return;
	out->step = KVM_STEP_VM;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	cpu = vm < 0 ? -1 : make_cpu(vm);
	if (cpu < 0) {
		out->error = errno;
		return;
	}
	out->step = KVM_STEP_GUEST;
	done = run_cpu(kvm, cpu, &out->code);
	out->error = done < 0 ? errno : 0;
	if (done == 0)
		out->step = KVM_STEP_DONE;
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

// The answer of the child, or ETIMEDOUT.
static void await(int fd, struct kvm_answer *out)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long long end = now_ms() + TIME_LIMIT, left = TIME_LIMIT;
	int ready;

	while ((ready = poll(&p, 1, (int)left)) < 0 && errno == EINTR)
		left = end > now_ms() ? end - now_ms() : 0;
	if (ready > 0 && read(fd, out, sizeof(*out)) == (ssize_t)sizeof(*out))
		return;
	out->step = KVM_STEP_GUEST;
	out->error = ready > 0 ? ECHILD : ETIMEDOUT;
}

void kvm_try_guest(struct kvm_answer *out)
{
	int pipes[2];
	pid_t pid;

	*out = (struct kvm_answer){ .step = KVM_STEP_VM };
	if (pipe2(pipes, O_CLOEXEC) < 0) {
		out->error = errno;
		return;
	}
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		make_and_run(out);
		_exit(write(pipes[1], out, sizeof(*out)) != (ssize_t)sizeof(*out));
	}
	out->error = errno;
	close(pipes[1]);
	if (pid > 0) {
		await(pipes[0], out);
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(pipes[0]);
}

#else

// A tiny guest would have to be written for each architecture; a VM that can be made is a good
// sign.
void kvm_try_guest(struct kvm_answer *out)
{
	cleanup_fd int kvm = kvm_open(out);
	cleanup_fd int vm = -1;

	if (kvm < 0)
		return;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	out->step = vm < 0 ? KVM_STEP_VM : KVM_STEP_DONE;
	out->error = errno;
}

#endif
