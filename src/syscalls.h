// SPDX-License-Identifier: MIT
// System calls that not every libc wraps: pidfd_open and pidfd_send_signal came with glibc 2.36
// (Ubuntu 22.04 has 2.35, RHEL 9 has 2.34), musl lacks all of these. Errors come in errno. The
// numbers are the kernel headers' (__NR_…): a libc has its own (SYS_…) for older calls only.
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

// The kernel's own numbers (linux/fs.h, linux/close_range.h): these headers clash with glibc's.
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

// A descriptor of the process, closed on exec; poll finds it readable once the process has ended.
static inline int sys_pidfd_open(pid_t pid)
{
	return (int)syscall(__NR_pidfd_open, pid, 0);
}

static inline int sys_pidfd_signal(int pidfd, int sig)
{
	return (int)syscall(__NR_pidfd_send_signal, pidfd, sig, NULL, 0);
}

// Closes the descriptors from first to last, both included, or marks them for the next exec.
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(__NR_close_range, first, last, flags);
}

// Each of the two paths names the other's file afterwards, in one step.
static inline int sys_exchange(const char *a, const char *b)
{
	return (int)syscall(__NR_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

// write(2) that fails with EAGAIN where it would wait. The offset of -1 is the file's own.
static inline ssize_t sys_write_nowait(int fd, void *data, size_t len)
{
	struct iovec piece = { data, len };

	return syscall(__NR_pwritev2, fd, &piece, 1UL, -1L, -1L, RWF_NOWAIT);
}
