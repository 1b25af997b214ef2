// SPDX-License-Identifier: MIT
// Bytes between the programs of sessions and their streams.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "session.h"

enum {
	CHUNK = CHANNEL_MAX_PAYLOAD,
	GRANT = 256 << 10,    // passed on before the host may send more
	TTY_REST = 256 << 10, // a terminal never holds more of what a dead program wrote
};

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int poller_add(struct poller *poller, int fd, short events)
{
	if (fd < 0 || poller->n == POLL_MAX)
		return -1;
	poller->v[poller->n] = (struct pollfd){ .fd = fd, .events = events };
	return poller->n++;
}

short poller_got(const struct poller *poller, int place)
{
	return place < 0 || place >= poller->n ? 0 : poller->v[place].revents;
}

// The program reads no more.
static void sink_close(struct session *session)
{
	close_fd(&session->in.fd);
	session->in.data.start = session->in.data.end = 0;
	if (!session->in.end && session->link)
		channel_put(&session->link->out, CHANNEL_END, 0, session->id, NULL, 0);
}

static void sink_grant(struct session *session, size_t n)
{
	struct sink *in = &session->in;

	in->passed += (uint32_t)n;
	if (in->passed < GRANT || in->end || !session->link)
		return;
	in->window += in->passed;
	channel_put_window(&session->link->out, 0, session->id, in->passed);
	in->passed = 0;
}

void sink_write(struct session *session)
{
	struct sink *in = &session->in;

	while (in->fd >= 0 && channel_pending(&in->data)) {
		ssize_t n =
			write(in->fd, in->data.data + in->data.start, channel_pending(&in->data));

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			sink_close(session);
		if (n <= 0)
			return;
		channel_taken(&in->data, (size_t)n);
		sink_grant(session, (size_t)n);
	}
	if (in->end && !session->request.tty)
		close_fd(&in->fd);
}

// Writes bytes that nothing waits in front of; returns how many were taken.
static size_t write_at_once(struct session *session, const uint8_t *bytes, size_t n)
{
	ssize_t written = write(session->in.fd, bytes, n);

	if (written < 0 && errno != EAGAIN && errno != EINTR)
		sink_close(session);
	if (written <= 0)
		return 0;
	sink_grant(session, (size_t)written);
	return (size_t)written;
}

void sink_take(struct session *session, const struct channel_frame *frame)
{
	struct sink *in = &session->in;
	size_t taken = 0;

	in->window -= frame->len;
	if (in->fd < 0 || in->end || session->mute)
		return;
	in->line_open = frame->payload[frame->len - 1] != '\n';
	if (!channel_pending(&in->data))
		taken = write_at_once(session, frame->payload, frame->len);
	if (in->fd < 0 || taken == frame->len)
		return;
	memcpy(channel_room(&in->data, frame->len - taken), frame->payload + taken,
	       frame->len - taken);
	channel_grown(&in->data, frame->len - taken);
}

// The end of a file at a terminal: a character; on a line that has begun, the first only ends it.
static void put_end_character(struct session *session)
{
	struct sink *in = &session->in;
	struct termios mode;
	uint8_t *at = channel_room(&in->data, 2);
	bool twice;

	if (in->fd < 0 || tcgetattr(in->fd, &mode) < 0)
		return;
	twice = in->line_open && mode.c_lflag & ICANON;
	at[0] = at[1] = mode.c_cc[VEOF];
	channel_grown(&in->data, twice ? 2 : 1);
}

void sink_end(struct session *session)
{
	if (session->in.end)
		return;
	session->in.end = true;
	if (session->request.tty)
		put_end_character(session);
	sink_write(session);
}

void source_open(struct source *source, int fd)
{
	source->fd = fd;
	source->window = CHANNEL_WINDOW;
}

static bool may_read(const struct session *session, const struct source *source)
{
	if (source->fd < 0)
		return false;
	return session->mute || !session->link ||
	       (source->window && channel_pending(&session->link->out) < LINK_FULL);
}

// Reads once; returns whether there may be more.
static bool source_read(struct session *session, int which)
{
	static uint8_t ignored[CHUNK];
	struct source *source = &session->out[which];
	bool deaf = session->mute || !session->link;
	// The frame is filled where it is.
	uint8_t *to = deaf ? ignored : channel_begin(&session->link->out);
	size_t max = deaf || source->window > CHUNK ? CHUNK : source->window;
	ssize_t n;

	if (session->dead && source->left < max)
		max = source->left;
	n = max ? read(source->fd, to, max) : 0;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close_fd(&source->fd);
		if (!deaf && !session->dead)
			channel_put(&session->link->out, CHANNEL_END, (uint8_t)(which + 1),
				    session->id, NULL, 0);
		return false;
	}
	source->left -= session->dead ? (size_t)n : 0;
	if (deaf)
		return true;
	source->window -= (uint32_t)n;
	channel_finish(&session->link->out, CHANNEL_DATA, (uint8_t)(which + 1), session->id,
		       (size_t)n);
	return true;
}

void session_died(struct session *session)
{
	session->dead = true;
	close_fd(&session->in.fd);
	for (int i = 0; i < 2; i++) {
		int n = 0;

		if (session->out[i].fd >= 0 && !session->request.tty &&
		    ioctl(session->out[i].fd, FIONREAD, &n) < 0)
			n = 0;
		session->out[i].left = session->request.tty ? TTY_REST : (size_t)n;
	}
}

bool session_drain(struct session *session)
{
	bool done = true;

	for (int i = 0; i < 2; i++) {
		bool more = true;

		while (more && may_read(session, &session->out[i]))
			more = source_read(session, i);
		// With more to come the window or the stream is full.
		if (!more)
			close_fd(&session->out[i].fd);
		done = done && session->out[i].fd < 0;
	}
	return done;
}

void session_poll(struct server *server, struct poller *poller)
{
	for (struct session *s = server->sessions; s; s = s->next) {
		bool writes = channel_pending(&s->in.data) > 0;

		// A pipe tells without being asked that its reader is gone.
		s->in.place =
			poller_add(poller, s->dead || (s->request.tty && !writes) ? -1 : s->in.fd,
				   writes ? POLLOUT : 0);
		for (int i = 0; i < 2; i++)
			s->out[i].place = poller_add(
				poller, s->dead || !may_read(s, &s->out[i]) ? -1 : s->out[i].fd,
				POLLIN);
	}
}

void session_io(struct session *session, const struct poller *poller)
{
	short in = poller_got(poller, session->in.place);

	if (session->dead)
		return;
	if (in & POLLOUT)
		sink_write(session);
	else if (in && session->in.fd >= 0)
		sink_close(session);
	for (int i = 0; i < 2; i++)
		if (poller_got(poller, session->out[i].place) &&
		    may_read(session, &session->out[i]))
			source_read(session, i);
}
