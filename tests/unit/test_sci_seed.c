// SPDX-License-Identifier: MIT
// sci: the random numbers of clones. The kernel's answers are a seccomp filter's.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/random.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "sci/session.h"
#include "util.h"

static unsigned started;

void request_free(struct request *request)
{
	strv_free(&request->args);
	strv_free(&request->env);
	free(request->cwd);
}

void child_set_size(int tty, unsigned rows, unsigned columns)
{
	(void)tty, (void)rows, (void)columns;
}

int child_failure(const struct child *child, char *text, size_t size)
{
	(void)child, (void)text, (void)size;
	return 0;
}

int child_start(const struct request *request, struct child *child)
{
	(void)request, (void)child;
	started++;
	errno = EAGAIN;
	return -1;
}

#define ANSWER(command, code)                                                                      \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, command, 0, 1),                                        \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (code))

// From now on the two ioctls answer that; 0: they succeed, and do nothing.
static void answer(unsigned int add, unsigned int reseed)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		ANSWER(RNDADDENTROPY, add),
		ANSWER(RNDRESEEDCRNG, reseed),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

// The errno of clock_seed, in a process whose kernel answers so.
static int seed(unsigned int add, unsigned int reseed)
{
	static const uint8_t bytes[32] = { 1 };
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		answer(add, reseed);
		_exit(clock_seed(bytes, sizeof(bytes)) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void the_kernel_takes_it_at_once_or_it_fails(void **state)
{
	uint8_t bytes[65] = { 0 };

	(void)state;
	assert_int_equal(seed(0, 0), 0);
	assert_int_equal(seed(EPERM, 0), EPERM);
	assert_int_equal(seed(0, ENOTTY), ENOTTY);
	assert_int_equal(clock_seed(bytes, sizeof(bytes)), -1);
}

// What a session is told in a server whose kernel refuses the seed.
static void call(bool vm, bool stay, struct channel_frame *told, struct channel_buffer *in)
{
	struct server server = { .vm = vm, .stay = stay };
	struct channel_buffer out = { 0 };
	struct poller poller = { .n = 0 };
	const char *why;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_non_null(link_add(&server, fds[1], false));
	channel_put(&out, CHANNEL_ARG, 0, 1, "x", 1);
	channel_put(&out, CHANNEL_SEED, 0, 1, "12345678", 8);
	channel_put(&out, CHANNEL_START, 0, 1, NULL, 0);
	assert_int_equal(
		write_fd_all(fds[0], (const char *)out.data + out.start, channel_pending(&out)), 0);
	for (int i = 0; i < 3; i++) {
		poller.n = 0;
		link_poll(&server, &poller);
		assert_true(poll(poller.v, (nfds_t)poller.n, 1000) >= 0);
		link_turn(&server, &poller);
	}
	channel_grown(in, (size_t)read(fds[0], channel_room(in, 4096), 4096));
	assert_true(channel_next(in, CHANNEL_GUEST, told, &why) > 0);
	assert_int_equal(told->type, CHANNEL_HELLO);
	assert_int_equal(channel_u16(told, 4), CHANNEL_VERSION);
	channel_taken(in, CHANNEL_HEADER + told->len);
	assert_true(channel_next(in, CHANNEL_GUEST, told, &why) > 0);
	session_free_all(&server);
	link_free_all(&server);
	free(out.data);
	close(fds[0]);
}

// Last: the filter stays.
static void a_clone_runs_no_program_without(void **state)
{
	struct channel_buffer in = { 0 };
	struct channel_frame told;

	(void)state;
	answer(0, EPERM);
	call(true, true, &told, &in);
	assert_int_equal(started, 0);
	assert_int_equal(told.type, CHANNEL_FAILED);
	assert_int_equal(channel_u16(&told, 0), 125);
	assert_memory_equal(told.payload + 2, "the guest's random numbers cannot be made its own",
			    49);
	free(in.data);
	// A VM of one call is no clone; a process that only serves has the host's numbers.
	in = (struct channel_buffer){ 0 };
	call(true, false, &told, &in);
	assert_int_equal(started, 1);
	free(in.data);
	in = (struct channel_buffer){ 0 };
	call(false, true, &told, &in);
	assert_int_equal(started, 2);
	free(in.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_takes_it_at_once_or_it_fails),
		cmocka_unit_test(a_clone_runs_no_program_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
