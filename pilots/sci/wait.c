// SPDX-License-Identifier: MIT
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sci.h"
#include "util.h"

// The kernel's messages about devices; -1: it has no such thing.
static int open_events(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		close_fd(&fd);
	return fd;
}

bool wait_for_device(bool (*ready)(const void *arg), const void *arg, int milliseconds)
{
	int64_t end = session_now() + milliseconds;
	cleanup_fd int fd = -1;
	char text[4096];

	if (ready(arg))
		return true;
	fd = open_events();
	while (!ready(arg)) {
		int64_t left = end - session_now();
		struct pollfd events = { .fd = fd, .events = POLLIN };

		if (left <= 0)
			return false;
		// Without events there is nothing better than to look again soon.
		poll(&events, 1, fd < 0 && left > 2 ? 2 : (int)left);
		while (fd >= 0 && recv(fd, text, sizeof(text), 0) > 0)
			;
	}
	return true;
}
