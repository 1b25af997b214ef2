// SPDX-License-Identifier: MIT
// The engine's process: started, listened to, ended.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "channel.h"
#include "firecracker.h"
#include "process.h"
#include "syscalls.h"
#include "util.h"

enum { EXPLAIN_MS = 1000 };

// In the child: only async-signal-safe calls. Returns on failure with errno.
static void become(const char *file, const struct strv *argv, const struct vm_fds *fds, int output,
		   const char *cwd, pid_t parent)
{
	enum { COUNT = VM_FD_CHANNEL + 1 };
	int from[COUNT] = { -1, output, output, fds->config, fds->overlay, fds->channel };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setsid();
	process_default_signals();
	from[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	// Above all targets first, so that no dup2 overwrites one that is still needed.
	for (size_t i = 0; i < COUNT; i++)
		if (from[i] >= 0)
			from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16);
	// The caller's own descriptors are not the engine's.
	sys_close_range(VM_FD_CONFIG, COUNT - 1, 0);
	sys_close_range(COUNT, ~0U, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < COUNT; i++)
		if (from[i] >= 0 && dup2(from[i], (int)i) < 0)
			return;
	if (!cwd || chdir(cwd) == 0)
		execv(file, argv->v);
}

int vm_start(struct vm *vm, const struct strv *argv, const struct vm_fds *fds, const char *cwd,
	     struct error *err)
{
	cleanup_free char *file = process_which(argv->v[0], err);
	cleanup_fd int output = -1;
	pid_t parent = getpid();
	int ends[2];

	if (!file)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot run %s", argv->v[0]);
	vm->console = ends[0];
	output = ends[1];
	fcntl(vm->console, F_SETFL, O_NONBLOCK);
	vm->pid = fork();
	if (vm->pid == 0) {
		become(file, argv, fds, output, cwd, parent);
		dprintf(STDERR_FILENO, "cannot run %s: %s\n", file, strerror(errno));
		_exit(127);
	}
	if (vm->pid < 0)
		return error_set(err, errno, "cannot run %s", argv->v[0]);
	vm->pidfd = sys_pidfd_open(vm->pid);
	return vm->pidfd < 0 ? error_set(err, errno, "cannot watch %s", argv->v[0]) : 0;
}

static void remember(struct vm *vm, const char *text, size_t n)
{
	size_t room = sizeof(vm->tail) - vm->tail_len;

	if (n > sizeof(vm->tail)) {
		text += n - sizeof(vm->tail);
		n = sizeof(vm->tail);
	}
	if (n > room) {
		memmove(vm->tail, vm->tail + (n - room), vm->tail_len - (n - room));
		vm->tail_len -= n - room;
	}
	memcpy(vm->tail + vm->tail_len, text, n);
	vm->tail_len += n;
}

bool vm_listen(struct vm *vm)
{
	char text[4096];
	ssize_t n = read(vm->console, text, sizeof(text));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	remember(vm, text, (size_t)n);
	if (vm->debug && write_fd_all(STDERR_FILENO, text, (size_t)n) < 0)
		vm->debug = false;
	return true;
}

long long vm_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

bool vm_is_over(const struct vm *vm)
{
	struct pollfd on = { .fd = vm->pidfd, .events = POLLIN };

	return poll(&on, 1, 0) > 0;
}

int vm_signals(struct error *err)
{
	static const int wanted[] = { SIGINT,  SIGTERM, SIGHUP,	  SIGQUIT,
				      SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
	struct sigaction action;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	// What was to be ignored (nohup) stays so.
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, wanted[i]);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set(err, errno, "cannot wait for signals") : fd;
}

int vm_signal_of(int signals)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGWINCH && info.ssi_signo != SIGCONT)
			return (int)info.ssi_signo;
	return 0;
}

bool vm_is_interrupted(struct vm *vm)
{
	if (!vm->sig && vm->signals >= 0)
		vm->sig = vm_signal_of(vm->signals);
	return vm->sig != 0;
}

bool vm_wait(struct vm *vm, int fd, int ms)
{
	struct pollfd on[] = { { .fd = fd, .events = POLLIN },
			       { .fd = vm->console, .events = POLLIN },
			       { .fd = vm->pidfd, .events = POLLIN },
			       { .fd = vm->signals, .events = POLLIN } };
	long long limit = vm_now() + ms, left;

	while ((left = limit - vm_now()) > 0) {
		if (poll(on, 4, (int)left) < 0 && errno != EINTR)
			return false;
		if (on[1].revents && !vm_listen(vm))
			on[1].fd = -1;
		if (on[0].revents)
			return true;
		if (on[2].revents || vm_is_interrupted(vm))
			return false;
	}
	return false;
}

int vm_hello(struct vm *vm, int channel, int ms, struct error *err)
{
	struct channel_buffer in = { 0 };
	struct channel_frame frame = { 0 };
	const size_t want = CHANNEL_HEADER + 6;
	const char *why;
	int version = -1;

	while (channel_pending(&in) < want && vm_wait(vm, channel, ms)) {
		size_t rest = want - channel_pending(&in);
		ssize_t n = read(channel, channel_room(&in, rest), rest);

		if (n <= 0)
			break;
		channel_grown(&in, (size_t)n);
	}
	if (channel_pending(&in) == want && channel_next(&in, CHANNEL_GUEST, &frame, &why) > 0 &&
	    frame.type == CHANNEL_HELLO)
		version = channel_u16(&frame, 4);
	free(in.data);
	return version < 0 ? error_set(err, ERR_FLAKE, "the guest did not say hello") : version;
}

void vm_end(struct vm *vm)
{
	if (vm->pid > 0) {
		kill(vm->pid, SIGKILL);
		while (waitpid(vm->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (vm->pidfd >= 0)
		close(vm->pidfd);
	if (vm->signals >= 0)
		close(vm->signals);
	if (vm->console >= 0)
		close(vm->console);
	*vm = (struct vm){ VM_NONE };
}

// The line to show: the kernel's panic if there was one, else the last that says something.
static char *last_line(const struct vm *vm)
{
	cleanup_free char *text = xstrndup(vm->tail, vm->tail_len);
	char *panic = strstr(text, "Kernel panic"), *rest = text, *line;
	const char *best = "";

	if (panic)
		return xstrndup(panic, strcspn(panic, "\r\n"));
	while ((line = strsep(&rest, "\r\n")))
		if (*line && !strstr(line, "] reboot: "))
			best = line;
	return xstrdup(best);
}

int vm_explain(struct vm *vm, struct error *err)
{
	struct pollfd ready = { .fd = vm->console, .events = POLLIN };
	cleanup_free char *line = NULL;
	long long limit = vm_now() + EXPLAIN_MS;
	char *message;

	// A guest that still runs may never cease to talk.
	while (vm->console >= 0 && vm_now() < limit && poll(&ready, 1, 200) > 0 && vm_listen(vm))
		;
	line = last_line(vm);
	for (char *p = line; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = ' ';
	if (!*line)
		return -1;
	message = xasprintf("%s: %s", err->message, line);
	free(err->message);
	err->message = message;
	return -1;
}
