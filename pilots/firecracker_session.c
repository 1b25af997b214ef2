// SPDX-License-Identifier: MIT
// The host's side of a call: doc/channel.md.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "channel.h"
#include "firecracker.h"
#include "terminal.h"
#include "syscalls.h"
#include "util.h"

enum {
	SESSION = 1,
	HELLO_SECONDS = 120, // a guest that is not up by then never will be
	PATIENCE = 3,	     // requests to end, of a guest that says nothing
	INSISTENCE = 10,     // such requests within
	INSISTENCE_MS = 10000,
	CHUNK = 65536,
	OUT_LIMIT = 4 * CHUNK, // on their way to the guest
	ACKNOWLEDGE = CHANNEL_WINDOW / 4,
};

// Standard output or error on its way to the caller.
struct sink {
	int fd;
	bool pipe;   // or socket: can be written to without waiting
	size_t most; // to be written at once where it cannot
	struct channel_buffer data;
	uint32_t passed; // written since the last WINDOW
	bool closed;	 // nobody reads it any more
};

struct session {
	const struct plan *plan;
	struct vm *vm;
	int channel, listener, signals;
	struct channel_buffer in, out;
	struct sink sinks[2]; // of streams 1 and 2
	uint64_t window;      // what may be sent of standard input
	bool input_open, started, over, listening;
	int status;
	unsigned unheard;	     // requests to end since the program said something
	unsigned requests;	     // to end at all
	long long asked[INSISTENCE]; // when the last ones came
	struct terminal terminal;
	time_t began;
};

static void session_free(struct session *s)
{
	terminal_restore(&s->terminal);
	if (s->signals >= 0)
		close(s->signals);
	if (s->listener >= 0 && s->channel >= 0)
		close(s->channel);
	free(s->in.data);
	free(s->out.data);
	free(s->sinks[0].data.data);
	free(s->sinks[1].data.data);
}

static void put_text(struct session *s, enum channel_type type, const char *text)
{
	channel_put(&s->out, type, 0, SESSION, text, strlen(text));
}

static int put_moment(struct session *s, struct error *err)
{
	struct timespec now;
	uint8_t seed[32];

	clock_gettime(CLOCK_REALTIME, &now);
	channel_put_clock(&s->out, SESSION,
			  (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec);
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return error_set(err, errno, "cannot get random numbers for the guest");
	channel_put(&s->out, CHANNEL_SEED, 0, SESSION, seed, sizeof(seed));
	return 0;
}

static void put_terminal(struct session *s)
{
	unsigned rows, columns;
	const char *term = getenv("TERM");
	cleanup_free char *entry = xasprintf("TERM=%s", term ? term : "linux");

	terminal_size(STDIN_FILENO, &rows, &columns);
	put_text(s, CHANNEL_ENV, entry);
	channel_put_size(&s->out, CHANNEL_TTY, SESSION, rows, columns);
	terminal_raw(&s->terminal, STDIN_FILENO);
}

static int put_texts(struct session *s, enum channel_type type, const struct strv *texts,
		     struct error *err)
{
	for (size_t i = 0; i < texts->n; i++) {
		if (strlen(texts->v[i]) > CHANNEL_MAX_PAYLOAD)
			return error_set(err, E2BIG, "cannot run %s", s->plan->target);
		put_text(s, type, texts->v[i]);
	}
	return 0;
}

// Says all that the guest has to know of the call.
static int ask(struct session *s, struct error *err)
{
	const struct plan *plan = s->plan;
	unsigned uid, gid;

	put_text(s, CHANNEL_ARG, plan->target);
	if (plan->tty)
		put_terminal(s);
	if (put_texts(s, CHANNEL_ARG, &plan->args, err) < 0 ||
	    put_texts(s, CHANNEL_ENV, &plan->env, err) < 0)
		return -1;
	if (plan->workdir)
		put_text(s, CHANNEL_CWD, plan->workdir);
	if (plan->run_user && sscanf(plan->run_user, "%u:%u", &uid, &gid) == 2)
		channel_put_pair(&s->out, CHANNEL_USER, SESSION, uid, gid);
	if (put_moment(s, err) < 0)
		return -1;
	channel_put(&s->out, CHANNEL_START, 0, SESSION, NULL, 0);
	s->started = true;
	return 0;
}

static int take_hello(struct session *s, const struct channel_frame *frame, struct error *err)
{
	if (s->started)
		return error_set(err, ERR_FLAKE, "the guest said hello twice");
	if (channel_u16(frame, 4) < CHANNEL_OLDEST)
		return error_set(err, ERR_FLAKE, "the guest's init is too old for this pilot");
	return ask(s, err);
}

static int take_data(struct session *s, const struct channel_frame *frame, struct error *err)
{
	struct sink *sink = &s->sinks[frame->stream - 1];

	if (channel_pending(&sink->data) + sink->passed + frame->len > CHANNEL_WINDOW)
		return error_set(err, ERR_FLAKE, "the guest sends more than it may");
	if (sink->closed)
		return 0;
	memcpy(channel_room(&sink->data, frame->len), frame->payload, frame->len);
	channel_grown(&sink->data, frame->len);
	return 0;
}

static int take_exit(struct session *s, const struct channel_frame *frame)
{
	uint32_t sig = channel_u32(frame, 4);

	s->over = true;
	s->status = sig ? 128 + (int)(sig & 127) : (int)(channel_u32(frame, 0) & 255);
	return 0;
}

// Does a terminal take that byte of a text in UTF-8 for more than a character (C0, C1, DEL)?
static bool is_control(const uint8_t *byte, uint8_t before)
{
	return *byte < 0x20 || *byte == 0x7f || (before == 0xc2 && *byte >= 0x80 && *byte < 0xa0);
}

// The program did not start: the guest says why.
static int take_failed(struct session *s, const struct channel_frame *frame)
{
	int status = channel_u16(frame, 0);

	terminal_restore(&s->terminal);
	fprintf(stderr, "%s: ", s->plan->command);
	for (uint32_t i = 2; i < frame->len; i++)
		fputc(is_control(frame->payload + i, frame->payload[i - 1]) ? '?'
									    : frame->payload[i],
		      stderr);
	fputc('\n', stderr);
	s->over = true;
	s->status = status >= 125 && status <= 127 ? status : EXIT_ENGINE;
	return 0;
}

static int take(struct session *s, const struct channel_frame *frame, struct error *err)
{
	// A guest may keep saying that it reads no more: that is no sign of life of the program.
	if (frame->type == CHANNEL_DATA)
		s->unheard = 0;
	if (frame->type == CHANNEL_HELLO)
		return take_hello(s, frame, err);
	if (frame->type == CHANNEL_BYE || s->over)
		return 0;
	if (!s->started || frame->session != SESSION)
		return error_set(err, ERR_FLAKE, "the guest answers what nobody asked");
	if (frame->type == CHANNEL_EXIT)
		return take_exit(s, frame);
	if (frame->type == CHANNEL_FAILED)
		return take_failed(s, frame);
	if (frame->type == CHANNEL_WINDOW_ADD && frame->stream == 0)
		s->window += channel_u32(frame, 0);
	else if (frame->type == CHANNEL_END && frame->stream == 0)
		s->input_open = false;
	else if (frame->type == CHANNEL_DATA && frame->stream > 0)
		return take_data(s, frame, err);
	if (s->window > INT32_MAX)
		return error_set(err, ERR_FLAKE, "the guest opens its window too far");
	return 0;
}

// Returns 1: go on; 0: the stream has ended; -1.
static int receive(struct session *s, struct error *err)
{
	ssize_t n = read(s->channel, channel_room(&s->in, CHUNK), CHUNK);
	struct channel_frame frame;
	const char *why;
	int rc;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : 0;
	if (n == 0)
		return 0;
	channel_grown(&s->in, (size_t)n);
	while ((rc = channel_next(&s->in, CHANNEL_GUEST, &frame, &why)) > 0) {
		if (take(s, &frame, err) < 0)
			return -1;
		channel_taken(&s->in, CHANNEL_HEADER + frame.len);
	}
	return rc < 0 ? error_set(err, ERR_FLAKE, "the guest broke the protocol: %s", why) : 1;
}

static void transmit(struct session *s)
{
	ssize_t n = write(s->channel, s->out.data + s->out.start, channel_pending(&s->out));

	if (n > 0)
		channel_taken(&s->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		channel_taken(&s->out, channel_pending(&s->out)); // receive sees the end
}

static void read_input(struct session *s)
{
	size_t want = s->window < CHUNK ? (size_t)s->window : CHUNK;
	uint8_t data[CHUNK];
	ssize_t n = read(STDIN_FILENO, data, want);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		channel_put(&s->out, CHANNEL_END, 0, SESSION, NULL, 0);
		s->input_open = false;
		return;
	}
	channel_put(&s->out, CHANNEL_DATA, 0, SESSION, data, (size_t)n);
	s->window -= (uint64_t)n;
}

static void sink_open(struct sink *sink, int fd)
{
	struct stat st;

	sink->fd = fd;
	if (fstat(fd, &st) < 0)
		st.st_mode = 0;
	sink->pipe = S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode);
	// poll promises a pipe and a terminal that much room.
	sink->most = S_ISREG(st.st_mode) ? CHUNK : PIPE_BUF;
}

// Writes what goes without waiting. Files are not asked to: some file systems (btrfs, xfs) then
// only ever say "not now", while poll says "now".
static ssize_t write_some(const struct sink *sink)
{
	uint8_t *data = sink->data.data + sink->data.start;
	size_t len = channel_pending(&sink->data);
	size_t piece = len < CHUNK ? len : CHUNK;
	ssize_t n = sink->pipe ? sys_write_nowait(sink->fd, data, piece) : -1;

	if (n >= 0 || (sink->pipe && errno != EOPNOTSUPP && errno != ENOSYS))
		return n;
	return write(sink->fd, data, len < sink->most ? len : sink->most);
}

static void write_sink(struct session *s, uint8_t stream)
{
	struct sink *sink = &s->sinks[stream - 1];
	size_t pending = channel_pending(&sink->data);
	ssize_t n = write_some(sink);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		sink->closed = true;
		channel_taken(&sink->data, pending);
		if (!s->over)
			channel_put(&s->out, CHANNEL_END, stream, SESSION, NULL, 0);
		return;
	}
	channel_taken(&sink->data, (size_t)n);
	sink->passed += (uint32_t)n;
	if (sink->passed >= ACKNOWLEDGE && !s->over) {
		channel_put_window(&s->out, stream, SESSION, sink->passed);
		sink->passed = 0;
	}
}

static void resize(struct session *s)
{
	unsigned rows, columns;

	terminal_size(STDIN_FILENO, &rows, &columns);
	channel_put_size(&s->out, CHANNEL_RESIZE, SESSION, rows, columns);
}

// Does the caller ask for the third time, and the program says nothing at all? Then it may hang.
// Does he ask again and again, whatever it says? Then the guest is not to decide.
static bool insists(struct session *s, int sig)
{
	long long now = vm_now(), first;

	if (sig != SIGINT && sig != SIGTERM)
		return false;
	s->asked[s->requests++ % INSISTENCE] = now;
	first = s->asked[s->requests % INSISTENCE];
	return ++s->unheard >= PATIENCE ||
	       (s->requests >= INSISTENCE && now - first < INSISTENCE_MS);
}

// Returns false when the call is to end: nothing runs that could have the signal.
static bool take_signals(struct session *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (sig == SIGCONT)
			terminal_again(&s->terminal);
		if (sig == SIGWINCH || sig == SIGCONT) {
			if (s->started && s->plan->tty)
				resize(s);
		} else if (!s->started || insists(s, sig)) {
			s->status = 128 + sig;
			s->over = true;
			return false;
		} else {
			channel_put_signal(&s->out, SESSION, sig);
		}
	}
	return true;
}

enum { ON_CHANNEL, ON_SIGNAL, ON_INPUT, ON_OUTPUT, ON_ERROR, ON_CONSOLE, ON_END, POLLED };

static void watch(const struct session *s, struct pollfd *on)
{
	bool room = channel_pending(&s->out) < OUT_LIMIT;

	for (size_t i = 0; i < POLLED; i++)
		on[i] = (struct pollfd){ .fd = -1 };
	on[ON_CHANNEL].fd = s->channel >= 0 ? s->channel : s->listener;
	on[ON_CHANNEL].events = POLLIN | (channel_pending(&s->out) ? POLLOUT : 0);
	// Before there is a stream its end cannot tell.
	if (s->channel < 0 && s->vm)
		on[ON_END] = (struct pollfd){ .fd = s->vm->pidfd, .events = POLLIN };
	on[ON_SIGNAL] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	if (s->started && !s->over && s->input_open && s->window && room &&
	    terminal_is_ours(STDIN_FILENO))
		on[ON_INPUT] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (size_t i = 0; i < 2; i++)
		if (channel_pending(&s->sinks[i].data))
			on[ON_OUTPUT + i] =
				(struct pollfd){ .fd = s->sinks[i].fd, .events = POLLOUT };
	if (s->listening)
		on[ON_CONSOLE] = (struct pollfd){ .fd = s->vm->console, .events = POLLIN };
}

// The stream is over and the program's exit was not heard.
static int lost(struct session *s, struct error *err)
{
	if (s->started)
		error_set(err, ERR_FLAKE, "the VM ended before %s did", s->plan->target);
	else
		error_set(err, ERR_FLAKE, "the VM did not come up");
	return s->vm ? vm_explain(s->vm, err) : -1;
}

// The guest connects. Returns 1, or -1.
static int accept_guest(struct session *s, struct error *err)
{
	s->channel = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s->channel < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		return error_set(err, errno, "cannot accept the guest");
	return 1;
}

static int wait_ms(const struct session *s)
{
	struct timespec now;

	// A terminal that is not ours now may be later, and nobody says so.
	if (s->started)
		return terminal_is_ours(STDIN_FILENO) ? -1 : 1000;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - s->began >= HELLO_SECONDS ? 0 : 1000;
}

// One turn of the loop. Returns 1: go on; 0: over; -1.
static int turn(struct session *s, struct error *err)
{
	struct pollfd on[POLLED];
	int timeout = wait_ms(s), rc = 1;

	watch(s, on);
	if (poll(on, POLLED, timeout) < 0 && errno != EINTR)
		return error_set(err, errno, "cannot wait for the guest");
	if (!s->started && timeout == 0) {
		error_set(err, ERR_TIMEOUT, "the guest did not come up within %d s", HELLO_SECONDS);
		return s->vm ? vm_explain(s->vm, err) : -1;
	}
	if (on[ON_CONSOLE].revents)
		s->listening = vm_listen(s->vm);
	if (on[ON_SIGNAL].revents && !take_signals(s))
		return 0;
	if (on[ON_END].revents)
		return lost(s, err);
	if (on[ON_CHANNEL].revents & ~POLLOUT)
		rc = s->channel < 0 ? accept_guest(s, err) : receive(s, err);
	if (rc <= 0)
		return rc < 0 ? -1 : (s->over ? 0 : lost(s, err));
	if (on[ON_INPUT].revents)
		read_input(s);
	for (uint8_t stream = 1; stream <= 2; stream++)
		if (on[ON_OUTPUT + stream - 1].revents)
			write_sink(s, stream);
	if (channel_pending(&s->out))
		transmit(s);
	return s->over ? 0 : 1;
}

// What has arrived goes to the caller, who may take his time; a signal ends that.
static void flush(struct session *s)
{
	for (size_t i = 0; i < 2; i++) {
		struct sink *sink = &s->sinks[i];
		struct pollfd on[] = { { .fd = sink->fd, .events = POLLOUT },
				       { .fd = s->signals, .events = POLLIN } };
		int sig = 0;

		while (channel_pending(&sink->data) && !sink->closed && !sig) {
			if (poll(on, 2, -1) < 0)
				continue;
			if (on[1].revents)
				sig = vm_signal_of(s->signals);
			else if (on[0].revents)
				write_sink(s, (uint8_t)(i + 1));
		}
		if (sig) {
			s->status = 128 + sig;
			return;
		}
	}
}

int session_run(const struct plan *plan, const struct vm_link *to, struct error *err)
{
	struct session s __attribute__((cleanup(session_free))) = {
		.plan = plan,
		.vm = to->vm,
		.channel = to->channel,
		.listener = to->listener,
		.signals = -1,
		.window = CHANNEL_WINDOW,
		.input_open = true,
		.listening = to->vm && to->vm->console >= 0,
		.terminal = { .fd = -1 },
	};
	struct timespec now;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s.began = now.tv_sec;
	s.signals = to->vm && to->vm->signals >= 0 ? fcntl(to->vm->signals, F_DUPFD_CLOEXEC, 3)
						   : vm_signals(err);
	if (s.signals < 0)
		return err->message ? -1 : error_set(err, errno, "cannot wait for signals");
	sink_open(&s.sinks[0], STDOUT_FILENO);
	sink_open(&s.sinks[1], STDERR_FILENO);
	if (s.channel >= 0)
		fcntl(s.channel, F_SETFL, fcntl(s.channel, F_GETFL) | O_NONBLOCK);
	while ((rc = turn(&s, err)) > 0)
		;
	flush(&s);
	return rc < 0 ? -1 : s.status;
}
