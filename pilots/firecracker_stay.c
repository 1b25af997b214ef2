// SPDX-License-Identifier: MIT
// VMs that stay for later calls. Beside each lives a small process of ours, its holder: it is the
// engine's parent, records the instance, serves the calls (QEMU) and clears up.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "channel.h"
#include "confine.h"
#include "firecracker_place.h"
#include "process.h"
#include "state.h"
#include "syscalls.h"
#include "util.h"

enum { HELLO_MS = 120000 };

struct holder {
	const struct plan *plan;
	const struct strv *argv; // of the engine
	const struct machine *machine;
	struct vm_place *place;
	struct vm vm;
	int channel, listener; // of the guest; of calls
	int changes;	       // of the state directory
};

bool vm_runs(const struct vm_place *place, const struct plan *plan)
{
	cleanup_instance struct instance instance = { 0 };

	return instance_load(place->state, place->key, &instance) > 0 && instance.definition &&
	       streq(instance.definition, plan->definition);
}

static int not_up(struct holder *h, struct error *err)
{
	error_set(err, ERR_FLAKE, "the VM of flake '%s' did not come up", h->plan->flake);
	return vm_explain(&h->vm, err);
}

static int take_hello(struct holder *h, struct error *err)
{
	return vm_hello(&h->vm, h->channel, HELLO_MS, NULL) < 0 ? not_up(h, err) : 0;
}

static int boot_qemu(struct holder *h, struct error *err)
{
	cleanup_fd int theirs = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(err, errno, "cannot make the channel");
	h->channel = ends[0];
	theirs = ends[1];
	h->listener = vm_listener(h->place->dir, VM_SWITCH, err);
	if (h->listener < 0 ||
	    vm_boot(&h->vm, h->plan, h->machine, h->place, h->argv, theirs, err) < 0)
		return -1;
	close(steal_fd(&theirs));
	return take_hello(h, err);
}

static int boot_firecracker(struct holder *h, struct error *err)
{
	cleanup_fd int listener = vm_listener(h->place->dir, VM_SOCKET_GUEST, err);

	if (listener < 0 || vm_boot(&h->vm, h->plan, h->machine, h->place, h->argv, -1, err) < 0)
		return -1;
	if (!vm_wait(&h->vm, listener, HELLO_MS))
		return not_up(h, err);
	h->channel = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return h->channel < 0 ? not_up(h, err) : take_hello(h, err);
}

static int record(struct holder *h, struct error *err)
{
	bool qemu = h->machine->engine == VM_QEMU;
	cleanup_free char *flake = state_name(h->plan->flake, h->plan->own);
	struct instance instance = {
		.id = (char *)(qemu ? "qemu" : "firecracker"),
		.definition = h->plan->definition,
		.flake = flake,
		.name = h->plan->instance,
		.pid = getpid(),
		.start = instance_start_time(getpid()),
	};
	cleanup_free char *socket = xasprintf("%s/%s", h->place->dir, qemu ? VM_SWITCH : VM_SOCKET);

	instance.runtime = socket;
	return instance_save(h->place->state, h->place->key, &instance, err);
}

// Is there no way to us any more? The directory of the state goes when its user has left the host,
// and the VM would be nobody's, with the disk that the next one needs.
static bool is_forgotten(void *data)
{
	const struct holder *h = data;
	cleanup_instance struct instance instance = { 0 };
	char events[4096];

	while (read(h->changes, events, sizeof(events)) > 0)
		;
	return instance_tells(NULL) == 0 &&
	       (instance_load(h->place->state, h->place->key, &instance) <= 0 ||
		instance.pid != getpid());
}

static void watch_state(struct holder *h)
{
	h->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (h->changes >= 0)
		inotify_add_watch(h->changes, h->place->state_path,
				  IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
}

static void ask_to_end(int channel)
{
	struct channel_buffer out = { 0 };

	channel_put(&out, CHANNEL_SHUTDOWN, 0, 0, NULL, 0);
	(void)send(channel, out.data, channel_pending(&out), MSG_NOSIGNAL | MSG_DONTWAIT);
	free(out.data);
}

// Firecracker serves calls itself: we only see to what it says, and to its end.
static void watch(struct holder *h)
{
	struct pollfd on[] = { { .fd = h->vm.console, .events = POLLIN },
			       { .fd = h->vm.pidfd, .events = POLLIN },
			       { .fd = h->changes, .events = POLLIN } };

	while (poll(on, 3, -1) >= 0 || errno == EINTR) {
		if (on[0].revents && !vm_listen(&h->vm))
			on[0].fd = -1;
		if (on[1].revents)
			return;
		if (on[2].revents && is_forgotten(h)) {
			ask_to_end(h->channel);
			on[2].fd = -1;
		}
	}
}

static void say(int to, const char *text)
{
	write_fd_all(to, text, strlen(text));
	close(to);
}

static pid_t engine;

// Who ends a holder that does not answer: the engine does not outlive it.
static void on_term(int sig)
{
	(void)sig;
	if (engine > 0) {
		kill(engine, SIGKILL);
		waitpid(engine, NULL, 0);
	}
	_exit(1);
}

// The holder's life. The lock of the instance is held until it is recorded.
static void hold(struct holder *h, int tell, int lock)
{
	cleanup_error struct error err = { 0 };
	struct vm_notice notice = { .fd = -1, .ended = is_forgotten, .data = h };
	bool qemu = h->machine->engine == VM_QEMU;
	int alive = -1, rc = vm_directory(h->place, &alive, &err);

	watch_state(h);
	notice.fd = h->changes;
	if (rc == 0)
		rc = qemu ? boot_qemu(h, &err) : boot_firecracker(h, &err);
	if (rc == 0)
		rc = record(h, &err);
	engine = h->vm.pid;
	signal(SIGTERM, on_term);
	if (rc == 0)
		rc = confine(engine, true, &err);
	close(lock);
	say(tell, rc == 0 ? "" : err.message);
	if (rc == 0 && qemu)
		switch_run(&h->vm, h->channel, h->listener, &notice);
	else if (rc == 0)
		watch(h);
	// Another's record may be there now.
	if (rc == 0 && !is_forgotten(h))
		instance_forget(h->place->state, h->place->key);
	signal(SIGTERM, SIG_IGN);
	vm_end(&h->vm);
	vm_directory_remove(h->place->dir);
}

static int order(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

// All descriptors from 3 on but these.
static void close_others(int *kept, size_t n)
{
	unsigned from = 3;

	qsort(kept, n, sizeof(*kept), order);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned)kept[i] > from)
			sys_close_range(from, (unsigned)kept[i] - 1, 0);
		from = (unsigned)kept[i] + 1;
	}
	sys_close_range(from, ~0U, 0);
}

// It is nobody's child and has nothing of the caller: no terminal, no pipe, no lock.
static void become_holder(struct holder *h, int tell, int lock)
{
	int kept[] = { tell, lock, h->place->state };
	int null;

	if (fork() != 0)
		_exit(0);
	setsid();
	process_default_signals();
	signal(SIGPIPE, SIG_IGN);
	close_others(kept, sizeof(kept) / sizeof(kept[0]));
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (chdir("/") == 0)
		hold(h, tell, lock);
	_exit(0);
}

static int start(struct holder *h, int lock, struct error *err)
{
	cleanup_free char *text = NULL;
	cleanup_fd int hear = -1;
	int ends[2];
	size_t len;
	pid_t pid;

	// It ran when the plan was made.
	if (h->machine->engine == VM_FIRECRACKER && !h->plan->process)
		return error_set(err, ERR_FLAKE, "the VM of flake '%s' has just ended",
				 h->plan->flake);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set(err, errno, "cannot start the VM of flake '%s'", h->plan->flake);
	hear = ends[0];
	pid = fork();
	if (pid == 0)
		become_holder(h, ends[1], lock);
	close(ends[1]);
	if (pid < 0)
		return error_set(err, errno, "cannot start the VM of flake '%s'", h->plan->flake);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (read_fd_all(hear, 65536, &text, &len, err) < 0)
		return -1;
	if (len)
		return error_set(err, ERR_FLAKE, "%s", text);
	return vm_runs(h->place, h->plan)
		       ? 0
		       : error_set(err, ERR_FLAKE, "the VM of flake '%s' ended at once",
				   h->plan->flake);
}

// Of the plan; it has none if the VM ran when the plan was made.
static void engine_argv(const struct plan *plan, const struct machine *machine, const char *key,
			struct strv *argv)
{
	cleanup_free char *mac = machine_mac(key);

	if (plan->start.n)
		strv_append(argv, &plan->start);
	else
		machine_argv(machine, mac, argv);
}

int vm_stay(const struct plan *plan, const struct machine *machine, struct vm_place *place,
	    struct error *err)
{
	cleanup_strv struct strv argv = { 0 };
	struct holder h = { .plan = plan,
			    .argv = &argv,
			    .machine = machine,
			    .place = place,
			    .vm = { VM_NONE },
			    .channel = -1,
			    .listener = -1,
			    .changes = -1 };
	cleanup_instance struct instance instance = { 0 };
	cleanup_fd int lock = -1;

	if (!vm_runs(place, plan)) {
		lock = state_lock(place->state, place->key, err);
		if (lock < 0)
			return -1;
		vm_collect(place);
		engine_argv(plan, machine, place->key, &argv);
		if (!vm_runs(place, plan) &&
		    (vm_stop_locked(place->state, place->key, err) < 0 || start(&h, lock, err) < 0))
			return -1;
	}
	if (instance_load(place->state, place->key, &instance) <= 0 || !instance.runtime)
		return error_set(err, ERR_FLAKE, "the VM of flake '%s' ended at once", plan->flake);
	free(place->socket);
	place->socket = xstrdup(instance.runtime);
	return 0;
}
