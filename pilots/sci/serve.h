// SPDX-License-Identifier: MIT
// The loop of the guest: streams, sessions, processes that end.
#pragma once

#include "rank.h"
#include "session.h"

// What new streams come from.
struct serve {
	struct server server;
	struct rank rank;
	int signals;	 // signalfd
	int listener;	 // vsock; -1: none
	int port_events; // epoll of a port that waits for its peer; -1: none
};

// Blocks the signals that the loop takes. Returns -1 with errno set.
int serve_open(struct serve *serve);

// Waits for something to happen, and deals with it.
void serve_turn(struct serve *serve);

// Serves until there is nothing more to do: the last stream ended, the only session is over, or
// SHUTDOWN came. What is to be sent is sent then.
void serve_loop(struct serve *serve);

// Writes what waits on all streams, as long as they take it, at most that long.
void serve_flush(struct serve *serve, int milliseconds);

// Says BYE to everybody.
void serve_bye(struct serve *serve);

// sci --serve FD: one stream, by whoever calls.
int serve_descriptor(int fd);
