// SPDX-License-Identifier: MIT
// The guest init as an ordinary process: sci --serve on one end of a socket pair, the frames of
// doc/channel.md by hand on the other.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "channel.h"
#include "patience.h"
#include "util.h"

enum { MANY = 8 << 20 };

static struct guest {
	pid_t pid;
	int fd;
	struct channel_buffer in, out;
} guest;

// How a session went.
struct result {
	unsigned type, status, sig;
	char text[128]; // of FAILED
	size_t bytes[3];
	char first[3][4096];
	bool ended[3]; // END came
};

static inline char *program(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(self, '/') = '\0';
	return xasprintf("%s/sci", self);
}

static inline struct channel_frame next(void);

static inline int setup(void **state)
{
	cleanup_free char *path = program(), *number = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	number = xasprintf("%d", fds[1]);
	guest = (struct guest){ .fd = fds[0] };
	guest.pid = fork();
	if (guest.pid == 0) {
		close(fds[0]);
		execl(path, path, "--serve", number, NULL);
		_exit(99);
	}
	close(fds[1]);
	assert_int_equal(next().type, CHANNEL_HELLO);
	return 0;
}

// Whatever was said to it: sci ends by itself, in peace, when the stream does.
static inline int teardown(void **state)
{
	int status;

	(void)state;
	if (guest.fd >= 0)
		close(guest.fd);
	free(guest.in.data);
	free(guest.out.data);
	assert_int_equal(waitpid(guest.pid, &status, 0), guest.pid);
	assert_int_equal(status, 0);
	return 0;
}

static inline void flush(void)
{
	assert_int_equal(write_fd_all(guest.fd, (char *)guest.out.data + guest.out.start,
				      channel_pending(&guest.out)),
			 0);
	guest.out.start = guest.out.end = 0;
}

// The next frame; type 0: the stream is at its end. Its payload lasts until the next one.
static inline struct channel_frame next(void)
{
	static size_t taken;
	struct channel_frame frame = { 0 };
	const char *why;

	channel_taken(&guest.in, guest.in.end ? taken : 0);
	taken = 0;
	flush();
	while (channel_next(&guest.in, CHANNEL_GUEST, &frame, &why) == 0) {
		struct pollfd p = { .fd = guest.fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = read(guest.fd, channel_room(&guest.in, 65536), 65536);
		if (n <= 0)
			return (struct channel_frame){ 0 };
		channel_grown(&guest.in, (size_t)n);
	}
	taken = CHANNEL_HEADER + frame.len;
	return frame;
}

static inline void arg(uint16_t id, const char *text)
{
	channel_put(&guest.out, CHANNEL_ARG, 0, id, text, strlen(text));
}

static inline void start(uint16_t id)
{
	channel_put(&guest.out, CHANNEL_START, 0, id, NULL, 0);
}

static inline void shell(uint16_t id, const char *text)
{
	arg(id, "/bin/sh");
	arg(id, "-c");
	arg(id, text);
}

static inline void data(uint16_t id, const char *text)
{
	channel_put(&guest.out, CHANNEL_DATA, 0, id, text, strlen(text));
}

static inline void end(uint16_t id, uint8_t stream)
{
	channel_put(&guest.out, CHANNEL_END, stream, id, NULL, 0);
}

static inline void take_output(struct result *r, const struct channel_frame *f, bool grant)
{
	size_t have = r->bytes[f->stream], room = sizeof(r->first[0]) - 1;

	if (have < room)
		memcpy(r->first[f->stream] + have, f->payload,
		       f->len < room - have ? f->len : room - have);
	r->bytes[f->stream] += f->len;
	if (grant)
		channel_put_window(&guest.out, f->stream, f->session, f->len);
}

// One frame of a session; returns true when it was the last.
static inline bool take(struct result *r, const struct channel_frame *f, bool grant)
{
	if (f->type == CHANNEL_DATA)
		take_output(r, f, grant);
	if (f->type == CHANNEL_END)
		r->ended[f->stream] = true;
	if (f->type == CHANNEL_FAILED) {
		r->status = channel_u16(f, 0);
		snprintf(r->text, sizeof(r->text), "%.*s", (int)f->len - 2, (char *)f->payload + 2);
	}
	if (f->type == CHANNEL_EXIT) {
		r->status = channel_u32(f, 0);
		r->sig = channel_u32(f, 4);
	}
	r->type = f->type;
	return f->type == CHANNEL_EXIT || f->type == CHANNEL_FAILED || f->type == 0;
}

static inline struct result finish(uint16_t id)
{
	struct result r = { 0 };

	for (;;) {
		struct channel_frame f = next();

		if ((f.session == id || f.type == 0) && take(&r, &f, true))
			return r;
	}
}

static inline struct result run(const char *text)
{
	shell(1, text);
	start(1);
	end(1, 0);
	return finish(1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
