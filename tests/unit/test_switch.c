// SPDX-License-Identifier: MIT
// One port, many callers: what one of them, or the guest, does wrong is not the others' harm.
#include "sci_guest.h"

#include <fcntl.h>

#include "firecracker.h"
#include "firecracker_place.h"
#include "fs.h"

enum { MOST = 64 };

static char *dir;
static pid_t pid;
static int port; // of a guest that is played here

// Starts a switch whose guest is at the other end of port.
static int start_switch(void)
{
	struct vm vm = { VM_NONE };
	struct vm_notice notice = { .fd = -1 };
	int ends[2], listener;

	dir = fs_temp_dir(NULL, "switch", NULL);
	listener = vm_listener(dir, VM_SWITCH, NULL);
	assert_true(listener >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		switch_run(&vm, ends[1], listener, &notice);
		_exit(0);
	}
	close(ends[1]);
	close(listener);
	return ends[0];
}

static int set_up_fake(void **state)
{
	(void)state;
	guest = (struct guest){ .fd = -1 };
	port = start_switch();
	return 0;
}

// The guest is sci.
static int set_up(void **state)
{
	cleanup_free char *path = program(), *number = NULL;
	int ours = start_switch();

	(void)state;
	number = xasprintf("%d", fcntl(ours, F_DUPFD, 100));
	guest = (struct guest){ .fd = -1 };
	guest.pid = fork();
	if (guest.pid == 0) {
		execl(path, path, "--serve", number, NULL);
		_exit(99);
	}
	close(ours);
	close(atoi(number));
	port = -1;
	return 0;
}

static int tear_down(void **state)
{
	int status;

	(void)state;
	if (port >= 0)
		close(port);
	else
		kill(guest.pid, SIGKILL);
	if (port < 0)
		waitpid(guest.pid, &status, 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fs_remove_tree(dir, NULL);
	free(dir);
	free(steal_ptr(&guest.in.data));
	free(steal_ptr(&guest.out.data));
	return 0;
}

// From here on sci_guest.h's functions speak for that caller.
static void be(int fd)
{
	(void)next;
	guest.in.start = guest.in.end = guest.out.start = guest.out.end = 0;
	guest.fd = fd;
}

static int call(void)
{
	int fd = vm_dial(dir, VM_SWITCH, NULL);

	assert_true(fd >= 0);
	be(fd);
	assert_int_equal(next().type, CHANNEL_HELLO);
	return fd;
}

static void cut_off(int fd)
{
	while (next().type)
		;
	close(fd);
}

// As finish(), but grants nothing: the switch closes the stream behind the last frame.
static struct result last(void)
{
	struct result r = { 0 };
	struct channel_frame f;

	do
		f = next();
	while (!take(&r, &f, false));
	return r;
}

static void test_violations_of_callers(void **state)
{
	static char much[CHANNEL_MAX_PAYLOAD];
	int first = call();

	(void)state;
	shell(1, "echo up; read x; echo $x");
	start(1);
	while (next().type != CHANNEL_DATA)
		;
	cut_off((call(), start(1), guest.fd));
	call();
	arg(1, "cat");
	start(1);
	arg(1, "too late");
	cut_off(guest.fd);
	call();
	data(1, "too early");
	cut_off(guest.fd);
	call();
	arg(1, "sleep");
	arg(1, "60");
	start(1);
	for (int i = 0; i < 12; i++)
		channel_put(&guest.out, CHANNEL_DATA, 0, 1, much, sizeof(much));
	// It may be cut off before all of that is written.
	(void)write_fd_all(guest.fd, (char *)guest.out.data, channel_pending(&guest.out));
	guest.out.start = guest.out.end = 0;
	cut_off(guest.fd);
	be(first);
	data(1, "alive\n");
	assert_string_equal(last().first[1], "alive\n");
	close(first);
}

static void test_full_house(void **state)
{
	int callers[MOST], late;
	struct result r;

	(void)state;
	for (int i = 0; i < MOST; i++) {
		callers[i] = call();
		shell(1, "echo up; read x");
		start(1);
		while (next().type != CHANNEL_DATA)
			;
	}
	late = call();
	arg(1, "true");
	start(1);
	r = last();
	assert_int_equal(r.status, 126);
	assert_string_equal(r.text, "too many sessions");
	close(late);
	late = call();
	channel_put(&guest.out, CHANNEL_SHUTDOWN, 0, 0, NULL, 0);
	cut_off(late);
	// It ends: nobody else is to wait for it.
	assert_int_equal(vm_dial(dir, VM_SWITCH, NULL), -1);
	for (int i = 0; i < MOST; i++)
		close(callers[i]);
}

static void put_port(enum channel_type type, uint8_t stream, uint16_t session, const void *payload,
		     size_t len)
{
	struct channel_buffer out = { 0 };

	channel_put(&out, type, stream, session, payload, len);
	assert_int_equal(write_fd_all(port, (char *)out.data, channel_pending(&out)), 0);
	free(out.data);
}

static void ask(int caller, uint16_t session)
{
	char text[CHANNEL_HEADER + 2 + CHANNEL_HEADER];

	(void)caller;
	arg(1, "sh");
	start(1);
	flush();
	assert_int_equal(recv(port, text, sizeof(text), MSG_WAITALL), sizeof(text));
	assert_int_equal(text[6], session);
}

static void test_violations_of_the_guest(void **state)
{
	static char much[CHANNEL_MAX_PAYLOAD];
	int first = call(), second;
	struct channel_frame f;

	(void)state;
	ask(first, 1);
	second = call();
	ask(second, 2);
	// More than that caller has granted: it never reads.
	for (int i = 0; i < 9; i++)
		put_port(CHANNEL_DATA, 1, 2, much, sizeof(much));
	// What no caller has is ignored.
	put_port(CHANNEL_DATA, 1, 999, much, 10);
	put_port(CHANNEL_EXIT, 0, 1, much, 8);
	be(first);
	f = next();
	assert_int_equal(f.type, CHANNEL_EXIT);
	close(first);
	be(second);
	cut_off(second);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_violations_of_callers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_house, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_violations_of_the_guest, set_up_fake,
						tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
