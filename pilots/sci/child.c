// SPDX-License-Identifier: MIT
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "user.h"
#include "util.h"

static const char default_path[] =
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

enum { PIPE = 256 << 10 };

// What a process that cannot become the program tells its parent.
struct failure {
	int status;
	char text[508];
};

void request_free(struct request *request)
{
	strv_free(&request->args);
	strv_free(&request->env);
	free(request->cwd);
	*request = (struct request){ 0 };
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void child_set_size(int tty, unsigned rows, unsigned columns)
{
	struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	ioctl(tty, TIOCSWINSZ, &size);
}

void child_take_stdio(int fd)
{
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
}

void child_reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static __attribute__((noreturn)) void give_up(int fd, int status, const char *what,
					      const char *name)
{
	struct failure failure = { .status = status };
	ssize_t n;

	snprintf(failure.text, sizeof(failure.text), "cannot %s %.400s: %s", what, name,
		 strerror(errno));
	n = write(fd, &failure, sizeof(failure));
	_exit(n < 0 ? 125 : status);
}

// The environment of the program: what was asked for, and what is missing in it.
static void set_environment(const struct request *request)
{
	cleanup_free char *home = NULL;

	clearenv();
	for (size_t i = 0; i < request->env.n; i++)
		putenv(request->env.v[i]);
	if (!getenv("PATH"))
		putenv((char *)(uintptr_t)default_path);
	if (request->tty && !getenv("TERM"))
		setenv("TERM", "xterm", 1);
	if (getenv("HOME"))
		return;
	home = user_home(request->user ? request->uid : getuid());
	setenv("HOME", home, 1);
}

static __attribute__((noreturn)) void become(const struct request *request, const int *fds,
					     int status)
{
	const char *cwd = request->cwd ? request->cwd : "/";

	setsid();
	if (request->tty)
		ioctl(fds[0], TIOCSCTTY, 0);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	child_reset_signals();
	set_environment(request);
	if (request->user && user_become(request->uid, request->gid) < 0)
		give_up(status, 126, "become the user of", request->args.v[0]);
	if (chdir(cwd) < 0)
		give_up(status, 126, "enter", cwd);
	execvp(request->args.v[0], request->args.v);
	give_up(status, errno == ENOENT || errno == ENOTDIR ? 127 : 126, "run", request->args.v[0]);
}

// Opens a pseudo terminal: our end, and its.
static int open_terminal(const struct request *request, int ours[3], int theirs[3])
{
	int zero = 0;

	ours[0] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (ours[0] < 0 || ioctl(ours[0], TIOCSPTLCK, &zero) < 0)
		return -1;
	theirs[0] = ioctl(ours[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ours[1] = fcntl(ours[0], F_DUPFD_CLOEXEC, 3);
	if (theirs[0] < 0 || ours[1] < 0)
		return -1;
	child_set_size(ours[0], request->rows, request->columns);
	for (int i = 1; i < 3; i++)
		if ((theirs[i] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 3)) < 0)
			return -1;
	return 0;
}

// A pipe for each of the standard streams.
static int open_pipes(int ours[3], int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		ours[i] = ends[i == 0];
		theirs[i] = ends[i != 0];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -1;
		// Fewer turns for the same bytes; as good without.
		(void)fcntl(ours[i], F_SETPIPE_SZ, PIPE);
	}
	return 0;
}

// The program may open /dev/stdout again, under whatever user it runs.
static void give_away(const struct request *request, const int theirs[3])
{
	for (int i = 0; i < 3; i++)
		if (request->user && fchown(theirs[i], request->uid, (gid_t)-1) < 0)
			return;
}

// No signal reaches the child while it has the handlers of its parent.
static pid_t fork_blocked(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, old);
	return fork();
}

int child_start(const struct request *request, struct child *child)
{
	int ours[3] = { -1, -1, -1 }, theirs[3] = { -1, -1, -1 }, status[2] = { -1, -1 };
	int failed = request->tty ? open_terminal(request, ours, theirs) : open_pipes(ours, theirs);
	sigset_t mask;
	int saved;

	child->pid = -1;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (failed == 0)
		failed = pipe2(status, O_CLOEXEC | O_NONBLOCK);
	if (failed == 0) {
		give_away(request, theirs);
		child->pid = fork_blocked(&mask);
	}
	if (child->pid == 0)
		become(request, theirs, status[1]);
	saved = errno;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close_all(theirs, 3);
	close_all(status + 1, 1);
	if (child->pid < 0) {
		close_all(ours, 3);
		close_all(status, 1);
		errno = saved;
		return -1;
	}
	child->in = ours[0];
	child->out[0] = ours[1];
	child->out[1] = ours[2];
	child->status = status[0];
	return 0;
}

int child_failure(const struct child *child, char *text, size_t size)
{
	struct failure failure;

	if (read(child->status, &failure, sizeof(failure)) != sizeof(failure))
		return 0;
	failure.text[sizeof(failure.text) - 1] = '\0';
	snprintf(text, size, "%s", failure.text);
	return failure.status;
}
