// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "firecracker_api.h"
#include "firecracker_http.h"
#include "firecracker_place.h"
#include "fs.h"
#include "syscalls.h"
#include "util.h"

#define DONE "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
#define FAULT                                                                                      \
	"HTTP/1.1 400 \r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"            \
	"{\"fault_message\":\"not now\"}"

static int read_text(const char *text, struct http_answer *out)
{
	const char *why = NULL;
	int rc = http_read(text, strlen(text), out, &why);

	assert_true((rc < 0) == (why != NULL));
	return rc;
}

static void test_answers_are_read(void **state)
{
	struct http_answer answer;

	(void)state;
	assert_int_equal(read_text(DONE, &answer), 1);
	assert_int_equal(answer.status, 204);
	assert_int_equal(answer.body, 0);
	assert_int_equal(read_text(FAULT, &answer), 1);
	assert_int_equal(answer.status, 400);
	assert_int_equal(answer.body, 27);
	assert_int_equal(read_text("HTTP/1.1 200 OK\r\ncontent-length: \t2 \r\n\r\n{}", &answer),
			 1);
	assert_int_equal(read_text("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", &answer), 1);
}

static void test_an_answer_that_is_not_all_there(void **state)
{
	struct http_answer answer;
	const char *why = NULL;

	(void)state;
	for (size_t n = 0; n < strlen(FAULT); n++)
		assert_int_equal(http_read(FAULT, n, &answer, &why), 0);
	for (size_t n = 0; n < strlen(DONE); n++)
		assert_int_equal(http_read(DONE, n, &answer, &why), 0);
}

static void test_what_is_no_answer_is_refused(void **state)
{
	static const char *const bad[] = {
		"\r\n\r\n",
		"HTTP/1.0 204 \r\n\r\n",
		"HTTP/1.1 20x \r\n\r\n",
		"HTTP/1.1 2044\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 \r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: \r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 0x1\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 204 \r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 204 \r\nno header\r\n\r\n",
		"HTTP/1.1 204 \r\nA : b\r\n\r\n",
		"HTTP/1.1 204 \r\n: b\r\n\r\n",
		"HTTP/1.1 204 \r\nA: b\nc\r\n\r\n",
		DONE "x",
		FAULT DONE,
	};
	struct http_answer answer;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_text(bad[i], &answer) >= 0)
			fail_msg("%s", bad[i]);
}

static void test_limits(void **state)
{
	cleanup_free char *text = xmalloc(HTTP_HEAD_MAX + 2);
	struct http_answer answer;

	(void)state;
	memset(text, 'x', HTTP_HEAD_MAX + 1);
	memcpy(text, "HTTP/1.1 204 ", 13);
	text[HTTP_HEAD_MAX] = '\0';
	assert_int_equal(read_text(text, &answer), 0);
	text[HTTP_HEAD_MAX] = 'x';
	text[HTTP_HEAD_MAX + 1] = '\0';
	assert_int_equal(read_text(text, &answer), -1);
	assert_int_equal(read_text("HTTP/1.1 200 \r\nContent-Length: 1048577\r\n\r\n", &answer),
			 -1);
}

static void fault_is(const char *body, const char *want)
{
	cleanup_free char *got = http_fault(body, strlen(body));

	assert_string_equal(got, want);
}

static void test_faults(void **state)
{
	(void)state;
	fault_is("{\"fault_message\":\"not \\u001b now\\n\"}", "not   now");
	fault_is("{\"fault_message\":[1]}", "{\"fault_message\":[1]}");
	fault_is("{\"other\":1}\n", "{\"other\":1}");
	fault_is("{\"fault_message\":", "{\"fault_message\":");
	fault_is("", "");
}

// Plays the engine, in a child: its socket comes late. It gives that answer and ends.
static void play(const char *dir, const char *answer)
{
	struct pollfd on = { .events = POLLIN };
	char text[4096];
	int fd;

	poll(NULL, 0, 50);
	on.fd = vm_listener(dir, VM_API, NULL);
	poll(&on, 1, 5000);
	fd = accept(on.fd, NULL, NULL);
	if (read(fd, text, sizeof(text)) > 0)
		for (const char *p = answer; *p; p++)
			if (write(fd, p, 1) != 1)
				break;
	_exit(0);
}

// The answer of such an engine to a request; err is the caller's to clear.
static int ask(const char *answer, struct error *err)
{
	cleanup_free char *dir = fs_temp_dir(NULL, "api", err);
	cleanup_node struct node *body = node_new(NODE_MAP);
	struct vm vm = { VM_NONE };
	int rc;

	assert_non_null(dir);
	vm.pid = fork();
	if (vm.pid == 0)
		play(dir, answer);
	vm.pidfd = sys_pidfd_open(vm.pid);
	api_add(body, "state", "Paused");
	rc = api_request(&vm, dir, "PATCH /vm", body, 5, err);
	vm_end(&vm);
	fs_remove_tree(dir, NULL);
	return rc;
}

static void test_requests(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(ask(DONE, &err), 0);
	assert_int_equal(ask(FAULT, &err), -1);
	assert_string_equal(err.message, "firecracker: PATCH /vm: not now");
	assert_int_equal(ask("", &err), -1);
	assert_string_equal(err.message, "firecracker: PATCH /vm: no answer");
	assert_int_equal(ask("HTTP/1.1 204 ", &err), -1);
	assert_string_equal(err.message, "firecracker: PATCH /vm: no answer");
	assert_int_equal(ask("SSH-2.0\r\n\r\n", &err), -1);
	assert_string_equal(err.message,
			    "firecracker: PATCH /vm: cannot read the answer: no status");
	error_clear(&err);
}

// An engine that ends before it listens.
static void test_an_engine_that_does_not_start(void **state)
{
	cleanup_free char *dir = fs_temp_dir(NULL, "api", NULL);
	cleanup_node struct node *body = node_new(NODE_MAP);
	struct vm vm = { VM_NONE };
	struct error err = { 0 };

	(void)state;
	vm.pid = fork();
	if (vm.pid == 0)
		_exit(1);
	vm.pidfd = sys_pidfd_open(vm.pid);
	// valgrind 3.19 knows no such call.
	if (vm.pidfd >= 0) {
		assert_int_equal(api_request(&vm, dir, "PATCH /vm", body, 5, &err), -1);
		assert_string_equal(err.message, "firecracker did not start");
	}
	error_clear(&err);
	vm_end(&vm);
	fs_remove_tree(dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_are_read),
		cmocka_unit_test(test_an_answer_that_is_not_all_there),
		cmocka_unit_test(test_what_is_no_answer_is_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_an_engine_that_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
