// SPDX-License-Identifier: MIT
// sci: programs and their streams.
#include "sci_guest.h"

static void test_exit_status_and_signal(void **state)
{
	struct result r = run("exit 37");

	(void)state;
	assert_int_equal(r.type, CHANNEL_EXIT);
	assert_int_equal(r.status, 37);
	assert_int_equal(r.sig, 0);
	r = run("kill -9 $$");
	assert_int_equal(r.status, 0);
	assert_int_equal(r.sig, SIGKILL);
}

static void test_programs_that_do_not_run(void **state)
{
	struct result r;

	(void)state;
	arg(1, "/nowhere/program");
	start(1);
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_FAILED);
	assert_int_equal(r.status, 127);
	assert_string_equal(r.text, "cannot run /nowhere/program: No such file or directory");
	arg(1, "/etc/passwd");
	start(1);
	assert_int_equal(finish(1).status, 126);
	shell(1, "exit 0");
	channel_put(&guest.out, CHANNEL_CWD, 0, 1, "/nowhere", 8);
	start(1);
	r = finish(1);
	assert_int_equal(r.status, 126);
	assert_string_equal(r.text, "cannot enter /nowhere: No such file or directory");
	arg(1, "");
	start(1);
	assert_int_equal(finish(1).status, 127);
}

static void test_streams_are_separate(void **state)
{
	struct result r = run("echo out; echo err >&2");

	(void)state;
	assert_string_equal(r.first[1], "out\n");
	assert_string_equal(r.first[2], "err\n");
}

static void test_environment_and_directory(void **state)
{
	struct result r;

	(void)state;
	shell(1, "echo $A; pwd; echo $PATH; echo $HOME | wc -l");
	channel_put(&guest.out, CHANNEL_ENV, 0, 1, "A=old", 5);
	channel_put(&guest.out, CHANNEL_ENV, 0, 1, "A=b c", 5);
	channel_put(&guest.out, CHANNEL_CWD, 0, 1, "/usr", 4);
	channel_put_pair(&guest.out, CHANNEL_USER, 1, getuid(), getgid());
	start(1);
	r = finish(1);
	assert_string_equal(r.first[1], "b c\n/usr\n/usr/local/sbin:/usr/local/bin:/usr/sbin:"
					"/usr/bin:/sbin:/bin\n1\n");
}

// Says MANY bytes to cat and reads them back, keeping to the windows.
static void test_many_bytes_each_way(void **state)
{
	static char chunk[65536];
	struct result r = { 0 };
	size_t window = CHANNEL_WINDOW, left = MANY;
	bool over = false;

	(void)state;
	arg(1, "cat");
	start(1);
	while (!over) {
		struct channel_frame f;

		for (; left && window; left -= sizeof(chunk), window -= sizeof(chunk)) {
			channel_put(&guest.out, CHANNEL_DATA, 0, 1, chunk, sizeof(chunk));
			if (left == sizeof(chunk))
				end(1, 0);
		}
		f = next();
		if (f.type == CHANNEL_WINDOW_ADD)
			window += channel_u32(&f, 0) / sizeof(chunk) * sizeof(chunk);
		over = take(&r, &f, true);
		assert_int_not_equal(f.type, 0);
	}
	assert_int_equal(r.status, 0);
	assert_int_equal(r.bytes[1], MANY);
}

// A program that ends at SIGUSR1, which is sent when a stream of it has ended.
static struct result goes_on_after_end(unsigned stream)
{
	struct result r = { 0 };

	while (!r.ended[stream]) {
		struct channel_frame f = next();

		assert_int_not_equal(f.type, 0);
		assert_false(take(&r, &f, true));
	}
	channel_put_signal(&guest.out, 1, SIGUSR1);
	do {
		struct channel_frame f = next();

		if (take(&r, &f, true))
			return r;
	} while (true);
}

static void test_input_nobody_reads_is_told(void **state)
{
	struct result r = { 0 };

	(void)state;
	shell(1, "trap 'echo done; exit' USR1; exec <&-; while :; do :; done");
	start(1);
	data(1, "x");
	r = goes_on_after_end(0);
	assert_string_equal(r.first[1], "done\n");
}

static void test_output_nobody_reads_is_a_broken_pipe(void **state)
{
	struct result r;

	(void)state;
	shell(1, "while echo x; do :; done 2>/dev/null; echo end >&2");
	start(1);
	end(1, 1);
	r = finish(1);
	assert_true(r.sig == SIGPIPE || strcmp(r.first[2], "end\n") == 0);
}

static void test_closed_output_is_told(void **state)
{
	struct result r;

	(void)state;
	shell(1, "trap 'echo x >&2; exit' USR1; exec >&-; while :; do :; done");
	start(1);
	end(1, 0);
	r = goes_on_after_end(1);
	assert_false(r.ended[0]);
	assert_string_equal(r.first[2], "x\n");
}

// One that fills standard output, which nobody grants more of, and then speaks on the other.
static void test_full_output_does_not_hold_up_errors(void **state)
{
	struct result r = { 0 };
	struct channel_frame f;

	(void)state;
	shell(1, "(head -c 4000000 /dev/zero) & echo err >&2; wait; exit 3");
	start(1);
	do {
		f = next();
		assert_false(take(&r, &f, false));
	} while (r.bytes[1] < CHANNEL_WINDOW || !r.bytes[2]);
	assert_int_equal(r.bytes[1], CHANNEL_WINDOW);
	shell(2, "exit 5");
	start(2);
	assert_int_equal(finish(2).status, 5);
	channel_put_window(&guest.out, 1, 1, CHANNEL_WINDOW);
	r = finish(1);
	assert_int_equal(r.status, 3);
	assert_int_equal(r.bytes[1], 4000000 - CHANNEL_WINDOW);
}

static void test_terminal(void **state)
{
	struct result r;

	(void)state;
	shell(1, "test -t 0 && test -t 2 && stty size; read x; stty size; echo got $x");
	channel_put_size(&guest.out, CHANNEL_TTY, 1, 33, 101);
	start(1);
	while (next().type != CHANNEL_DATA)
		;
	channel_put_size(&guest.out, CHANNEL_RESIZE, 1, 44, 102);
	data(1, "word\n");
	r = finish(1);
	assert_int_equal(r.type, CHANNEL_EXIT);
	assert_non_null(strstr(r.first[1], "44 102\r\ngot word\r\n"));
	assert_int_equal(r.bytes[2], 0);
}

static void test_end_of_input_at_a_terminal(void **state)
{
	struct result r;

	(void)state;
	shell(1, "cat; echo end");
	channel_put_size(&guest.out, CHANNEL_TTY, 1, 24, 80);
	start(1);
	data(1, "no newline");
	end(1, 0);
	r = finish(1);
	assert_non_null(strstr(r.first[1], "end\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exit_status_and_signal),
		TEST(test_programs_that_do_not_run),
		TEST(test_streams_are_separate),
		TEST(test_environment_and_directory),
		TEST(test_many_bytes_each_way),
		TEST(test_input_nobody_reads_is_told),
		TEST(test_output_nobody_reads_is_a_broken_pipe),
		TEST(test_closed_output_is_told),
		TEST(test_full_output_does_not_hold_up_errors),
		TEST(test_terminal),
		TEST(test_end_of_input_at_a_terminal),
	};

	return cmocka_run_group_tests_name("sci", tests, NULL, NULL);
}
