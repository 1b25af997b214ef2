// SPDX-License-Identifier: MIT
// The one port of a QEMU VM that stays, shared by the pilots of many calls: every caller gets a
// session number of his own, frames are passed on.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "channel.h"
#include "firecracker.h"
#include "util.h"

enum {
	CALLERS =
		64 + 8, // the guest refuses more than 64 itself; who is to end the VM gets through
	CHUNK = 65536,
	OUT_LIMIT = 4 << 20, // on their way to the guest
	// On their way to a caller who does not read: two windows, at worst in frames of one byte.
	// Only a guest that breaks the rules has more.
	CALLER_LIMIT = 2 * (CHANNEL_HEADER + 1) * CHANNEL_WINDOW + (1 << 20),
};

struct caller {
	int fd;		     // -1: gone, or no caller at all
	uint16_t session;    // 0: none at this place
	bool asked, over;    // the guest knows the session; the guest has ended it
	bool named, started; // the program is said; START was
	int64_t window[3];   // what may still be sent of each stream
	struct channel_buffer in, out;
};

struct exchange {
	struct vm *vm;
	struct vm_notice *notice;
	int channel, listener;
	bool listening;
	uint16_t last;
	struct channel_buffer in, out;
	struct caller callers[CALLERS];
};

static struct caller *find(struct exchange *x, uint16_t session)
{
	for (size_t i = 0; i < CALLERS; i++)
		if (x->callers[i].session == session)
			return &x->callers[i];
	return NULL;
}

static void drop(struct caller *caller)
{
	if (caller->fd >= 0)
		close(caller->fd);
	free(caller->in.data);
	free(caller->out.data);
	*caller = (struct caller){ .fd = -1 };
}

// A caller is gone. What he started in the guest is ended there; its number is kept until then.
static void leave(struct exchange *x, struct caller *caller)
{
	if (!caller->asked || caller->over) {
		drop(caller);
		return;
	}
	channel_put(&x->out, CHANNEL_HANGUP, 0, caller->session, NULL, 0);
	close(caller->fd);
	caller->fd = -1;
	free(caller->out.data);
	caller->out = (struct channel_buffer){ 0 };
}

static void welcome(struct exchange *x)
{
	int fd = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *caller = find(x, 0);

	if (fd < 0 || !caller) {
		if (fd >= 0)
			close(fd);
		return;
	}
	do
		x->last++;
	while (x->last == 0 || find(x, x->last));
	caller->fd = fd;
	caller->session = x->last;
	for (size_t i = 0; i < 3; i++)
		caller->window[i] = CHANNEL_WINDOW;
	channel_put_hello(&caller->out);
}

// Reads what there is. false: the stream has ended.
static bool fetch(int fd, struct channel_buffer *in)
{
	ssize_t n = read(fd, channel_room(in, CHUNK), CHUNK);

	if (n > 0)
		channel_grown(in, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static bool deliver(int fd, struct channel_buffer *out)
{
	ssize_t n = send(fd, out->data + out->start, channel_pending(out), MSG_NOSIGNAL);

	if (n > 0)
		channel_taken(out, (size_t)n);
	return n >= 0 || errno == EAGAIN || errno == EINTR;
}

// The VM ends: who calls from now on is to find nobody, and starts it anew.
static void shut_down(struct exchange *x)
{
	channel_put(&x->out, CHANNEL_SHUTDOWN, 0, 0, NULL, 0);
	x->notice->fd = -1;
	if (x->listener >= 0)
		close(steal_fd(&x->listener));
}

// Is it that frame's turn, while the program runs?
static bool may_be_said(struct caller *caller, const struct channel_frame *frame)
{
	int64_t *window = &caller->window[frame->stream];

	if (frame->type == CHANNEL_DATA) {
		*window -= frame->len;
		return frame->stream == 0 && *window >= 0;
	}
	if (frame->type == CHANNEL_WINDOW_ADD) {
		*window += channel_u32(frame, 0);
		return frame->stream > 0 && *window <= INT32_MAX;
	}
	return frame->type > CHANNEL_START;
}

// What the guest would take for a violation is that caller's alone, not that of all who share the
// stream.
static bool in_order(struct caller *caller, const struct channel_frame *frame)
{
	if (caller->started)
		return may_be_said(caller, frame);
	if (frame->type > CHANNEL_START)
		return caller->asked &&
		       (frame->type == CHANNEL_SIGNAL || frame->type == CHANNEL_RESIZE ||
			frame->type == CHANNEL_HANGUP);
	caller->named = caller->named || frame->type == CHANNEL_ARG;
	caller->started = frame->type == CHANNEL_START;
	if (caller->started && !caller->named)
		return false;
	caller->asked = true;
	return true;
}

static void from_caller(struct exchange *x, struct caller *caller)
{
	bool good = fetch(caller->fd, &caller->in);
	struct channel_frame frame;
	const char *why;
	int rc = 0;

	while (good && (rc = channel_next(&caller->in, CHANNEL_HOST, &frame, &why)) > 0) {
		if (!frame.session)
			shut_down(x);
		else if (!in_order(caller, &frame))
			break;
		else if (!caller->over)
			channel_put(&x->out, frame.type, frame.stream, caller->session,
				    frame.payload, frame.len);
		channel_taken(&caller->in, CHANNEL_HEADER + frame.len);
	}
	if (!good || rc != 0)
		leave(x, caller);
}

// Does the guest keep to what this caller has granted?
static bool is_fair(struct caller *caller, const struct channel_frame *frame)
{
	int64_t *window = &caller->window[frame->stream];

	if (frame->type == CHANNEL_DATA)
		*window -= frame->len;
	else if (frame->type == CHANNEL_WINDOW_ADD && frame->stream == 0)
		*window += channel_u32(frame, 0);
	return *window >= 0 && *window <= INT32_MAX &&
	       channel_pending(&caller->out) <= CALLER_LIMIT;
}

static void pass(struct exchange *x, const struct channel_frame *frame)
{
	struct caller *caller = frame->session ? find(x, frame->session) : NULL;

	if (!caller || caller->over)
		return;
	caller->over = frame->type == CHANNEL_EXIT || frame->type == CHANNEL_FAILED;
	if (caller->fd >= 0)
		channel_put(&caller->out, frame->type, frame->stream, 1, frame->payload,
			    frame->len);
	if (caller->fd >= 0 && !is_fair(caller, frame))
		leave(x, caller);
	else if (caller->over && caller->fd < 0)
		drop(caller);
}

static bool from_guest(struct exchange *x)
{
	struct channel_frame frame;
	const char *why;
	int rc;

	if (!fetch(x->channel, &x->in))
		return false;
	while ((rc = channel_next(&x->in, CHANNEL_GUEST, &frame, &why)) > 0) {
		pass(x, &frame);
		channel_taken(&x->in, CHANNEL_HEADER + frame.len);
	}
	return rc == 0;
}

static void serve_caller(struct exchange *x, struct caller *caller, short events)
{
	bool good = true;

	if (events & POLLOUT)
		good = deliver(caller->fd, &caller->out);
	if (!good)
		leave(x, caller);
	else if (caller->over && !channel_pending(&caller->out))
		drop(caller);
	else if (events & ~POLLOUT)
		from_caller(x, caller);
}

enum { ON_CHANNEL, ON_LISTENER, ON_CONSOLE, ON_NOTICE, ON_CALLERS, POLLED = ON_CALLERS + CALLERS };

static void watch(struct exchange *x, struct pollfd *on)
{
	bool room = channel_pending(&x->out) < OUT_LIMIT;

	on[ON_CHANNEL] =
		(struct pollfd){ .fd = x->channel,
				 .events = POLLIN | (channel_pending(&x->out) ? POLLOUT : 0) };
	on[ON_LISTENER] = (struct pollfd){ .fd = find(x, 0) ? x->listener : -1, .events = POLLIN };
	on[ON_NOTICE] = (struct pollfd){ .fd = x->notice->fd, .events = POLLIN };
	on[ON_CONSOLE] =
		(struct pollfd){ .fd = x->listening ? x->vm->console : -1, .events = POLLIN };
	for (size_t i = 0; i < CALLERS; i++)
		on[ON_CALLERS + i] = (struct pollfd){
			.fd = x->callers[i].fd,
			.events = (room ? POLLIN : 0) |
				  (channel_pending(&x->callers[i].out) ? POLLOUT : 0)
		};
}

void switch_run(struct vm *vm, int channel, int listener, struct vm_notice *notice)
{
	struct exchange x = {
		.vm = vm, .notice = notice, .channel = channel, .listener = listener
	};
	struct pollfd on[POLLED];
	bool good = true;

	x.listening = true;
	for (size_t i = 0; i < CALLERS; i++)
		x.callers[i].fd = -1;
	fcntl(channel, F_SETFL, O_NONBLOCK);
	while (good) {
		watch(&x, on);
		if (poll(on, POLLED, -1) < 0 && errno != EINTR)
			break;
		if (on[ON_CONSOLE].revents)
			x.listening = vm_listen(vm);
		if (on[ON_CHANNEL].revents & ~POLLOUT)
			good = from_guest(&x);
		if (on[ON_NOTICE].revents && notice->ended(notice->data))
			shut_down(&x);
		if (on[ON_LISTENER].revents && x.listener >= 0)
			welcome(&x);
		for (size_t i = 0; i < CALLERS; i++)
			if (on[ON_CALLERS + i].revents && x.callers[i].fd == on[ON_CALLERS + i].fd)
				serve_caller(&x, &x.callers[i], on[ON_CALLERS + i].revents);
		if (good && channel_pending(&x.out))
			good = deliver(channel, &x.out);
	}
	for (size_t i = 0; i < CALLERS; i++)
		drop(&x.callers[i]);
	free(x.in.data);
	free(x.out.data);
}
