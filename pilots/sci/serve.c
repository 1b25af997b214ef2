// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sci.h"
#include "util.h"

enum {
	STAY = 2000, // ms
	LAST = 3600 * 1000,
};

int serve_open(struct serve *serve)
{
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -1;
	serve->listener = serve->port_events = -1;
	serve->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return serve->signals < 0 ? -1 : 0;
}

static void reap(struct serve *serve)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(serve->signals, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
		session_reaped(&serve->server, pid, status);
}

static void take_callers(struct serve *serve)
{
	int fd;

	while ((fd = transport_accept(serve->listener, SOCK_NONBLOCK)) >= 0 ||
	       errno == ECONNABORTED)
		if (fd >= 0)
			link_add(&serve->server, fd, false);
}

// Is there a peer on the port again? Only a change is told, for a port without one is always ready.
static void look_at_port(struct serve *serve)
{
	struct epoll_event event;

	while (epoll_wait(serve->port_events, &event, 1, 0) > 0)
		;
	for (struct link *link = serve->server.links; link; link = link->next) {
		struct pollfd now = { .fd = link->fd, .events = POLLOUT };

		if (link->port && link->waiting && poll(&now, 1, 0) >= 0 &&
		    !(now.revents & POLLHUP))
			link->waiting = false;
	}
}

static bool finished(const struct server *server)
{
	if (server->shutdown)
		return true;
	if (server->sessions || server->stay)
		return false;
	return server->over || !server->links;
}

static bool has_waiting(const struct server *server)
{
	for (struct link *link = server->links; link; link = link->next)
		if (link->waiting)
			return true;
	return false;
}

void serve_turn(struct serve *serve)
{
	struct server *server = &serve->server;
	struct poller poller = { .n = 0 };
	int signals, listener, wait = session_tick(server);

	if (server->vm) {
		rank_turn(&serve->rank, session_now());
		wait = rank_wait(&serve->rank, wait);
	}
	if (has_waiting(server)) {
		look_at_port(serve);
		poller_add(&poller, serve->port_events, POLLIN);
	}
	signals = poller_add(&poller, serve->signals, POLLIN);
	listener = poller_add(&poller, serve->listener, POLLIN);
	link_poll(server, &poller);
	session_poll(server, &poller);
	if (poll(poller.v, (nfds_t)poller.n, wait) < 0)
		return;
	if (poller_got(&poller, signals))
		reap(serve);
	link_turn(server, &poller);
	// New streams have no place in this turn's poller.
	if (poller_got(&poller, listener))
		take_callers(serve);
}

void serve_loop(struct serve *serve)
{
	while (!finished(&serve->server))
		serve_turn(serve);
	// Nobody who calls now is to wait for a VM that ends.
	close_fd(&serve->listener);
	// Of one call the pilot takes it all, be it stopped meanwhile; without pilot there is no
	// VM.
	serve_flush(serve, serve->server.stay ? STAY : LAST);
}

// Reads what the host may still say, to the end of the stream.
static bool is_closed(int fd)
{
	char ignored[4096];
	ssize_t n;

	do
		n = read(fd, ignored, sizeof(ignored));
	while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 || errno != EAGAIN;
}

// The engine may hold what was sent, and lose it when the VM ends: a host that has it all closes
// the stream.
static void wait_for_close(struct serve *serve)
{
	int64_t end = session_now() + LAST;

	for (struct link *link = serve->server.links; link; link = link->next) {
		struct pollfd on = { .fd = link->fd, .events = POLLIN };
		int64_t left;

		while (!link->waiting && !is_closed(link->fd) && (left = end - session_now()) > 0)
			(void)poll(&on, 1, (int)left);
	}
}

void serve_flush(struct serve *serve, int milliseconds)
{
	int64_t end = session_now() + milliseconds;
	struct server *server = &serve->server;

	for (int64_t left = milliseconds; left > 0; left = end - session_now()) {
		struct poller poller = { .n = 0 };
		bool waits = false;

		for (struct link *link = server->links; link; link = link->next) {
			link->place = -1;
			if (link->waiting || !channel_pending(&link->out))
				continue;
			waits = true;
			link->place = poller_add(&poller, link->fd, POLLOUT);
		}
		if (!waits || poll(poller.v, (nfds_t)poller.n, (int)left) < 0)
			return;
		link_turn(server, &poller);
	}
}

void serve_bye(struct serve *serve)
{
	for (struct link *link = serve->server.links; link; link = link->next)
		if (!link->broken)
			channel_put(&link->out, CHANNEL_BYE, 0, 0, NULL, 0);
	serve_flush(serve, 1000);
	if (!serve->server.stay)
		wait_for_close(serve);
}

int serve_descriptor(int fd)
{
	struct serve serve = { 0 };

	if (serve_open(&serve) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
		fprintf(stderr, "sci: cannot serve descriptor %d: %s\n", fd, strerror(errno));
		return 1;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	link_add(&serve.server, fd, false);
	serve.server.stay = true;
	while (!serve.server.shutdown && (serve.server.links || serve.server.sessions))
		serve_turn(&serve);
	session_kill_all(&serve.server);
	serve_bye(&serve);
	session_free_all(&serve.server);
	link_free_all(&serve.server);
	return 0;
}
