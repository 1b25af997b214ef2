// SPDX-License-Identifier: MIT
// The guest's half of doc/channel.md: streams, sessions and their programs. Does not know what
// carries a stream, nor whether it runs as process 1.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "child.h"

enum {
	SESSION_MAX = 64,
	SESSION_ITEMS = 4096,	 // arguments and variables
	SESSION_BYTES = 2 << 20, // of them
	SESSION_GRACE = 2000,	 // ms between SIGHUP and SIGKILL
	LINK_MAX = 96,		 // streams at once
	LINK_FULL = 256 << 10,	 // that much waits to be sent: programs' output is not read
	LINK_STUCK = 2 << 20,	 // nor what the host says
	POLL_MAX = 4 * SESSION_MAX + LINK_MAX + 8,
};

// What poll() waits for in one turn.
struct poller {
	struct pollfd v[POLL_MAX];
	int n;
};

// Returns the place for poller_got; -1 (nothing will come) for a closed descriptor.
int poller_add(struct poller *poller, int fd, short events);
short poller_got(const struct poller *poller, int place);

// A stream of frames.
struct link {
	struct link *next;
	int fd;
	int place;
	bool port;    // the descriptor outlives the peer: the next one comes on it
	bool waiting; // for a peer
	bool broken;  // by a violation
	struct channel_buffer in, out;
	uint8_t refused[8192]; // a bit a session: more than there may be, told so at START
};

// What the program writes.
struct source {
	int fd;
	int place;
	uint32_t window;
	size_t left; // to be sent when the program has ended
};

// What it reads.
struct sink {
	int fd;
	int place;
	struct channel_buffer data;
	uint32_t window; // that the host has
	uint32_t passed; // not granted again yet
	bool end;
	bool line_open; // the last byte was not the end of a line
};

struct session {
	struct session *next;
	struct link *link; // NULL: gone
	struct request request;
	size_t asked; // bytes
	bool over;    // too many of them
	int unseeded; // errno: the kernel did not take the seed
	uint16_t id;
	bool running;
	bool dead; // the program has ended, what it wrote is still being sent
	bool mute; // nobody reads any more
	int status;
	int64_t deadline; // SIGKILL; 0: none
	struct child child;
	struct sink in;
	struct source out[2];
};

// Process groups that get SIGKILL although their leader has ended.
struct doomed {
	pid_t group;
	int64_t deadline;
};

struct server {
	struct link *links;
	struct session *sessions;
	unsigned link_count, session_count;
	struct doomed doomed[SESSION_MAX];
	bool vm;	    // clock and random numbers are ours
	bool stay;	    // when a session is over
	bool over;	    // a session was
	bool shutdown;	    // asked for
	const char *failed; // the VM is not fit for a program: what every session is told
};

// Milliseconds that only go on.
int64_t session_now(void);

// Puts a stream in; its HELLO is on the way. fd is owned. Returns NULL, with fd closed, when there
// are too many.
struct link *link_add(struct server *server, int fd, bool port);
void link_say_hello(struct link *link);

// One turn: what to wait for, and what to do then.
void link_poll(struct server *server, struct poller *poller);
void link_turn(struct server *server, const struct poller *poller);
void link_free_all(struct server *server);

// Bytes that came on a stream are in link->in: takes the frames off it. Returns -1 at a violation.
int link_parse(struct server *server, struct link *link);

// A frame of the host. Returns -1 at a violation.
int session_frame(struct server *server, struct link *link, const struct channel_frame *frame);

// The same as above for the programs.
void session_poll(struct server *server, struct poller *poller);
void session_turn(struct server *server, const struct poller *poller);

// A process has ended or stopped.
void session_reaped(struct server *server, pid_t pid, int status);

// The stream is gone: so is who called.
void session_hang_up_all(struct server *server, const struct link *link);

// SIGKILL to every program.
void session_kill_all(struct server *server);

// Forgets all of them, whatever they do.
void session_free_all(struct server *server);

// Sends signals that are due; returns the milliseconds until the next, -1: there is none.
int session_tick(struct server *server);

// Between session.c and session_io.c.
void sink_write(struct session *session);
void sink_take(struct session *session, const struct channel_frame *frame);
void sink_end(struct session *session);
void source_open(struct source *source, int fd);
void session_io(struct session *session, const struct poller *poller);
void session_died(struct session *session);  // its sources know what is left
bool session_drain(struct session *session); // true: everything is sent
void close_fd(int *fd);

// Apply CLOCK and SEED (clock.c). The seed counts at once, or -1 with errno.
void clock_set(uint64_t nanoseconds);
int clock_seed(const uint8_t *bytes, size_t n);
