// SPDX-License-Identifier: MIT
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
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

// Signals, all of them blocked, go on to the child until it ends.
static void stay_with(pid_t pid, const sigset_t *all, struct process_status *out,
		      struct rusage *usage)
{
	for (;;) {
		siginfo_t info;
		int sig = sigwaitinfo(all, &info);

		if (sig == SIGCHLD && look_at_child(pid, out, usage))
			return;
		// SI_KERNEL: from the terminal, which sends to the whole foreground group.
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, sig);
	}
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
	if (rc == 0)
		stay_with(pid, &all, out, usage);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int process_supervise_call(int (*work)(void *data), void *data, struct process_status *out,
			   struct rusage *usage, struct error *err)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigprocmask(SIG_SETMASK, &old, NULL);
		_exit(getppid() == parent ? work(data) : 125);
	}
	if (pid > 0)
		stay_with(pid, &all, out, usage);
	else
		error_set(err, errno, "cannot start a process");
	sigprocmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -1 : 0;
}
