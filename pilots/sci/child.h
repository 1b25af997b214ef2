// SPDX-License-Identifier: MIT
// The program of a session: how it is asked for, and its start.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "strv.h"

struct request {
	struct strv args, env;
	char *cwd; // NULL: /
	uint32_t uid, gid;
	bool user; // uid and gid are said
	bool tty;
	unsigned rows, columns;
};

void request_free(struct request *request);

// A program that runs, and our ends of its streams: not blocking, -1: there is none.
struct child {
	pid_t pid;
	int in, out[2]; // with a terminal in and out[0] are its master
	int status;	// what child_failure() reads
};

// Starts a program as leader of a session and process group of its own. Returns -1 with errno set
// when that fails before its process is there.
int child_start(const struct request *request, struct child *child);

// Why the process of a child that has ended never became the program: its exit status, and the
// message in text; 0: it did.
int child_failure(const struct child *child, char *text, size_t size);

// Descriptors 0 to 2 become fd.
void child_take_stdio(int fd);

// All signals as a program expects them.
void child_reset_signals(void);

void child_set_size(int tty, unsigned rows, unsigned columns);
