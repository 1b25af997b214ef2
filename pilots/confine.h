// SPDX-License-Identifier: MIT
// What stays of a pilot beside its VM talks with a guest, which may be anybody's. It gives up all
// that it does not need for that: rights that a program could give it, capabilities, system calls.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

// From now on this process can read and write what is open, read files, end the process `engine`
// (0: none) and, with `clears`, remove files; nothing of it starts a program or opens a socket. A
// call of the kernel that is not among these ends it with 125 and a line on standard error.
int confine(pid_t engine, bool clears, struct error *err);

// For valgrind, whose own system calls would count: no filter in this process and its children.
void confine_without_filter(void);
