// SPDX-License-Identifier: MIT
#include "session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

int64_t session_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct session *find(const struct server *server, const struct link *link, uint16_t id)
{
	for (struct session *s = server->sessions; s; s = s->next)
		if (s->link == link && s->id == id)
			return s;
	return NULL;
}

static struct session *add(struct server *server, struct link *link, uint16_t id)
{
	struct session *s;

	if (server->session_count >= SESSION_MAX)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->link = link;
	s->id = id;
	s->in.fd = s->out[0].fd = s->out[1].fd = s->child.status = -1;
	s->in.place = s->out[0].place = s->out[1].place = -1;
	s->next = server->sessions;
	server->sessions = s;
	server->session_count++;
	return s;
}

// The session is over: nothing of it is left but processes that are not its program.
static void forget(struct server *server, struct session *session)
{
	struct session **at = &server->sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	server->session_count--;
	server->over = true;
	close_fd(&session->in.fd);
	close_fd(&session->out[0].fd);
	close_fd(&session->out[1].fd);
	close_fd(&session->child.status);
	request_free(&session->request);
	free(session->in.data.data);
	free(session);
}

static void fail(struct server *server, struct session *session, int status, const char *message)
{
	if (session->link)
		channel_put_failed(&session->link->out, session->id, status, message);
	forget(server, session);
}

static void start(struct server *server, struct session *session)
{
	char text[256];

	if (server->failed) {
		fail(server, session, 125, server->failed);
		return;
	}
	if (session->over) {
		fail(server, session, 126, "too many arguments and variables");
		return;
	}
	// A VM that stays may be one of many clones.
	if (server->stay && session->unseeded) {
		snprintf(text, sizeof(text),
			 "the guest's random numbers cannot be made its own: %s",
			 strerror(session->unseeded));
		fail(server, session, 125, text);
		return;
	}
	if (child_start(&session->request, &session->child) < 0) {
		snprintf(text, sizeof(text), "cannot start a process: %s", strerror(errno));
		fail(server, session, 126, text);
		return;
	}
	session->running = true;
	session->in.fd = session->child.in;
	session->in.window = CHANNEL_WINDOW;
	source_open(&session->out[0], session->child.out[0]);
	source_open(&session->out[1], session->child.out[1]);
	// A group of that number can't be one that waits for its SIGKILL.
	for (int i = 0; i < SESSION_MAX; i++)
		if (server->doomed[i].group == session->child.pid)
			server->doomed[i].group = 0;
}

static void ask_text(struct session *session, struct strv *to, const struct channel_frame *frame)
{
	session->asked += frame->len;
	if (session->request.args.n + session->request.env.n >= SESSION_ITEMS ||
	    session->asked > SESSION_BYTES)
		session->over = true;
	else
		strv_take(to, xstrndup((const char *)frame->payload, frame->len));
}

static void ask(const struct server *server, struct session *session,
		const struct channel_frame *frame)
{
	struct request *request = &session->request;

	switch (frame->type) {
	case CHANNEL_ARG:
		ask_text(session, &request->args, frame);
		break;
	case CHANNEL_ENV:
		ask_text(session, &request->env, frame);
		break;
	case CHANNEL_CWD:
		free(request->cwd);
		request->cwd = xstrndup((const char *)frame->payload, frame->len);
		break;
	case CHANNEL_USER:
		request->user = true;
		request->uid = channel_u32(frame, 0);
		request->gid = channel_u32(frame, 4);
		break;
	case CHANNEL_TTY:
		request->tty = true;
		request->rows = channel_u16(frame, 0);
		request->columns = channel_u16(frame, 2);
		break;
	case CHANNEL_CLOCK:
		if (server->vm)
			clock_set(channel_u64(frame, 0));
		break;
	default:
		if (server->vm && clock_seed(frame->payload, frame->len) < 0)
			session->unseeded = errno;
	}
}

// ARG to START. A session for which there is no room is told so at its START.
static int before_start(struct server *server, struct link *link, const struct channel_frame *frame)
{
	uint8_t *refused = &link->refused[frame->session / 8];
	uint8_t bit = (uint8_t)(1 << frame->session % 8);
	struct session *session = find(server, link, frame->session);
	bool starts = frame->type == CHANNEL_START;

	if (!session && !starts && !(*refused & bit)) {
		session = add(server, link, frame->session);
		*refused |= session ? 0 : bit;
	}
	if (*refused & bit) {
		if (starts)
			channel_put_failed(&link->out, frame->session, 126, "too many sessions");
		*refused &= (uint8_t) ~(starts ? bit : 0);
		return 0;
	}
	if (!session || session->running)
		return -1;
	if (!starts)
		ask(server, session, frame);
	else if (!session->request.args.n && !session->over)
		return -1;
	else
		start(server, session);
	return 0;
}

static void send_signal(const struct session *session, int sig)
{
	if (!session->running || session->dead || sig <= 0 || sig >= NSIG)
		return;
	// There is no group before the new process has made it.
	if (kill(-session->child.pid, sig) < 0 && errno == ESRCH)
		kill(session->child.pid, sig);
}

static void hang_up(struct server *server, struct session *session)
{
	if (!session->running) {
		fail(server, session, 125, "hung up");
		return;
	}
	if (session->mute)
		return;
	session->mute = true;
	session->deadline = session_now() + SESSION_GRACE;
	close_fd(&session->in.fd);
	send_signal(session, SIGHUP);
	send_signal(session, SIGCONT);
	// With the last descriptor of its master a terminal hangs up, too.
	if (session->request.tty)
		close_fd(&session->out[0].fd);
}

static int add_window(struct session *session, const struct channel_frame *frame)
{
	uint32_t more = channel_u32(frame, 0);
	struct source *source;

	if (frame->stream == 0)
		return -1;
	source = &session->out[frame->stream - 1];
	if (more > INT32_MAX - source->window)
		return -1;
	source->window += more;
	return 0;
}

// DATA to HANGUP of a session that runs.
static int while_running(struct server *server, struct session *session,
			 const struct channel_frame *frame)
{
	switch (frame->type) {
	case CHANNEL_DATA:
		if (frame->stream != 0 || frame->len > session->in.window)
			return -1;
		sink_take(session, frame);
		return 0;
	case CHANNEL_END:
		if (frame->stream == 0)
			sink_end(session);
		else if (!session->request.tty)
			close_fd(&session->out[frame->stream - 1].fd);
		else if (frame->stream == 1)
			hang_up(server, session);
		return 0;
	case CHANNEL_WINDOW_ADD:
		return add_window(session, frame);
	case CHANNEL_SIGNAL:
		send_signal(session, frame->payload[0]);
		return 0;
	case CHANNEL_RESIZE:
		if (session->request.tty && session->out[0].fd >= 0)
			child_set_size(session->out[0].fd, channel_u16(frame, 0),
				       channel_u16(frame, 2));
		return 0;
	default:
		hang_up(server, session);
		return 0;
	}
}

// A session for which there was no room goes away before its START: that is its end.
static void forget_refused(struct link *link, uint16_t id)
{
	uint8_t *refused = &link->refused[id / 8];
	uint8_t bit = (uint8_t)(1 << id % 8);

	if (*refused & bit)
		channel_put_failed(&link->out, id, 125, "hung up");
	*refused &= (uint8_t)~bit;
}

int session_frame(struct server *server, struct link *link, const struct channel_frame *frame)
{
	struct session *session;

	if (frame->type == CHANNEL_SHUTDOWN) {
		server->shutdown = true;
		return 0;
	}
	if (frame->type >= CHANNEL_ARG && frame->type <= CHANNEL_START)
		return before_start(server, link, frame);
	session = find(server, link, frame->session);
	if (!session) {
		if (frame->type == CHANNEL_HANGUP)
			forget_refused(link, frame->session);
		return 0;
	}
	if (session->running)
		return while_running(server, session, frame);
	if (frame->type == CHANNEL_HANGUP) {
		hang_up(server, session);
	} else if (frame->type == CHANNEL_RESIZE) {
		session->request.rows = channel_u16(frame, 0);
		session->request.columns = channel_u16(frame, 2);
	} else if (frame->type != CHANNEL_SIGNAL) {
		return -1;
	}
	return 0;
}

void session_hang_up_all(struct server *server, const struct link *link)
{
	struct session *next;

	for (struct session *s = server->sessions; s; s = next) {
		next = s->next;
		if (s->link != link)
			continue;
		s->link = NULL;
		hang_up(server, s);
	}
}

// The leader is gone, the group of one that was hung up may not be.
static void doom(struct server *server, const struct session *session)
{
	for (int i = 0; session->deadline && i < SESSION_MAX; i++) {
		if (server->doomed[i].group)
			continue;
		server->doomed[i] = (struct doomed){ session->child.pid, session->deadline };
		return;
	}
}

void session_reaped(struct server *server, pid_t pid, int status)
{
	struct session *s = server->sessions;
	char text[512];
	int code;

	while (s && !(s->running && !s->dead && s->child.pid == pid))
		s = s->next;
	if (!s)
		return;
	if (WIFSTOPPED(status)) {
		// Nobody outside could continue it: the caller's terminal is raw.
		if (s->request.tty)
			kill(-pid, SIGCONT);
		return;
	}
	code = child_failure(&s->child, text, sizeof(text));
	if (code) {
		fail(server, s, code, text);
		return;
	}
	doom(server, s);
	s->status = status;
	session_died(s);
}

void session_kill_all(struct server *server)
{
	for (struct session *s = server->sessions; s; s = s->next)
		send_signal(s, SIGKILL);
}

void session_free_all(struct server *server)
{
	while (server->sessions)
		forget(server, server->sessions);
}

int session_tick(struct server *server)
{
	int64_t now = session_now(), next = INT64_MAX;

	for (struct session *s = server->sessions; s; s = s->next) {
		if (s->dead || !s->deadline)
			continue;
		if (now >= s->deadline)
			send_signal(s, SIGKILL);
		// Again after a while: a group may have grown meanwhile.
		s->deadline = now >= s->deadline ? now + SESSION_GRACE : s->deadline;
		next = s->deadline < next ? s->deadline : next;
	}
	for (struct doomed *d = server->doomed; d < server->doomed + SESSION_MAX; d++) {
		if (d->group && now >= d->deadline) {
			kill(-d->group, SIGKILL);
			d->group = 0;
		}
		if (d->group && d->deadline < next)
			next = d->deadline;
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static void finish(struct server *server, struct session *session)
{
	int status = session->status;

	if (session->link)
		channel_put_pair(&session->link->out, CHANNEL_EXIT, session->id,
				 WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
				 WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0);
	forget(server, session);
}

void session_turn(struct server *server, const struct poller *poller)
{
	struct session *next;

	for (struct session *s = server->sessions; s; s = next) {
		next = s->next;
		session_io(s, poller);
		if (s->dead && session_drain(s))
			finish(server, s);
	}
}
