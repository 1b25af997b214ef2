// SPDX-License-Identifier: MIT
// flake-init: process 1 of a container flake (podman run --init --init-path). Static.
//
// A native command dies of signals it does not handle, and gets any bytes as arguments. As process
// 1 of a PID namespace it would do neither: the kernel drops default-action signals for process 1
// (pid_namespaces(7)), and podman hands arguments through JSON, which holds no broken UTF-8. So
// this starts the app as process 2, hands signals on, reaps orphans, ends with the app's status,
// and turns arguments that the pilot has encoded (pilots/bytes.h) back into bytes.
//
// flake-init --check [TARGET] runs nothing: it tells whether the container starts and TARGET is
// there, by the exit codes of a launch (flake-ctl podman update).
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bytes.h"

static int fail(const char *what, int code)
{
	// The same words and codes as podman's own when it cannot start the app.
	fprintf(stderr, "flake-init: cannot run %s: %s\n", what, strerror(errno));
	return code;
}

// The app itself, without a process of ours: a call into a container whose process 1 is another one
// (podman exec, crun exec), or that shares its host's processes.
static int become_app(char **argv)
{
	execvp(argv[0], argv);
	return fail(argv[0], errno == ENOENT ? 127 : 126);
}

static void run_app(char **argv, const sigset_t *old)
{
	setpgid(0, 0);
	if (isatty(STDIN_FILENO))
		tcsetpgrp(STDIN_FILENO, getpid());
	signal(SIGTTOU, SIG_DFL);
	sigprocmask(SIG_SETMASK, old, NULL);
	_exit(become_app(argv));
}

// Process 1 of a container that is only there for calls into it: reaps, until it is told to end.
static int hold(const sigset_t *all)
{
	for (;;) {
		int sig = sigwaitinfo(all, NULL);

		if (sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

// Reaps what has ended; the app's end is ours. A stopped app goes on: nobody outside could
// continue it, for podman has the terminal in raw mode.
static void reap(pid_t app)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != app)
			continue;
		if (WIFSTOPPED(status))
			kill(-app, SIGCONT);
		else if (WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		else
			_exit(128 + WTERMSIG(status));
	}
}

// 0: path can be executed; else the errno.
static int check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return access(path, X_OK) < 0 ? errno : 0;
}

// Looks target up as execvp does.
static int look_up(const char *target)
{
	const char *dirs = getenv("PATH");
	int found = ENOENT;

	if (strchr(target, '/') || !*target)
		return check_file(target);
	for (const char *dir = dirs ? dirs : "/bin:/usr/bin"; dir;) {
		size_t n = strcspn(dir, ":");
		char path[4096];
		int code;

		snprintf(path, sizeof(path), "%.*s%s%s", (int)n, dir, n ? "/" : "", target);
		code = check_file(path);
		if (code == 0)
			return 0;
		if (code == EACCES)
			found = code;
		dir = dir[n] ? dir + n + 1 : NULL;
	}
	return found;
}

static int check(const char *target)
{
	errno = target ? look_up(target) : 0;
	if (errno == 0)
		return 0;
	return fail(target, errno == ENOENT ? 127 : 126);
}

int main(int argc, char **argv)
{
	const char *self = argc > 0 ? argv[0] : "";
	sigset_t all, old;
	pid_t app;

	// Called by podman as init there is a "--" in front: an app may be called --check.
	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return check(argv[2]);
	argv += argc > 0;
	if (*argv && strcmp(*argv, "--") == 0)
		argv++;
	if (!*argv) {
		fputs("flake-init: no program\n", stderr);
		return 127;
	}
	bytes_decode(argv);
	if (getpid() != 1)
		return become_app(argv);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	if (strcmp(argv[0], self) == 0 && argv[1] && strcmp(argv[1], "--hold") == 0)
		return hold(&all);
	signal(SIGTTOU, SIG_IGN);
	app = fork();
	if (app < 0)
		return fail(argv[0], 125);
	if (app == 0)
		run_app(argv, &old);
	setpgid(app, app);
	for (;;) {
		int sig = sigwaitinfo(&all, NULL);

		if (sig == SIGCHLD)
			reap(app);
		else if (sig > 0 && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
			kill(app, sig);
	}
}
