// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "channel.h"
#include "util.h"

#define HEADER(len, type, stream, session)                                                         \
	(len) & 0xff, (len) >> 8 & 0xff, (len) >> 16 & 0xff, (len) >> 24 & 0xff, type, stream,     \
		(session)&0xff, (session) >> 8

static void put_bytes(struct channel_buffer *buffer, const void *bytes, size_t n)
{
	uint8_t *room = channel_room(buffer, n + 1);

	if (n)
		memcpy(room, bytes, n);
	channel_grown(buffer, n);
}

static void test_every_frame_comes_back(void **state)
{
	struct channel_buffer b = { 0 };
	struct channel_frame f;
	const char *why;

	(void)state;
	channel_put(&b, CHANNEL_ARG, 0, 7, "ls", 2);
	channel_put(&b, CHANNEL_ARG, 0, 7, NULL, 0);
	channel_put(&b, CHANNEL_ENV, 0, 7, "A=", 2);
	channel_put(&b, CHANNEL_CWD, 0, 7, "/", 1);
	channel_put_pair(&b, CHANNEL_USER, 7, 1000, 0xfffffffe);
	channel_put_size(&b, CHANNEL_TTY, 65535, 24, 65535);
	channel_put_clock(&b, 7, 0x0102030405060708);
	channel_put_window(&b, 2, 7, 0x80000001);
	channel_put_signal(&b, 7, 64);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	assert_int_equal(f.type, CHANNEL_ARG);
	assert_int_equal(f.session, 7);
	assert_int_equal(f.len, 2);
	assert_memory_equal(f.payload, "ls", 2);
	for (int i = 0; i < 4; i++) {
		channel_taken(&b, CHANNEL_HEADER + f.len);
		assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	}
	assert_int_equal(channel_u32(&f, 0), 1000);
	assert_int_equal(channel_u32(&f, 4), 0xfffffffe);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	assert_int_equal(f.session, 65535);
	assert_int_equal(channel_u16(&f, 0), 24);
	assert_int_equal(channel_u16(&f, 2), 65535);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	assert_true(channel_u64(&f, 0) == 0x0102030405060708);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	assert_int_equal(f.stream, 2);
	assert_int_equal(channel_u32(&f, 0), 0x80000001);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
	assert_int_equal(f.payload[0], 64);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 0);
	free(b.data);
}

static void test_guest_frames_come_back(void **state)
{
	struct channel_buffer b = { 0 };
	struct channel_frame f;
	const char *why;
	char *text = xmalloc(5001);

	(void)state;
	memset(text, 'x', 5000);
	text[5000] = '\0';
	channel_put_hello(&b);
	channel_put_failed(&b, 3, 127, text);
	assert_int_equal(channel_next(&b, CHANNEL_GUEST, &f, &why), 1);
	assert_int_equal(f.type, CHANNEL_HELLO);
	assert_int_equal(channel_u16(&f, 4), CHANNEL_VERSION);
	channel_taken(&b, CHANNEL_HEADER + f.len);
	assert_int_equal(channel_next(&b, CHANNEL_GUEST, &f, &why), 1);
	assert_int_equal(channel_u16(&f, 0), 127);
	assert_int_equal(f.len, 4096);
	free(text);
	free(b.data);
}

static void test_frames_may_be_split_at_every_byte(void **state)
{
	struct channel_buffer whole = { 0 };

	(void)state;
	channel_put(&whole, CHANNEL_ARG, 0, 1, "abc", 3);
	channel_put(&whole, CHANNEL_START, 0, 1, NULL, 0);
	channel_put(&whole, CHANNEL_DATA, 0, 1, "0123456789", 10);
	for (size_t cut = 0; cut <= whole.end; cut++) {
		struct channel_buffer b = { 0 };
		struct channel_frame f;
		const char *why;
		int frames = 0;

		for (int part = 0; part < 2; part++) {
			put_bytes(&b, whole.data + (part ? cut : 0), part ? whole.end - cut : cut);
			for (; channel_next(&b, CHANNEL_HOST, &f, &why) == 1; frames++)
				channel_taken(&b, CHANNEL_HEADER + f.len);
		}
		assert_int_equal(frames, 3);
		assert_int_equal(channel_pending(&b), 0);
		free(b.data);
	}
	free(whole.data);
}

struct violation {
	const char *why;
	enum channel_side side;
	size_t n;
	uint8_t bytes[20];
};

// Each is seen as soon as its header is there, unless the payload is what is wrong.
static const struct violation violations[] = {
	{ "unknown type of frame", CHANNEL_HOST, 8, { HEADER(0, 0, 0, 1) } },
	{ "unknown type of frame", CHANNEL_HOST, 8, { HEADER(0, 20, 0, 1) } },
	{ "unknown type of frame", CHANNEL_GUEST, 8, { HEADER(0, 255, 0, 1) } },
	{ "frame of the other side", CHANNEL_HOST, 8, { HEADER(8, CHANNEL_EXIT, 0, 1) } },
	{ "frame of the other side", CHANNEL_HOST, 8, { HEADER(6, CHANNEL_HELLO, 0, 0) } },
	{ "frame of the other side", CHANNEL_HOST, 8, { HEADER(0, CHANNEL_BYE, 0, 0) } },
	{ "frame of the other side", CHANNEL_GUEST, 8, { HEADER(0, CHANNEL_START, 0, 1) } },
	{ "frame of the other side", CHANNEL_GUEST, 8, { HEADER(0, CHANNEL_SHUTDOWN, 0, 0) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(131073, CHANNEL_ARG, 0, 1) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(0xffffffff, CHANNEL_DATA, 0, 1) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(0, CHANNEL_DATA, 0, 1) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(7, CHANNEL_USER, 0, 1) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(65, CHANNEL_SEED, 0, 1) } },
	{ "payload of wrong size", CHANNEL_HOST, 8, { HEADER(1, CHANNEL_START, 0, 1) } },
	{ "payload of wrong size", CHANNEL_GUEST, 8, { HEADER(1, CHANNEL_FAILED, 0, 1) } },
	{ "wrong session", CHANNEL_HOST, 8, { HEADER(1, CHANNEL_ARG, 0, 0) } },
	{ "wrong session", CHANNEL_HOST, 8, { HEADER(0, CHANNEL_SHUTDOWN, 0, 1) } },
	{ "wrong stream", CHANNEL_HOST, 8, { HEADER(1, CHANNEL_DATA, 3, 1) } },
	{ "wrong stream", CHANNEL_HOST, 8, { HEADER(1, CHANNEL_ARG, 1, 1) } },
	{ "not a channel",
	  CHANNEL_GUEST,
	  14,
	  { HEADER(6, CHANNEL_HELLO, 0, 0), 'f', 'l', 'k', '2' } },
	{ "NUL in a text", CHANNEL_HOST, 11, { HEADER(3, CHANNEL_ARG, 0, 1), 'a', 0, 'b' } },
	{ "NUL in a text", CHANNEL_HOST, 11, { HEADER(3, CHANNEL_ENV, 0, 1), 'a', '=', 0 } },
	{ "relative working directory", CHANNEL_HOST, 9, { HEADER(1, CHANNEL_CWD, 0, 1), 'a' } },
	{ "variable without name", CHANNEL_HOST, 10, { HEADER(2, CHANNEL_ENV, 0, 1), '=', 'a' } },
	{ "variable without name", CHANNEL_HOST, 10, { HEADER(2, CHANNEL_ENV, 0, 1), 'a', 'b' } },
};

static void test_violations_are_seen(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(violations) / sizeof(violations[0]); i++) {
		const struct violation *v = &violations[i];
		struct channel_buffer b = { 0 };
		struct channel_frame f;
		const char *why = "none";

		put_bytes(&b, v->bytes, v->n - 1);
		assert_int_equal(channel_next(&b, v->side, &f, &why), 0);
		put_bytes(&b, v->bytes + v->n - 1, 1);
		assert_int_equal(channel_next(&b, v->side, &f, &why), -1);
		assert_string_equal(why, v->why);
		free(b.data);
	}
}

static void test_the_largest_frame_fits(void **state)
{
	struct channel_buffer b = { 0 };
	struct channel_frame f;
	const char *why;
	uint8_t *data = xcalloc(1, CHANNEL_MAX_PAYLOAD);

	(void)state;
	for (int i = 0; i < 3; i++)
		channel_put(&b, CHANNEL_DATA, 0, 1, data, CHANNEL_MAX_PAYLOAD);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(channel_next(&b, CHANNEL_HOST, &f, &why), 1);
		assert_int_equal(f.len, CHANNEL_MAX_PAYLOAD);
		channel_taken(&b, CHANNEL_HEADER + f.len);
	}
	assert_int_equal(channel_pending(&b), 0);
	free(data);
	free(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_frame_comes_back),
		cmocka_unit_test(test_guest_frames_come_back),
		cmocka_unit_test(test_frames_may_be_split_at_every_byte),
		cmocka_unit_test(test_violations_are_seen),
		cmocka_unit_test(test_the_largest_frame_fits),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
