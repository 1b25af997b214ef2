// SPDX-License-Identifier: MIT
#include "confine.h"

// termios2 is in the kernel's header, which clashes with the libc's: first.
#include <asm/termbits.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "pilot.h"
#include "util.h"

// The filter knows the numbers of the machine that it is compiled for. Where it does not know the
// machine there is none.
#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#else
#define ARCHITECTURE 0
#endif

enum {
	ANY = -1,
	WRITES = O_ACCMODE | O_CREAT | O_TRUNC,
	RULE_SIZE = 6, // instructions at most
	RULES_MAX = 128,
};

// A call that is allowed: always, or if so many bits of an argument (its lower half) are that
// value.
struct rule {
	int call, argument;
	uint32_t mask, value;
};

#define ALWAYS(call)                                                                               \
	{                                                                                          \
		SYS_##call, ANY, 0, 0                                                              \
	}
#define IF(call, argument, mask, value)                                                            \
	{                                                                                          \
		SYS_##call, argument, mask, value                                                  \
	}
#define REQUEST(request) IF(ioctl, 1, ~0U, (uint32_t)(request))

static const struct rule always[] = {
	// What is open.
	ALWAYS(read),
	ALWAYS(write),
	ALWAYS(readv),
	ALWAYS(writev),
	ALWAYS(pread64),
	ALWAYS(pwritev2),
	ALWAYS(lseek),
	ALWAYS(close),
	ALWAYS(fcntl),
	ALWAYS(fstat),
	ALWAYS(ppoll),
	ALWAYS(recvfrom),
	ALWAYS(recvmsg),
	ALWAYS(sendto),
	ALWAYS(sendmsg),
	ALWAYS(shutdown),
	ALWAYS(accept4),
	REQUEST(TCGETS),
	REQUEST(TCSETS),
	REQUEST(TCSETSW),
	REQUEST(TCSETSF),
#ifdef TCGETS2
	REQUEST(TCGETS2),
	REQUEST(TCSETS2),
	REQUEST(TCSETSW2),
	REQUEST(TCSETSF2),
#endif
	REQUEST(TIOCGWINSZ),
	REQUEST(TIOCGPGRP),
	// Files to be read: those of the state, /proc.
	IF(openat, 2, WRITES, O_RDONLY),
	ALWAYS(newfstatat),
	ALWAYS(statx),
	ALWAYS(readlinkat),
	ALWAYS(getdents64),
	ALWAYS(faccessat),
#ifdef SYS_faccessat2
	ALWAYS(faccessat2),
#endif
	// Memory, but no code.
	IF(mmap, 2, PROT_EXEC, 0),
	IF(mprotect, 2, PROT_EXEC, 0),
	ALWAYS(munmap),
	ALWAYS(mremap),
	ALWAYS(madvise),
	ALWAYS(brk),
	// Signals, time, and what the libc needs for its own.
	ALWAYS(rt_sigaction),
	ALWAYS(rt_sigprocmask),
	ALWAYS(rt_sigreturn),
	ALWAYS(rt_sigpending),
	ALWAYS(signalfd4),
	ALWAYS(sigaltstack),
	ALWAYS(restart_syscall),
	ALWAYS(wait4),
	ALWAYS(waitid),
	ALWAYS(getpid),
	ALWAYS(getppid),
	ALWAYS(gettid),
	ALWAYS(getpgid),
	ALWAYS(getuid),
	ALWAYS(geteuid),
	ALWAYS(getgid),
	ALWAYS(getegid),
	ALWAYS(clock_gettime),
	ALWAYS(clock_nanosleep),
	ALWAYS(nanosleep),
	ALWAYS(getrandom),
	ALWAYS(futex),
	ALWAYS(sched_yield),
	ALWAYS(exit),
	ALWAYS(exit_group),
#ifdef __x86_64__
	// As older libcs call them.
	ALWAYS(poll),
	ALWAYS(stat),
	ALWAYS(lstat),
	ALWAYS(readlink),
	ALWAYS(access),
	ALWAYS(getpgrp),
	ALWAYS(time),
	ALWAYS(gettimeofday),
	IF(open, 1, WRITES, O_RDONLY),
#endif
};

static const struct rule clearing[] = {
	ALWAYS(unlinkat), ALWAYS(renameat2),
#ifdef SYS_renameat
	ALWAYS(renameat),
#endif
#ifdef __x86_64__
	ALWAYS(unlink),	  ALWAYS(rmdir),     ALWAYS(rename),
#endif
};

static bool without_filter;

void confine_without_filter(void)
{
	without_filter = true;
}

// --- the filter ----------------------------------------------------------------------------------

struct filter {
	struct sock_filter code[RULES_MAX * RULE_SIZE];
	unsigned short n;
};

static void add(struct filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	f->code[f->n++] = (struct sock_filter){ code, yes, no, k };
}

static void load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

// The lower half comes first on the machines that are known.
static size_t argument_at(int argument)
{
	return offsetof(struct seccomp_data, args) + (size_t)argument * sizeof(uint64_t);
}

// The number of the call is loaded, and is again if the rule does not hold.
static void add_rule(struct filter *f, const struct rule *rule)
{
	if (rule->argument == ANY) {
		add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->call, 0, 1);
		add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
		return;
	}
	add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->call, 0, 5);
	load(f, argument_at(rule->argument));
	add(f, BPF_ALU | BPF_AND | BPF_K, rule->mask, 0, 0);
	add(f, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	load(f, offsetof(struct seccomp_data, nr));
}

static void add_rules(struct filter *f, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_rule(f, &rules[i]);
}

static void make_filter(struct filter *f, pid_t engine, bool clears)
{
	const struct rule the_engine = IF(kill, 0, ~0U, (uint32_t)engine);
	const struct rule ourselves = IF(tgkill, 0, ~0U, (uint32_t)getpid());

	load(f, offsetof(struct seccomp_data, arch));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	load(f, offsetof(struct seccomp_data, nr));
	add_rules(f, always, sizeof(always) / sizeof(always[0]));
	if (clears)
		add_rules(f, clearing, sizeof(clearing) / sizeof(clearing[0]));
	if (engine > 0)
		add_rule(f, &the_engine);
	add_rule(f, &ourselves);
	add(f, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
}

// What was forbidden did not happen.
static void on_forbidden(int sig, siginfo_t *info, void *context)
{
	char text[80];
	int n = snprintf(text, sizeof(text), "flake-pilot: forbidden system call %d\n",
			 info->si_syscall);

	(void)sig;
	(void)context;
	(void)!write(STDERR_FILENO, text, (size_t)n);
	_exit(EXIT_ENGINE);
}

static int install_filter(pid_t engine, bool clears)
{
	struct sigaction action = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };
	cleanup_free struct filter *f = NULL;
	struct sock_fprog program;

	if (!ARCHITECTURE || without_filter)
		return 0;
	f = xcalloc(1, sizeof(*f));
	make_filter(f, engine, clears);
	program = (struct sock_fprog){ f->n, f->code };
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return -1;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
		return 0;
	// A kernel that has none.
	return errno == EINVAL ? 0 : -1;
}

// --- capabilities --------------------------------------------------------------------------------

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	// Without the right to, and behind the last one: errors that mean nothing.
	for (unsigned long cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return (int)syscall(SYS_capset, &header, none);
}

int confine(pid_t engine, bool clears, struct error *err)
{
#ifdef FLAKE_UNCONFINED
	confine_without_filter();
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || drop_capabilities() < 0 ||
	    install_filter(engine, clears) < 0)
		return error_set(err, errno, "cannot give up rights");
	return 0;
}
