// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "process.h"
#include "util.h"

// Takes note of what the child did. Returns 1 when it has ended.
static int look_at_child(pid_t pid, struct process_status *out, struct rusage *usage)
{
	int status;

	while (wait4(pid, &status, WNOHANG | WUNTRACED, usage) == pid) {
		if (WIFSTOPPED(status)) {
			raise(SIGSTOP);
			continue;
		}
		out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		out->code = WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
		return 1;
	}
	return 0;
}

int process_supervise(const struct process_spec *spec, struct process_status *out,
		      struct rusage *usage, struct error *err)
{
	sigset_t all, old;
	pid_t pid;
	int rc;

	// Blocked before the start, so that no signal comes between.
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	rc = process_start(spec, &pid, err);
	while (rc == 0) {
		siginfo_t info;
		int sig = sigwaitinfo(&all, &info);

		if (sig == SIGCHLD && look_at_child(pid, out, usage))
			break;
		// SI_KERNEL: from the terminal, which sends to the whole foreground group.
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, sig);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}
