// SPDX-License-Identifier: MIT
// sci: process 1 of VM flakes, as init= of a root file system or as /init of an initramfs. Static.
//
// sci --serve FD serves one channel (doc/channel.md) on an inherited descriptor, as an ordinary
// process that mounts nothing: for tests, and for the stand-in for Firecracker that tests use.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sci.h"
#include "util.h"

// An initramfs without /dev/console leaves process 1 with no files at all.
static void take_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);

	if (fd < 0)
		open_standard_fds(O_RDWR);
	if (fd < 0)
		return;
	child_take_stdio(fd);
	if (fd > 2)
		close(fd);
}

static void serve_vm(struct serve *serve, const struct params *params)
{
	serve->server.vm = true;
	serve->server.stay = !serve->server.failed && params_true(params, "sci_resume");
	if (serve_open(serve) < 0 || transport_open(serve, params) < 0) {
		say("no channel to the host");
		return;
	}
	trace("serving");
	serve_loop(serve);
	trace("over");
}

static void run_vm(const struct params *params)
{
	static struct serve serve;
	cleanup_free char *why = NULL;
	bool channel = params_get(params, "sci_channel");

	if (root_set_up(params, &why) < 0) {
		say("%s", why);
		serve.server.failed = why;
	}
	trace("root");
	if (!why) {
		mounts_late();
		net_set_up(params);
		trace("set up");
	}
	if (channel)
		serve_vm(&serve, params);
	else if (!why)
		legacy_run(params);
	power_end_processes();
	trace("ended");
	root_close();
	trace("closed");
	serve_bye(&serve);
	power_off();
}

int main(int argc, char **argv)
{
	struct rlimit files = { 1024, 524288 };
	static struct params params;

	if (argc == 3 && streq(argv[1], "--serve"))
		return serve_descriptor(atoi(argv[2]));
	if (getpid() != 1) {
		fputs("sci: is for process 1 of a VM; sci --serve FD is for tests\n", stderr);
		return 2;
	}
	power_catch_faults();
	umask(022);
	setrlimit(RLIMIT_NOFILE, &files);
	mounts_early();
	take_console();
	params_read(&params);
	trace_from_here(params_get(&params, "sci_trace") != NULL);
	trace("started");
	run_vm(&params);
}
