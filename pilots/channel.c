// SPDX-License-Identifier: MIT
#include "channel.h"

#include <string.h>

#include "util.h"

static const char magic[4] = { 'f', 'l', 'k', '1' };

// What each type looks like: who may send it, the limits of its payload, about what it is.
static const struct shape {
	uint8_t sides;
	uint32_t min, max;
	enum { OF_VM, OF_SESSION, OF_STREAM } of;
} shapes[] = {
	[CHANNEL_HELLO] = { CHANNEL_GUEST, 6, 6, OF_VM },
	[CHANNEL_ARG] = { CHANNEL_HOST, 0, CHANNEL_MAX_PAYLOAD, OF_SESSION },
	[CHANNEL_ENV] = { CHANNEL_HOST, 2, CHANNEL_MAX_PAYLOAD, OF_SESSION },
	[CHANNEL_CWD] = { CHANNEL_HOST, 1, 4095, OF_SESSION },
	[CHANNEL_USER] = { CHANNEL_HOST, 8, 8, OF_SESSION },
	[CHANNEL_TTY] = { CHANNEL_HOST, 4, 4, OF_SESSION },
	[CHANNEL_CLOCK] = { CHANNEL_HOST, 8, 8, OF_SESSION },
	[CHANNEL_SEED] = { CHANNEL_HOST, 1, 64, OF_SESSION },
	[CHANNEL_START] = { CHANNEL_HOST, 0, 0, OF_SESSION },
	[CHANNEL_DATA] = { CHANNEL_HOST | CHANNEL_GUEST, 1, CHANNEL_MAX_PAYLOAD, OF_STREAM },
	[CHANNEL_END] = { CHANNEL_HOST | CHANNEL_GUEST, 0, 0, OF_STREAM },
	[CHANNEL_WINDOW_ADD] = { CHANNEL_HOST | CHANNEL_GUEST, 4, 4, OF_STREAM },
	[CHANNEL_SIGNAL] = { CHANNEL_HOST, 1, 1, OF_SESSION },
	[CHANNEL_RESIZE] = { CHANNEL_HOST, 4, 4, OF_SESSION },
	[CHANNEL_EXIT] = { CHANNEL_GUEST, 8, 8, OF_SESSION },
	[CHANNEL_FAILED] = { CHANNEL_GUEST, 2, 4096, OF_SESSION },
	[CHANNEL_HANGUP] = { CHANNEL_HOST, 0, 0, OF_SESSION },
	[CHANNEL_SHUTDOWN] = { CHANNEL_HOST, 0, 0, OF_VM },
	[CHANNEL_BYE] = { CHANNEL_GUEST, 0, 0, OF_VM },
};

enum { COUNT = sizeof(shapes) / sizeof(shapes[0]) };

uint8_t *channel_room(struct channel_buffer *buffer, size_t n)
{
	if (buffer->start && buffer->start == buffer->end)
		buffer->start = buffer->end = 0;
	if (buffer->start && buffer->cap - buffer->end < n) {
		memmove(buffer->data, buffer->data + buffer->start, channel_pending(buffer));
		buffer->end -= buffer->start;
		buffer->start = 0;
	}
	if (buffer->cap - buffer->end < n) {
		buffer->cap = buffer->end + n + buffer->end / 2;
		buffer->data = xrealloc(buffer->data, buffer->cap);
	}
	return buffer->data + buffer->end;
}

void channel_taken(struct channel_buffer *buffer, size_t n)
{
	buffer->start += n;
}

static uint64_t get(const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | at[bytes];
	return value;
}

static void set(uint8_t *at, size_t bytes, uint64_t value)
{
	for (; bytes--; value >>= 8)
		*at++ = (uint8_t)value;
}

// What is wrong with a frame; NULL: nothing. Its payload need not be there yet.
static const char *fault(const struct channel_frame *frame, enum channel_side side)
{
	const struct shape *shape = shapes + frame->type % COUNT;

	if (frame->type == 0 || frame->type >= COUNT)
		return "unknown type of frame";
	if (!(shape->sides & side))
		return "frame of the other side";
	if (frame->len < shape->min || frame->len > shape->max)
		return "payload of wrong size";
	if ((frame->session == 0) != (shape->of == OF_VM))
		return "wrong session";
	if (frame->stream > (shape->of == OF_STREAM ? 2 : 0))
		return "wrong stream";
	return NULL;
}

// The same of what the payload says.
static const char *payload_fault(const struct channel_frame *frame)
{
	bool text = frame->type == CHANNEL_ARG || frame->type == CHANNEL_ENV ||
		    frame->type == CHANNEL_CWD;

	if (frame->type == CHANNEL_HELLO && memcmp(frame->payload, magic, sizeof(magic)) != 0)
		return "not a channel";
	if (text && frame->len && memchr(frame->payload, '\0', frame->len))
		return "NUL in a text";
	if (frame->type == CHANNEL_CWD && frame->payload[0] != '/')
		return "relative working directory";
	if (frame->type == CHANNEL_ENV &&
	    (frame->payload[0] == '=' || !memchr(frame->payload, '=', frame->len)))
		return "variable without name";
	return NULL;
}

int channel_next(const struct channel_buffer *buffer, enum channel_side side,
		 struct channel_frame *frame, const char **why)
{
	const uint8_t *at = buffer->data + buffer->start;
	size_t n = channel_pending(buffer);

	if (n < CHANNEL_HEADER)
		return 0;
	frame->len = (uint32_t)get(at, 4);
	frame->type = at[4];
	frame->stream = at[5];
	frame->session = (uint16_t)get(at + 6, 2);
	frame->payload = at + CHANNEL_HEADER;
	*why = fault(frame, side);
	if (!*why && n - CHANNEL_HEADER < frame->len)
		return 0;
	if (!*why)
		*why = payload_fault(frame);
	return *why ? -1 : 1;
}

uint8_t *channel_begin(struct channel_buffer *buffer)
{
	return channel_room(buffer, CHANNEL_HEADER + CHANNEL_MAX_PAYLOAD) + CHANNEL_HEADER;
}

void channel_finish(struct channel_buffer *buffer, enum channel_type type, uint8_t stream,
		    uint16_t session, size_t len)
{
	uint8_t *at = buffer->data + buffer->end;

	set(at, 4, len);
	at[4] = (uint8_t)type;
	at[5] = stream;
	set(at + 6, 2, session);
	channel_grown(buffer, CHANNEL_HEADER + len);
}

void channel_put(struct channel_buffer *buffer, enum channel_type type, uint8_t stream,
		 uint16_t session, const void *payload, size_t len)
{
	uint8_t *at = channel_room(buffer, CHANNEL_HEADER + len);

	if (len)
		memcpy(at + CHANNEL_HEADER, payload, len);
	channel_finish(buffer, type, stream, session, len);
}

void channel_put_hello(struct channel_buffer *buffer)
{
	uint8_t payload[6];

	memcpy(payload, magic, sizeof(magic));
	set(payload + sizeof(magic), 2, CHANNEL_VERSION);
	channel_put(buffer, CHANNEL_HELLO, 0, 0, payload, sizeof(payload));
}

void channel_put_size(struct channel_buffer *buffer, enum channel_type type, uint16_t session,
		      unsigned rows, unsigned columns)
{
	uint8_t payload[4];

	set(payload, 2, rows);
	set(payload + 2, 2, columns);
	channel_put(buffer, type, 0, session, payload, sizeof(payload));
}

void channel_put_pair(struct channel_buffer *buffer, enum channel_type type, uint16_t session,
		      uint32_t first, uint32_t second)
{
	uint8_t payload[8];

	set(payload, 4, first);
	set(payload + 4, 4, second);
	channel_put(buffer, type, 0, session, payload, sizeof(payload));
}

void channel_put_window(struct channel_buffer *buffer, uint8_t stream, uint16_t session,
			uint32_t bytes)
{
	uint8_t payload[4];

	set(payload, 4, bytes);
	channel_put(buffer, CHANNEL_WINDOW_ADD, stream, session, payload, sizeof(payload));
}

void channel_put_clock(struct channel_buffer *buffer, uint16_t session, uint64_t nanoseconds)
{
	uint8_t payload[8];

	set(payload, 8, nanoseconds);
	channel_put(buffer, CHANNEL_CLOCK, 0, session, payload, sizeof(payload));
}

void channel_put_signal(struct channel_buffer *buffer, uint16_t session, int sig)
{
	uint8_t payload = (uint8_t)sig;

	channel_put(buffer, CHANNEL_SIGNAL, 0, session, &payload, 1);
}

void channel_put_failed(struct channel_buffer *buffer, uint16_t session, int status,
			const char *message)
{
	char payload[4096 + 1];
	size_t len = strnlen(message, 4096 - 2);

	set((uint8_t *)payload, 2, (uint64_t)status);
	snprintf(payload + 2, sizeof(payload) - 2, "%s", message);
	channel_put(buffer, CHANNEL_FAILED, 0, session, payload, len + 2);
}

uint16_t channel_u16(const struct channel_frame *frame, size_t at)
{
	return (uint16_t)get(frame->payload + at, 2);
}

uint32_t channel_u32(const struct channel_frame *frame, size_t at)
{
	return (uint32_t)get(frame->payload + at, 4);
}

uint64_t channel_u64(const struct channel_frame *frame, size_t at)
{
	return get(frame->payload + at, 8);
}
