// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sci.h"

// Waits until no process is left, at most that long.
static bool wait_for_all(int milliseconds)
{
	int64_t end = session_now() + milliseconds;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (;;) {
		int64_t left = end - session_now();
		struct timespec rest = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return true;
		if (left <= 0)
			return false;
		sigtimedwait(&child, NULL, &rest);
	}
}

void power_end_processes(void)
{
	if (wait_for_all(0))
		return;
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	if (wait_for_all(SESSION_GRACE))
		return;
	kill(-1, SIGKILL);
	wait_for_all(SESSION_GRACE);
}

// A reset ends Firecracker, and QEMU with -no-reboot; power-off would need ACPI.
void power_off(void)
{
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	static const char text[] = "sci: fault, the VM ends\n";
	ssize_t n;

	(void)sig, (void)context;
	// What a program sends is no fault; the kernel keeps other signals from process 1 itself.
	if (getpid() == 1 && info->si_code <= 0 && info->si_pid != 1)
		return;
	n = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)n;
	if (getpid() != 1)
		_exit(125);
	sync();
	reboot(RB_AUTOBOOT);
	_exit(1);
}

void power_catch_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS };
	static char stack[16384];
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_ONSTACK | SA_SIGINFO };

	sigaltstack(&alternative, NULL);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigaction(faults[i], &action, NULL);
}
