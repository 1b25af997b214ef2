// SPDX-License-Identifier: MIT
// The caller's terminal while an application elsewhere has it.
#pragma once

#include <stdbool.h>
#include <termios.h>

// Zero-initialise, fd to -1.
struct terminal {
	int fd;
	struct termios saved;
};

// Lets every key through as it is. Nothing to do if fd is no terminal.
void terminal_raw(struct terminal *terminal, int fd);
// The same again, after we were stopped.
void terminal_again(const struct terminal *terminal);
void terminal_restore(struct terminal *terminal);
#define cleanup_terminal __attribute__((cleanup(terminal_restore)))

// Rows and columns of the terminal at fd; 24 and 80 if it does not know.
void terminal_size(int fd, unsigned *rows, unsigned *columns);

// May we read from fd: no terminal, or one whose foreground is ours?
bool terminal_is_ours(int fd);
