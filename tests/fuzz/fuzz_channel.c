// SPDX-License-Identifier: MIT
// Bytes as a stream of frames, of either side, cut up as they please: the codec must see the same
// frames however they come, and write what it read.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Takes all frames off; they are written to again. Returns -1 at a violation.
static int take(struct channel_buffer *in, enum channel_side side, struct channel_buffer *again)
{
	struct channel_frame frame;
	const char *why = NULL;
	int got;

	while ((got = channel_next(in, side, &frame, &why)) > 0) {
		channel_put(again, (enum channel_type)frame.type, frame.stream, frame.session,
			    frame.payload, frame.len);
		channel_taken(in, CHANNEL_HEADER + frame.len);
	}
	if (got < 0 && !why)
		abort();
	return got;
}

static void feed(struct channel_buffer *in, const uint8_t *data, size_t size)
{
	memcpy(channel_room(in, size + 1), data, size);
	channel_grown(in, size);
}

// The whole at once, or in parts of `step` bytes.
static size_t run(const uint8_t *data, size_t size, size_t step, enum channel_side side,
		  struct channel_buffer *again)
{
	struct channel_buffer in = { 0 };
	int got = 0;

	for (size_t at = 0; at < size && got == 0; at += step) {
		feed(&in, data + at, size - at < step ? size - at : step);
		got = take(&in, side, again);
	}
	free(in.data);
	return again->end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct channel_buffer whole = { 0 }, parts = { 0 };
	enum channel_side side;

	if (size < 2)
		return 0;
	side = data[0] & 1 ? CHANNEL_HOST : CHANNEL_GUEST;
	run(data + 2, size - 2, size, side, &whole);
	run(data + 2, size - 2, data[1] % 61 + 1, side, &parts);
	if (whole.end != parts.end || whole.end > size - 2 ||
	    (whole.end && (memcmp(whole.data, parts.data, whole.end) != 0 ||
			   memcmp(whole.data, data + 2, whole.end) != 0)))
		abort();
	free(whole.data);
	free(parts.data);
	return 0;
}
