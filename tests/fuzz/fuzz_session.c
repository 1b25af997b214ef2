// SPDX-License-Identifier: MIT
// What a guest may say to a pilot: bytes of its end of the channel. Whatever they are, the call
// ends, with an exit status or an error.
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>

#include "firecracker.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// The guest's output and complaints about it go nowhere; the fuzzer's own need another descriptor.
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)argc;
	(void)argv;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	stderr = fopen("/dev/null", "w");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_error struct error err = { 0 };
	cleanup_plan struct plan plan = { .flake = xstrdup("f"),
					  .command = xstrdup("f"),
					  .target = xstrdup("/bin/sh") };
	struct vm_link to = { .channel = -1, .listener = -1 };
	int ends[2], status;

	if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return 0;
	if (write_fd_all(ends[1], (const char *)data, size) == 0) {
		shutdown(ends[1], SHUT_WR);
		to.channel = ends[0];
		status = session_run(&plan, &to, &err);
		if (status > 255 || (status < 0 && !err.message))
			abort();
	}
	close(ends[0]);
	close(ends[1]);
	return 0;
}
