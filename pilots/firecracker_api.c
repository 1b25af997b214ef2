// SPDX-License-Identifier: MIT
#include "firecracker_api.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "channel.h"
#include "firecracker_http.h"
#include "firecracker_place.h"
#include "util.h"

enum { CHUNK = 4096, READY_MS = 10000, REFUSED_MS = 2 };

void api_add(struct node *body, const char *key, const char *value)
{
	node_add(body, xstrdup(key), node_scalar(value, strlen(value), false));
}

static int ended(struct vm *vm, const char *request, struct error *err)
{
	error_set(err, ERR_FLAKE, "firecracker: %s: no answer", request);
	return vm_explain(vm, err);
}

// Connects as soon as the engine listens. That its socket appears is told by the kernel; between
// that and listening there is next to nothing.
static int dial(struct vm *vm, const char *dir, struct error *err)
{
	cleanup_fd int news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	long long limit = vm_now() + READY_MS;
	char events[CHUNK];

	if (news < 0 || inotify_add_watch(news, dir, IN_CREATE | IN_MOVED_TO) < 0)
		return error_set(err, errno, "cannot watch %s", dir);
	while (vm_now() < limit) {
		struct error why = { 0 };
		int fd = vm_dial(dir, VM_API, &why), code = why.code;

		error_clear(&why);
		if (fd >= 0)
			return fd;
		if (code != ENOENT && code != ECONNREFUSED)
			return error_set(err, code, "cannot connect to %s/" VM_API, dir);
		vm_wait(vm, code == ENOENT ? news : -1, code == ENOENT ? READY_MS : REFUSED_MS);
		if (vm_is_over(vm) || vm_is_interrupted(vm)) {
			error_set(err, ERR_FLAKE, "firecracker did not start");
			return vm_explain(vm, err);
		}
		while (read(news, events, sizeof(events)) > 0)
			;
	}
	return error_set(err, ERR_TIMEOUT, "firecracker does not answer");
}

static int ask(int fd, const char *request, const struct node *body, struct error *err)
{
	cleanup_free char *json = doc_json(body);
	cleanup_free char *text = xasprintf("%s HTTP/1.1\r\nHost: localhost\r\n"
					    "Accept: application/json\r\n"
					    "Content-Type: application/json\r\n"
					    "Content-Length: %zu\r\n\r\n%s",
					    request, strlen(json), json);
	size_t len = strlen(text), at = 0;

	while (at < len) {
		ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return error_set(err, errno, "firecracker: %s", request);
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int judge(const char *request, const char *data, const struct http_answer *answer,
		 struct error *err)
{
	cleanup_free char *fault = NULL;

	if (answer->status < 300)
		return 0;
	fault = http_fault(data + answer->head, answer->body);
	return error_set(err, ERR_FLAKE, "firecracker: %s: %s", request, fault);
}

static int hear(struct vm *vm, int fd, const char *request, unsigned seconds,
		struct channel_buffer *in, struct error *err)
{
	long long limit = vm_now() + 1000LL * seconds, left;
	struct http_answer answer;
	const char *why;
	int rc = 0;

	while (rc == 0) {
		ssize_t n;

		left = limit - vm_now();
		if (left <= 0 || !vm_wait(vm, fd, (int)left))
			return ended(vm, request, err);
		n = read(fd, channel_room(in, CHUNK), CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ended(vm, request, err);
		channel_grown(in, (size_t)n);
		rc = http_read((char *)in->data + in->start, channel_pending(in), &answer, &why);
	}
	if (rc < 0)
		return error_set(err, ERR_FLAKE, "firecracker: %s: cannot read the answer: %s",
				 request, why);
	return judge(request, (char *)in->data + in->start, &answer, err);
}

int api_request(struct vm *vm, const char *dir, const char *request, const struct node *body,
		unsigned seconds, struct error *err)
{
	cleanup_fd int fd = dial(vm, dir, err);
	struct channel_buffer in = { 0 };
	int rc;

	if (fd < 0 || ask(fd, request, body, err) < 0)
		return -1;
	rc = hear(vm, fd, request, seconds, &in, err);
	free(in.data);
	return rc;
}
