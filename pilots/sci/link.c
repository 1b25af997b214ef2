// SPDX-License-Identifier: MIT
// Streams of frames: what comes is taken apart, what goes is written as far as it goes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "util.h"

enum { READ = 65536, READ_TURN = 512 << 10 };

void link_say_hello(struct link *link)
{
	link->in.start = link->in.end = 0;
	link->out.start = link->out.end = 0;
	memset(link->refused, 0, sizeof(link->refused));
	link->broken = false;
	channel_put_hello(&link->out);
}

struct link *link_add(struct server *server, int fd, bool port)
{
	struct link *link;

	if (server->link_count >= LINK_MAX) {
		close(fd);
		return NULL;
	}
	link = xcalloc(1, sizeof(*link));
	link->fd = fd;
	link->port = port;
	link->place = -1;
	link_say_hello(link);
	link->next = server->links;
	server->links = link;
	server->link_count++;
	return link;
}

static void link_free(struct server *server, struct link *link)
{
	struct link **at = &server->links;

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	server->link_count--;
	close_fd(&link->fd);
	free(link->in.data);
	free(link->out.data);
	free(link);
}

void link_free_all(struct server *server)
{
	while (server->links)
		link_free(server, server->links);
}

// The peer is gone, or not to be understood. A port waits for the next one.
static void link_lost(struct server *server, struct link *link)
{
	session_hang_up_all(server, link);
	if (!link->port || !server->stay) {
		link_free(server, link);
		return;
	}
	link->waiting = true;
	link_say_hello(link);
}

int link_parse(struct server *server, struct link *link)
{
	struct channel_frame frame;
	const char *why;
	int got = 0;

	while (channel_pending(&link->out) < LINK_STUCK &&
	       (got = channel_next(&link->in, CHANNEL_HOST, &frame, &why)) > 0) {
		if (session_frame(server, link, &frame) < 0)
			return -1;
		channel_taken(&link->in, CHANNEL_HEADER + frame.len);
	}
	return got < 0 ? -1 : 0;
}

// Reads what is there, for a turn. Returns -1 when the peer is gone.
static int link_read(struct link *link)
{
	size_t sum = 0;

	while (sum < READ_TURN) {
		ssize_t n = read(link->fd, channel_room(&link->in, READ), READ);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		// Of a peer that broke the rules nothing is heard until it is gone.
		if (!link->broken)
			channel_grown(&link->in, (size_t)n);
		sum += (size_t)n;
	}
	return 0;
}

static int link_write(struct link *link)
{
	while (channel_pending(&link->out)) {
		ssize_t n = write(link->fd, link->out.data + link->out.start,
				  channel_pending(&link->out));

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		channel_taken(&link->out, (size_t)n);
	}
	return 0;
}

void link_poll(struct server *server, struct poller *poller)
{
	for (struct link *link = server->links; link; link = link->next) {
		short events = channel_pending(&link->out) ? POLLOUT : 0;

		if (channel_pending(&link->out) < LINK_STUCK)
			events |= POLLIN;
		link->place = link->waiting ? -1 : poller_add(poller, link->fd, events);
	}
}

// A violation: a port is deaf until its peer goes away, any other stream ends.
static void link_break(struct server *server, struct link *link)
{
	if (!link->port || !server->stay) {
		link_lost(server, link);
		return;
	}
	session_hang_up_all(server, link);
	link->in.start = link->in.end = 0;
	link->broken = true;
}

void link_turn(struct server *server, const struct poller *poller)
{
	struct link *next;

	for (struct link *link = server->links; link; link = next) {
		short got = poller_got(poller, link->place);
		bool gone = got & ~POLLOUT && link_read(link) < 0;

		next = link->next;
		if (!link->broken && link_parse(server, link) < 0)
			link_break(server, link);
		else if (gone)
			link_lost(server, link);
	}
	session_turn(server, poller);
	for (struct link *link = server->links; link; link = next) {
		next = link->next;
		if (!link->waiting && link_write(link) < 0)
			link_lost(server, link);
	}
}
