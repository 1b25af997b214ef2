// SPDX-License-Identifier: MIT
// What carries the channel: a virtio-serial port, or vsock.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>

#include "sci.h"
#include "util.h"

enum { DEVICE_WAIT = 10000, CONNECT_WAIT = 10000 };

// Does the port of that name in sysfs have the channel's name?
static bool is_channel(const char *port)
{
	cleanup_free char *path = xasprintf("/sys/class/virtio-ports/%s/name", port);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char name[sizeof(CHANNEL_PORT_NAME) + 1] = "";

	if (fd < 0 || read(fd, name, sizeof(name) - 1) < 0)
		return false;
	name[strcspn(name, "\n")] = '\0';
	return streq(name, CHANNEL_PORT_NAME);
}

// Opens the channel's port; arg is where its descriptor goes.
static bool open_port(const void *arg)
{
	int *fd = *(int *const *)arg;
	cleanup_dir DIR *dir = opendir("/sys/class/virtio-ports");
	const struct dirent *entry;

	while (*fd < 0 && dir && (entry = readdir(dir))) {
		cleanup_free char *path = NULL;

		if (entry->d_name[0] == '.' || !is_channel(entry->d_name))
			continue;
		path = xasprintf("/dev/%s", entry->d_name);
		*fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	}
	return *fd >= 0;
}

static int take_port(struct serve *serve)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int fd = -1;
	int *to = &fd;

	if (!wait_for_device(open_port, &to, DEVICE_WAIT))
		return -1;
	serve->port_events = epoll_create1(EPOLL_CLOEXEC);
	if (serve->port_events >= 0)
		epoll_ctl(serve->port_events, EPOLL_CTL_ADD, fd, &event);
	link_add(&serve->server, fd, true)->waiting = true;
	return 0;
}

int transport_connect(unsigned port)
{
	struct sockaddr_vm host = { .svm_family = AF_VSOCK,
				    .svm_cid = VMADDR_CID_HOST,
				    .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&host, sizeof(host)) < 0)
		close_fd(&fd);
	return fd;
}

int transport_listen(unsigned port)
{
	struct sockaddr_vm any = { .svm_family = AF_VSOCK,
				   .svm_cid = VMADDR_CID_ANY,
				   .svm_port = port };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
	    (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, SESSION_MAX) < 0))
		close_fd(&fd);
	return fd;
}

int transport_accept(int listener, int flags)
{
	struct sockaddr_vm peer = { 0 };
	socklen_t size = sizeof(peer);
	int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | flags);

	if (fd < 0 || peer.svm_cid == VMADDR_CID_HOST)
		return fd;
	close(fd);
	errno = ECONNABORTED;
	return -1;
}

// The host's listener first: it is there before the VM is.
static int take_vsock(struct serve *serve)
{
	int fd = transport_connect(CHANNEL_PORT);

	if (fd >= 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		link_add(&serve->server, fd, false);
	}
	if (!serve->server.stay)
		return fd < 0 ? -1 : 0;
	serve->listener = transport_listen(CHANNEL_PORT);
	if (serve->listener >= 0)
		fcntl(serve->listener, F_SETFL, O_NONBLOCK);
	return fd < 0 && serve->listener < 0 ? -1 : 0;
}

int transport_open(struct serve *serve, const struct params *params)
{
	const char *kind = params_get(params, "sci_channel");

	return streq(kind, "vsock") ? take_vsock(serve) : take_port(serve);
}
