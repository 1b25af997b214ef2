// SPDX-License-Identifier: MIT
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "syscalls.h"
#include "util.h"

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *process_which(const char *name, struct error *err)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/')) {
		if (is_program(name))
			return xstrdup(name);
		error_set(err, errno ? errno : EACCES, "cannot run %s", name);
		return NULL;
	}
	if (!path || !*path)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*name && *path) {
		size_t n = strcspn(path, ":");
		cleanup_free char *file = xasprintf("%.*s/%s", (int)n, path, name);

		// Empty and relative entries would mean the current directory: never searched.
		if (path[0] == '/' && is_program(file))
			return steal_ptr(&file);
		path += n + (path[n] == ':');
	}
	error_set(err, ENOENT, "cannot run %s", name);
	return NULL;
}

// Everything a child needs that is not async-signal-safe to find out after fork.
struct launch {
	const struct process_spec *spec;
	char *file;
	bool switch_user;
	uid_t uid;
	gid_t gid;
	gid_t groups[256];
	int ngroups;
};

static void cleanup_launch(struct launch *l)
{
	free(l->file);
}

static int prepare_user(struct launch *l, struct error *err)
{
	const struct passwd *pw;

	if (!l->spec->user)
		return 0;
	pw = getpwnam(l->spec->user);
	if (!pw)
		return error_set(err, ENOENT, "user '%s'", l->spec->user);
	l->switch_user = pw->pw_uid != geteuid();
	l->uid = pw->pw_uid;
	l->gid = pw->pw_gid;
	l->ngroups = 256;
	if (getgrouplist(pw->pw_name, pw->pw_gid, l->groups, &l->ngroups) < 0)
		return error_set(err, ERANGE, "groups of user '%s'", l->spec->user);
	return 0;
}

static int prepare(struct launch *l, const struct process_spec *spec, struct error *err)
{
	l->spec = spec;
	l->file = process_which(spec->argv[0], err);
	return l->file ? prepare_user(l, err) : -1;
}

static int become_user(const struct launch *l)
{
	if (!l->switch_user)
		return 0;
	return setgroups((size_t)l->ngroups, l->groups) < 0 || setgid(l->gid) < 0 ||
			       setuid(l->uid) < 0
		       ? -1
		       : 0;
}

void process_default_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

// In the child: only async-signal-safe calls. Returns on failure with errno.
static void become(const struct launch *l)
{
	const struct process_spec *spec = l->spec;
	int fds[3];

	process_default_signals();
	// Above 2 first, so that no dup2 overwrites one that is still needed.
	for (int i = 0; i < 3; i++) {
		fds[i] = spec->fds[i] < 0 ? -1 : fcntl(spec->fds[i], F_DUPFD_CLOEXEC, 3);
		if (spec->fds[i] >= 0 && fds[i] < 0)
			return;
	}
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0 && dup2(fds[i], i) < 0)
			return;
	if (become_user(l) < 0 || (spec->cwd && chdir(spec->cwd) < 0))
		return;
	if (spec->env)
		execve(l->file, (char *const *)spec->argv, (char *const *)spec->env);
	else
		execv(l->file, (char *const *)spec->argv);
}

static int start_failed(const struct launch *l, int code, struct error *err)
{
	if (l->spec->cwd && access(l->spec->cwd, X_OK) < 0)
		return error_set(err, code, "cannot run %s in %s", l->spec->argv[0], l->spec->cwd);
	return error_set(err, code, "cannot run %s", l->spec->argv[0]);
}

int process_start(const struct process_spec *spec, pid_t *pid, struct error *err)
{
	struct launch l __attribute__((cleanup(cleanup_launch))) = { 0 };
	cleanup_fd int tell = -1, hear = -1;
	int pipes[2], code = 0;

	if (prepare(&l, spec, err) < 0)
		return -1;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot make a pipe");
	hear = pipes[0];
	tell = pipes[1];
	process_pass_on_from_now();
	*pid = fork();
	if (*pid < 0)
		return error_set(err, errno, "cannot start %s", spec->argv[0]);
	if (*pid == 0) {
		become(&l);
		code = errno;
		_exit(write(tell, &code, sizeof(code)) == sizeof(code) ? 127 : 126);
	}
	close(steal_fd(&tell));
	while (read(hear, &code, sizeof(code)) < 0 && errno == EINTR)
		;
	if (!code)
		return 0;
	waitpid(*pid, NULL, 0);
	return start_failed(&l, code, err);
}

int process_exec(const struct process_spec *spec, struct error *err)
{
	struct launch l __attribute__((cleanup(cleanup_launch))) = { 0 };

	if (prepare(&l, spec, err) < 0)
		return -1;
	become(&l);
	return start_failed(&l, errno, err);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

// Milliseconds for poll until the deadline (0: none), rounded up so that poll does not spin.
static int poll_ms(double deadline)
{
	double left = (deadline - now()) * 1000;

	if (deadline <= 0)
		return -1;
	if (left <= 0)
		return 0;
	return left > 1e9 ? 1000000000 : (int)left + 1;
}

static int reap(pid_t pid, struct process_status *out, struct error *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set(err, errno, "cannot wait for process %d", (int)pid);
	out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	out->code = WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
	return 0;
}

int process_wait(pid_t pid, double timeout, struct process_status *out, struct error *err)
{
	double deadline = timeout >= 0 ? now() + timeout : 0;
	cleanup_fd int fd = -1;
	struct pollfd p = { .events = POLLIN };
	int n;

	if (timeout < 0)
		return reap(pid, out, err);
	fd = sys_pidfd_open(pid);
	if (fd < 0)
		return error_set(err, errno, "cannot wait for process %d", (int)pid);
	p.fd = fd;
	do
		n = poll(&p, 1, poll_ms(deadline));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return error_set(err, ERR_TIMEOUT, "process %d still runs after %g s", (int)pid,
				 timeout);
	return reap(pid, out, err);
}

void process_end(pid_t pid, double grace, struct process_status *out)
{
	kill(pid, SIGTERM);
	kill(pid, SIGCONT);
	if (process_wait(pid, grace, out, NULL) == 0)
		return;
	kill(pid, SIGKILL);
	process_wait(pid, -1, out, NULL);
}
