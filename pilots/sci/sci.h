// SPDX-License-Identifier: MIT
// sci as process 1 of a VM: what its areas offer each other.
#pragma once

#include "params.h"
#include "serve.h"

// A line on the console.
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// With sci_trace=1: how long the kernel and sci have run until here.
void trace(const char *phase);
void trace_from_here(bool on);

// --- boot.c, mounts.c: file systems --------------------------------------------------------------

// The file systems that every process expects. Early: what sci itself needs (/dev, /proc, /sys).
void mounts_early(void);
void mounts_late(void);

// Makes the root file system of the VM be /, with all changes on top of it. Returns -1: it is not
// fit, *why says why (owned).
int root_set_up(const struct params *params, char **why);

// Nothing that was written is lost when the VM ends now.
void root_close(void);

// --- modules.c -----------------------------------------------------------------------------------

// Loads a kernel module and what it needs, with its parameters on the command line. One that is not
// there is taken to be part of the kernel.
void module_load(const struct params *params, const char *name);

// The modules that this command line needs.
void modules_load(const struct params *params);

// --- wait.c --------------------------------------------------------------------------------------

// Waits until ready() says so, looking each time the kernel tells of a device. Returns false when
// that took too long.
bool wait_for_device(bool (*ready)(const void *arg), const void *arg, int milliseconds);

// --- net.c, transport.c, legacy.c, power.c -------------------------------------------------------

// Loopback, host name, address, name servers.
void net_set_up(const struct params *params);

// Opens the streams of the channel. Returns -1 when there is none.
int transport_open(struct serve *serve, const struct params *params);

// A vsock stream to a port of the host; -1 with errno set.
int transport_connect(unsigned port);
int transport_listen(unsigned port);
// Takes a caller that is the host: programs of the VM, which may be anybody's, are not to command
// sci. -1 with errno set; ECONNABORTED: it was somebody else.
int transport_accept(int listener, int flags);

// What pilots of the older tools ask for; returns when it is done.
void legacy_run(const struct params *params);

// Ends all processes but this one.
void power_end_processes(void);

// Ends the VM.
__attribute__((noreturn)) void power_off(void);

// A fault of sci itself ends the VM, with what was written to its disks.
void power_catch_faults(void);
