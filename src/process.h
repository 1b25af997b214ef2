// SPDX-License-Identifier: MIT
// Child processes from argument vectors; never a shell.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "error.h"

// What to start. Members that are NULL (or -1 in fds) mean: as this process.
struct process_spec {
	const char *const *argv; // argv[0] without a slash is looked up in PATH
	const char *const *env;
	const char *cwd;
	const char *user; // name of a passwd entry; its uid, gid and groups
	int fds[3];	  // become 0, 1, 2
};

// How it ended: exit status in code, or the signal that killed it (then code is -1).
struct process_status {
	int code;
	int signal;
};

// The program's path as execvp would find it; NULL with ENOENT or EACCES. Caller frees.
char *process_which(const char *name, struct error *err);

// Hands a signal on to the child that run or supervise waits for, if there is one.
// Async-signal-safe: for the host's signal handler.
void process_pass_on(int sig);
// A signal that process_pass_on gets from here on goes to the child that is served next, if none is
// served now. process_start calls it: what came before the start is not for that child.
void process_pass_on_from_now(void);

// Default signal dispositions and an empty signal mask. Async-signal-safe: for children after fork.
void process_default_signals(void);

// Starts a child with default signal dispositions and an empty signal mask. A program that cannot
// be executed is an error here, not an exit status.
int process_start(const struct process_spec *spec, pid_t *pid, struct error *err);

// Becomes the program; returns only on failure.
int process_exec(const struct process_spec *spec, struct error *err);

// Reaps a child. timeout in seconds, negative: forever; ERR_TIMEOUT leaves it running.
int process_wait(pid_t pid, double timeout, struct process_status *out, struct error *err);

// Starts a child and stays as its parent until it ends: signals that were sent to us go on to it
// (those of the terminal reach it by themselves), and we stop when it stops.
int process_supervise(const struct process_spec *spec, struct process_status *out,
		      struct rusage *usage, struct error *err);

// The same for a child of this program: it calls work(data), whose value is its exit code. With us
// it dies, too.
int process_supervise_call(int (*work)(void *data), void *data, struct process_status *out,
			   struct rusage *usage, struct error *err);

// SIGTERM, up to grace seconds of patience, SIGKILL; reaps.
void process_end(pid_t pid, double grace, struct process_status *out);

// Output as it grows.
struct process_text {
	char *text;
	size_t len, cap;
};

// A running child whose pipes are being served. Zero-initialise, fds to -1.
struct process_talk {
	pid_t pid;
	int in, out, err; // our ends; -1: none
	const char *input;
	size_t input_len;
	size_t limit;	// bytes of out + err together
	double timeout; // seconds, <= 0: none
	struct process_text out_text, err_text;
	struct process_status status;
	bool timed_out;
	bool reaped;
};

// Feeds input, collects output and reaps. ERR_LIMIT: too much output, the child was killed.
int process_communicate(struct process_talk *talk, struct error *err);

// Writes everything; a reader that is gone is EPIPE, never SIGPIPE.
int process_write_all(int fd, const char *data, size_t len, struct error *err);

// Runs a program with /dev/null as stdin; what it writes to stdout goes to *out (may be NULL; at
// most 1 MiB), its errors to stderr or, quiet, nowhere. Returns its exit code, 128+N for signal N,
// or -1.
int process_output(const char *const *argv, bool quiet, char **out, struct error *err);

// Closes pipes, kills and reaps a child that still runs, frees the texts.
void process_talk_end(struct process_talk *talk);
