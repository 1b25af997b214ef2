// SPDX-License-Identifier: MIT
// Bytes as what a host says to the guest init, as its kernel command line and as run=. Programs are
// not started: their place takes what is written to it, and says things and ends now and then.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "params.h"
#include "session.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIRST_PID = 1 << 28, TURNS = 8 };

static pid_t last_pid;
static int programs[SESSION_MAX];
static unsigned program_count;

void request_free(struct request *request)
{
	strv_free(&request->args);
	strv_free(&request->env);
	free(request->cwd);
	*request = (struct request){ 0 };
}

void child_set_size(int tty, unsigned rows, unsigned columns)
{
	(void)tty, (void)rows, (void)columns;
}

int child_failure(const struct child *child, char *text, size_t size)
{
	if (child->pid % 5)
		return 0;
	snprintf(text, size, "cannot run it");
	return 127;
}

int child_start(const struct request *request, struct child *child)
{
	int fds[2];

	if (!request->args.n || program_count == SESSION_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
		errno = EAGAIN;
		return -1;
	}
	programs[program_count++] = fds[1];
	child->pid = ++last_pid;
	child->in = fds[0];
	child->out[0] = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	child->out[1] = child->status = -1;
	return 0;
}

void clock_set(uint64_t nanoseconds)
{
	(void)nanoseconds;
}

int clock_seed(const uint8_t *bytes, size_t n)
{
	if (n > 64 || !bytes)
		abort();
	errno = EPERM;
	return bytes[0] % 2 ? -1 : 0;
}

// What programs do meanwhile, by the bits of a byte.
static void let_programs_act(struct server *server, uint8_t bits)
{
	char text[4096] = "";

	for (unsigned i = 0; i < program_count; i++) {
		if (programs[i] < 0)
			continue;
		if (bits & 1 && write(programs[i], text, sizeof(text)) < 0)
			continue;
		if (bits & 2)
			while (read(programs[i], text, sizeof(text)) > 0)
				;
		if (bits & 4)
			close_fd(&programs[i]);
	}
	if (bits & 8)
		session_reaped(server, last_pid - bits % 3, bits & 16 ? 9 : bits << 8);
	if (bits & 32)
		session_reaped(server, last_pid, 0x137f);
}

static void turn(struct server *server)
{
	struct poller poller = { .n = 0 };

	link_poll(server, &poller);
	session_poll(server, &poller);
	if (poll(poller.v, (nfds_t)poller.n, 0) < 0)
		abort();
	link_turn(server, &poller);
	(void)session_tick(server);
}

static void drop(int fd)
{
	char text[65536];

	while (read(fd, text, sizeof(text)) > 0)
		;
}

// After the end of the stream and of all programs nothing may be left.
static void end(struct server *server, int fd)
{
	close(fd);
	turn(server);
	for (struct session *s = server->sessions, *next; s; s = next) {
		next = s->next;
		session_reaped(server, s->child.pid, 0);
	}
	turn(server);
	if (server->sessions || server->session_count || (server->links && !server->stay))
		abort();
	link_free_all(server);
	while (program_count)
		close_fd(&programs[--program_count]);
}

static void serve(const uint8_t *data, size_t size)
{
	struct server server = { .vm = true, .stay = data[0] & 1 };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	last_pid = FIRST_PID;
	link_add(&server, fds[0], data[0] & 2);
	for (size_t at = 1, part = size / TURNS + 1; at < size; at += part) {
		size_t n = size - at < part ? size - at : part;

		if (write(fds[1], data + at, n) < 0 && errno != EPIPE)
			break;
		turn(&server);
		let_programs_act(&server, data[at]);
		if (data[at] & 64)
			drop(fds[1]);
	}
	end(&server, fds[1]);
}

static void parse(const uint8_t *data, size_t size)
{
	cleanup_free char *text = xstrndup((const char *)data, size);
	cleanup_strv struct strv words = { 0 };
	struct params params = { 0 };

	params_parse(&params, text);
	(void)params_get(&params, "run");
	(void)params_true(&params, "sci_resume");
	strv_free(&params.words);
	(void)words_split(&words, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	signal(SIGPIPE, SIG_IGN);
	if (size < 2)
		return 0;
	if (data[0] & 128)
		parse(data + 1, size - 1);
	else
		serve(data, size);
	return 0;
}
