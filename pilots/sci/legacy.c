// SPDX-License-Identifier: MIT
// What pilots of the older tools ask for: run="PROGRAM ARGUMENTS" on the serial console, or
// run=vsock and lines "PROGRAM ARGUMENTS PORT" on vsock.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "sci.h"
#include "util.h"

enum { LINE = 65536, BUFFER = 65536, CALLERS = 64, ROWS = 24, COLUMNS = 80 };

static unsigned number(const struct params *params, const char *name, unsigned otherwise)
{
	const char *text = params_get(params, name);
	unsigned long value = text ? strtoul(text, NULL, 10) : 0;

	return value && value < 65536 ? (unsigned)value : otherwise;
}

// Cooked, as a login would leave it.
static void set_terminal(int fd, const struct params *params)
{
	struct termios mode;

	if (tcgetattr(fd, &mode) < 0)
		return;
	mode.c_iflag |= BRKINT | ICRNL | IXON;
	mode.c_oflag |= OPOST | ONLCR;
	mode.c_lflag |= ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
	tcsetattr(fd, TCSANOW, &mode);
	child_set_size(fd, number(params, "sci_lines", ROWS),
		       number(params, "sci_columns", COLUMNS));
}

static void set_term(const struct params *params)
{
	const char *term = params_get(params, "sci_term"), *kernels = getenv("TERM");

	if (term)
		setenv("TERM", term, 1);
	else if (!kernels || streq(kernels, "linux"))
		setenv("TERM", "xterm", 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
	setenv("HOME", "/root", 1);
	unsetenv("run");
}

// /dev/console can't be a controlling terminal by being opened; what is behind it can.
static int open_console(void)
{
	cleanup_fd int list = open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC);
	char names[128] = "";
	cleanup_free char *path = NULL;
	const char *last;
	int fd;

	if (list >= 0 && read(list, names, sizeof(names) - 1) < 0)
		return -1;
	names[strcspn(names, "\n")] = '\0';
	last = strrchr(names, ' ');
	path = xasprintf("/dev/%s", last ? last + 1 : names);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? open("/dev/console", O_RDWR | O_CLOEXEC) : fd;
}

static __attribute__((noreturn)) void become(int tty, char **argv)
{
	setsid();
	if (tty >= 0) {
		ioctl(tty, TIOCSCTTY, 1);
		child_take_stdio(tty);
	}
	child_reset_signals();
	execvp(argv[0], argv);
	say("cannot run %s: %s", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

// Waits for one process, and reaps all others meanwhile.
static void wait_for(pid_t pid)
{
	pid_t ended;

	if (pid < 0) {
		say("cannot start a process: %s", strerror(errno));
		return;
	}
	do
		ended = waitpid(-1, NULL, 0);
	while (ended != pid && (ended > 0 || errno == EINTR));
}

// ONLCR and echo of the console are the pilot's view of the program's output.
static void run_on_console(const struct params *params, const char *line)
{
	cleanup_strv struct strv words = { 0 };
	cleanup_fd int tty = -1;
	pid_t pid;

	if (words_split(&words, line) < 0 || !words.n) {
		say("cannot understand run=%s", line);
		return;
	}
	tty = open_console();
	set_term(params);
	set_terminal(tty, params);
	pid = fork();
	if (pid == 0)
		become(tty, words.v);
	wait_for(pid);
	if (tty >= 0)
		tcdrain(tty);
}

// Reads a line to its end; returns false for none: a caller that only asks whether we are there.
static bool read_line(int fd, char *line, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size - 1 && (got = read(fd, line + n, size - 1 - n)) != 0) {
		if (got < 0 && errno != EINTR)
			return false;
		n += got > 0 ? (size_t)got : 0;
	}
	line[n] = '\0';
	return n > 0;
}

// Moves what is there from one to the other; false: that was all.
static bool copy(int from, int to)
{
	static char buffer[BUFFER];
	ssize_t n = read(from, buffer, sizeof(buffer));

	if (n < 0 && errno == EINTR)
		return true;
	return n > 0 && write_fd_all(to, buffer, (size_t)n) == 0;
}

// Raw bytes both ways, until the program's terminal or the caller is gone.
static void relay(int peer, int master)
{
	struct pollfd fds[2] = { { .fd = peer, .events = POLLIN },
				 { .fd = master, .events = POLLIN } };

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents && !copy(master, peer))
			return;
		if (fds[0].revents && !copy(peer, master))
			return;
	}
}

// One call, in a process of its own.
static void run_call(const struct params *params, struct strv *words, unsigned port)
{
	struct request request = { .tty = true };
	struct child child;
	int peer = transport_connect(port);

	if (peer < 0) {
		say("cannot connect to port %u of the host: %s", port, strerror(errno));
		return;
	}
	request.args = *words;
	request.rows = number(params, "sci_lines", ROWS);
	request.columns = number(params, "sci_columns", COLUMNS);
	set_term(params);
	strv_pushf(&request.env, "TERM=%s", getenv("TERM"));
	if (child_start(&request, &child) < 0) {
		say("cannot start a process: %s", strerror(errno));
		return;
	}
	fcntl(child.in, F_SETFL, 0);
	set_terminal(child.in, params);
	relay(peer, child.in);
	close(child.in);
	close(child.out[0]);
	kill(-child.pid, SIGHUP);
	waitpid(child.pid, NULL, 0);
}

// Starts the call of a line; returns its process, -1: there is none.
static pid_t take_line(const struct params *params, char *line)
{
	cleanup_strv struct strv words = { 0 };
	unsigned long port;
	char *end;
	pid_t pid;

	if (words_split(&words, line) < 0 || words.n < 2) {
		say("cannot understand a command");
		return -1;
	}
	port = strtoul(words.v[words.n - 1], &end, 10);
	if (*end || port == 0 || port > UINT32_MAX) {
		say("cannot understand a command without port");
		return -1;
	}
	free(words.v[--words.n]);
	words.v[words.n] = NULL;
	pid = fork();
	if (pid == 0) {
		run_call(params, &words, (unsigned)port);
		_exit(0);
	}
	return pid;
}

// A caller that says nothing for long holds nobody up for ever.
static void set_patience(int fd)
{
	struct timeval patience = { .tv_sec = 5 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void run_lines(const struct params *params)
{
	bool stay = params_get(params, "sci_resume");
	cleanup_fd int listener = transport_listen(CHANNEL_PORT);
	static char line[LINE];

	if (listener < 0) {
		say("cannot listen on vsock port %d: %s", CHANNEL_PORT, strerror(errno));
		return;
	}
	for (;;) {
		cleanup_fd int fd = transport_accept(listener, 0);
		pid_t pid;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			return;
		if (fd < 0)
			continue;
		set_patience(fd);
		if (!read_line(fd, line, sizeof(line)))
			continue;
		close_fd(&fd);
		pid = take_line(params, line);
		if (pid < 0 || stay)
			continue;
		wait_for(pid);
		return;
	}
}

// Ended children are reaped while accept() waits.
static void on_child(int sig)
{
	(void)sig;
}

void legacy_run(const struct params *params)
{
	const char *run = params_get(params, "run");
	struct sigaction action = { .sa_handler = on_child };

	if (!run) {
		say("there is nothing to run");
		return;
	}
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGCHLD, &action, NULL);
	if (streq(run, "vsock") || params_get(params, "sci_resume") ||
	    params_get(params, "sci_force_vsock"))
		run_lines(params);
	else
		run_on_console(params, run);
}
