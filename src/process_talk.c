// SPDX-License-Identifier: MIT
// The poll loop that serves a child's pipes.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "process.h"
#include "util.h"

// The child that process_communicate serves, and a signal that came when the child was started but
// not served yet. A signal handler uses both.
static volatile sig_atomic_t current, early;

void process_pass_on(int sig)
{
	int code = errno;

	if (current > 0)
		kill((pid_t)current, sig);
	else
		early = sig;
	errno = code;
}

void process_pass_on_from_now(void)
{
	early = 0;
}

static void serve(pid_t pid)
{
	current = (sig_atomic_t)pid;
	if (early)
		kill(pid, early);
	early = 0;
}

enum { CHUNK = 64 * 1024 };
static const double GRACE = 2; // seconds between SIGTERM and SIGKILL

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// Writing to a child that is gone must not kill us: SIGPIPE is blocked, and eaten if we raised it.
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
	static const struct timespec at_once = { 0, 0 };
	sigset_t pipe_set, old, pending;
	ssize_t n;
	int code;

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	n = write(fd, data, len);
	code = errno;
	if (n < 0 && code == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&pipe_set, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = code;
	return n;
}

int process_write_all(int fd, const char *data, size_t len, struct error *err)
{
	while (len) {
		ssize_t n = write_quietly(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, errno, "cannot write to the process");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int feed(struct process_talk *t, struct error *err)
{
	ssize_t n = write_quietly(t->in, t->input, t->input_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != EPIPE)
		return error_set(err, errno, "cannot write to process %d", (int)t->pid);
	if (n < 0 || (size_t)n == t->input_len) {
		shut(&t->in);
		return 0;
	}
	t->input += n;
	t->input_len -= (size_t)n;
	return 0;
}

static int collect(struct process_talk *t, int *fd, struct process_text *to, struct error *err)
{
	ssize_t n;

	if (to->cap - to->len < CHUNK) {
		to->cap = to->cap ? to->cap * 2 : 2 * CHUNK;
		to->text = xrealloc(to->text, to->cap);
	}
	n = read(*fd, to->text + to->len, CHUNK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return error_set(err, errno, "cannot read from process %d", (int)t->pid);
	if (n == 0)
		shut(fd);
	to->len += (size_t)n;
	if (t->out_text.len + t->err_text.len > t->limit)
		return error_set(err, ERR_LIMIT, "more than %zu bytes of output", t->limit);
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int serve_once(struct process_talk *t, double deadline, struct error *err)
{
	struct pollfd p[3] = { { .fd = t->in, .events = POLLOUT },
			       { .fd = t->out, .events = POLLIN },
			       { .fd = t->err, .events = POLLIN } };
	double left = deadline - now();
	int ms = deadline <= 0 ? -1 : left <= 0 ? 0 : (int)(left * 1000) + 1;
	int n = poll(p, 3, ms);

	if (n < 0)
		return errno == EINTR ? 0 : error_set(err, errno, "cannot poll");
	if (n == 0) {
		t->timed_out = true;
		return 0;
	}
	if (p[0].revents && feed(t, err) < 0)
		return -1;
	if (p[1].revents && collect(t, &t->out, &t->out_text, err) < 0)
		return -1;
	return p[2].revents ? collect(t, &t->err, &t->err_text, err) : 0;
}

static void set_nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int communicate(struct process_talk *t, struct error *err)
{
	double deadline = t->timeout > 0 ? now() + t->timeout : 0;
	double left;

	set_nonblocking(t->in);
	set_nonblocking(t->out);
	set_nonblocking(t->err);
	if (t->in >= 0 && t->input_len == 0)
		shut(&t->in);
	while (!t->timed_out && (t->in >= 0 || t->out >= 0 || t->err >= 0))
		if (serve_once(t, deadline, err) < 0)
			return -1;
	left = deadline > 0 ? deadline - now() : -1;
	if (!t->timed_out && deadline > 0 && left < 0)
		left = 0;
	if (!t->timed_out && process_wait(t->pid, left, &t->status, NULL) == 0) {
		t->reaped = true;
		return 0;
	}
	t->timed_out = true;
	process_end(t->pid, GRACE, &t->status);
	t->reaped = true;
	return 0;
}

int process_communicate(struct process_talk *t, struct error *err)
{
	int rc;

	serve(t->pid);
	rc = communicate(t, err);
	current = 0;
	return rc;
}

void process_talk_end(struct process_talk *t)
{
	shut(&t->in);
	shut(&t->out);
	shut(&t->err);
	if (t->pid > 0 && !t->reaped)
		process_end(t->pid, GRACE, &t->status);
	free(t->out_text.text);
	free(t->err_text.text);
	*t = (struct process_talk){ .in = -1, .out = -1, .err = -1 };
}

int process_output(const char *const *argv, bool quiet, char **out, struct error *err)
{
	struct process_talk talk = { .in = -1, .out = -1, .err = -1, .limit = 1 << 20 };
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct process_spec spec = { .argv = argv, .fds = { null, -1, quiet ? null : -1 } };
	int ends[2], rc;

	if (null < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot run %s", argv[0]);
	spec.fds[1] = ends[1];
	talk.out = ends[0];
	rc = process_start(&spec, &talk.pid, err);
	close(ends[1]);
	if (rc == 0)
		rc = process_communicate(&talk, err);
	else
		talk.pid = 0;
	if (rc == 0) {
		rc = talk.status.signal ? 128 + talk.status.signal : talk.status.code;
		if (out)
			*out = xstrndup(talk.out_text.text ? talk.out_text.text : "",
					talk.out_text.len);
	}
	process_talk_end(&talk);
	return rc;
}
