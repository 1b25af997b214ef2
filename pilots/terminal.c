// SPDX-License-Identifier: MIT
#include "terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

void terminal_raw(struct terminal *terminal, int fd)
{
	if (tcgetattr(fd, &terminal->saved) < 0)
		return;
	terminal->fd = fd;
	terminal_again(terminal);
}

void terminal_again(const struct terminal *terminal)
{
	struct termios raw = terminal->saved;

	if (terminal->fd < 0)
		return;
	cfmakeraw(&raw);
	tcsetattr(terminal->fd, TCSADRAIN, &raw);
}

void terminal_restore(struct terminal *terminal)
{
	if (terminal->fd >= 0)
		tcsetattr(terminal->fd, TCSADRAIN, &terminal->saved);
	terminal->fd = -1;
}

void terminal_size(int fd, unsigned *rows, unsigned *columns)
{
	struct winsize size = { 0 };

	ioctl(fd, TIOCGWINSZ, &size);
	*rows = size.ws_row ? size.ws_row : 24;
	*columns = size.ws_col ? size.ws_col : 80;
}

bool terminal_is_ours(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	return foreground < 0 || foreground == getpgrp();
}
