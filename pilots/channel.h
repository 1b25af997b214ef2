// SPDX-License-Identifier: MIT
// Frames between a pilot and the guest init of a VM: doc/channel.md. Both ends use this codec; it
// knows sizes, directions and limits, but does no input or output.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_PORT_NAME "org.flake-pilot.channel"

enum {
	CHANNEL_VERSION = 2,
	CHANNEL_OLDEST = 1, // that the host talks to
	CHANNEL_SEEDS = 2,  // from here on a guest takes a SEED at once, or fails the session
	CHANNEL_PORT = 52,  // vsock
	CHANNEL_HEADER = 8,
	CHANNEL_MAX_PAYLOAD = 131072,
	CHANNEL_WINDOW = 1 << 20, // what may be sent of a stream before the first WINDOW
};

enum channel_type {
	CHANNEL_HELLO = 1,
	CHANNEL_ARG,
	CHANNEL_ENV,
	CHANNEL_CWD,
	CHANNEL_USER,
	CHANNEL_TTY,
	CHANNEL_CLOCK,
	CHANNEL_SEED,
	CHANNEL_START,
	CHANNEL_DATA,
	CHANNEL_END,
	CHANNEL_WINDOW_ADD,
	CHANNEL_SIGNAL,
	CHANNEL_RESIZE,
	CHANNEL_EXIT,
	CHANNEL_FAILED,
	CHANNEL_HANGUP,
	CHANNEL_SHUTDOWN,
	CHANNEL_BYE,
};

// Who sends a frame.
enum channel_side { CHANNEL_HOST = 1, CHANNEL_GUEST = 2 };

struct channel_frame {
	uint8_t type;
	uint8_t stream;
	uint16_t session;
	uint32_t len;
	const uint8_t *payload; // not owned
};

// Bytes on their way: from `start` to `end` of data. Zero-initialise; free data.
struct channel_buffer {
	uint8_t *data;
	size_t start, end, cap;
};

// Room for at least n more bytes at the end; commit what was written there with channel_grown.
uint8_t *channel_room(struct channel_buffer *buffer, size_t n);
static inline void channel_grown(struct channel_buffer *buffer, size_t n)
{
	buffer->end += n;
}

static inline size_t channel_pending(const struct channel_buffer *buffer)
{
	return buffer->end - buffer->start;
}

// Takes n bytes off the front.
void channel_taken(struct channel_buffer *buffer, size_t n);

// The next frame that `side` has sent. Returns 1: there is one, whose payload stays valid until the
// buffer is touched again; call channel_taken(buffer, CHANNEL_HEADER + frame->len) when done with
// it; 0: not all of it is there yet; -1: a violation, *why says which (static text).
int channel_next(const struct channel_buffer *buffer, enum channel_side side,
		 struct channel_frame *frame, const char **why);

// Appends a frame. len is at most CHANNEL_MAX_PAYLOAD.
void channel_put(struct channel_buffer *buffer, enum channel_type type, uint8_t stream,
		 uint16_t session, const void *payload, size_t len);

// The same for a payload that is read to where it goes: room for the largest one, and the end of
// its frame when it is there. In between the buffer may not be touched.
uint8_t *channel_begin(struct channel_buffer *buffer);
void channel_finish(struct channel_buffer *buffer, enum channel_type type, uint8_t stream,
		    uint16_t session, size_t len);

// Frames that hold numbers.
void channel_put_hello(struct channel_buffer *buffer);
void channel_put_size(struct channel_buffer *buffer, enum channel_type type, uint16_t session,
		      unsigned rows, unsigned columns); // TTY, RESIZE
void channel_put_pair(struct channel_buffer *buffer, enum channel_type type, uint16_t session,
		      uint32_t first, uint32_t second); // USER, EXIT
void channel_put_window(struct channel_buffer *buffer, uint8_t stream, uint16_t session,
			uint32_t bytes);
void channel_put_clock(struct channel_buffer *buffer, uint16_t session, uint64_t nanoseconds);
void channel_put_signal(struct channel_buffer *buffer, uint16_t session, int sig);
void channel_put_failed(struct channel_buffer *buffer, uint16_t session, int status,
			const char *message);

// Numbers of a payload, at a byte offset; the codec has checked sizes.
uint16_t channel_u16(const struct channel_frame *frame, size_t at);
uint32_t channel_u32(const struct channel_frame *frame, size_t at);
uint64_t channel_u64(const struct channel_frame *frame, size_t at);
