// SPDX-License-Identifier: MIT
#include "firecracker_snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "firecracker_api.h"
#include "firecracker_snapshot_files.h"
#include "util.h"

enum {
	LOAD_SECONDS = 60,
	REACH_MS = 15000,  // for a restored guest to answer
	ATTEMPT_MS = 1000, // the first time
	LATER_MS = 2,	   // until the first attempt that follows one
};

static int open_part(int dir, const char *name, uint64_t bytes)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size ||
	    (bytes && (uint64_t)st.st_size != bytes))
		return -1;
	return steal_fd(&fd);
}

static bool open_in(struct snapshot *saved, int storage, const char *name,
		    const struct machine *machine)
{
	cleanup_fd int dir = openat(storage, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return false;
	saved->state = open_part(dir, SNAPSHOT_STATE, 0);
	saved->memory = open_part(dir, SNAPSHOT_MEMORY, (uint64_t)machine->mem << 20);
	if (machine->overlay)
		saved->overlay = open_part(dir, SNAPSHOT_OVERLAY, machine->overlay);
	return saved->state >= 0 && saved->memory >= 0 &&
	       (saved->overlay >= 0) == (machine->overlay > 0);
}

bool vm_snapshot_open(struct snapshot *saved, const struct plan *plan,
		      const struct machine *machine, const char *mac)
{
	cleanup_free char *name = snapshot_name(plan, machine, mac);
	cleanup_fd int first = plan->own || !name ? -1 : vm_storage_system();
	cleanup_fd int second = -1;

	if (first >= 0 && open_in(saved, first, name, machine))
		return true;
	vm_snapshot_close(saved);
	second = name ? vm_storage(NULL, NULL) : -1;
	if (second >= 0 && open_in(saved, second, name, machine))
		return true;
	vm_snapshot_close(saved);
	return false;
}

void vm_snapshot_close(struct snapshot *saved)
{
	int *const all[] = { &saved->state, &saved->memory, &saved->overlay };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i] >= 0)
			close(steal_fd(all[i]));
}

static int load(struct vm *vm, const char *dir, struct error *err)
{
	cleanup_node struct node *body = node_new(NODE_MAP);
	struct node *memory = node_new(NODE_MAP);

	api_add(memory, "backend_type", "File");
	api_add(memory, "backend_path", VM_MEMORY);
	api_add(body, "snapshot_path", VM_STATE);
	node_add(body, xstrdup("mem_backend"), memory);
	node_add(body, xstrdup("resume_vm"), node_scalar("true", strlen("true"), true));
	return api_request(vm, dir, "PUT /snapshot/load", body, LOAD_SECONDS, err);
}

// One attempt to reach the guest: it is through when the guest says something. -1: it isn't.
static int attempt(struct vm *vm, const char *dir, int ms)
{
	cleanup_fd int fd = vm_dial(dir, VM_SOCKET, NULL);
	char first;

	if (fd < 0 || vm_ask_for_port(vm, fd, ms, NULL) < 0 || !vm_wait(vm, fd, ms) ||
	    recv(fd, &first, 1, MSG_PEEK) != 1)
		return -1;
	return steal_fd(&fd);
}

// A guest that was just restored still cuts off the connections that it had when it was saved, and
// may take a new one for one of those: we wait a little longer every time.
static int reach(struct vm *vm, const char *dir, struct error *err)
{
	long long limit = vm_now() + REACH_MS;
	int patience = ATTEMPT_MS, pause = LATER_MS;

	while (vm_now() < limit) {
		int fd = attempt(vm, dir, patience);

		if (fd >= 0)
			return fd;
		if (vm_is_over(vm) || vm_is_interrupted(vm))
			break;
		vm_wait(vm, -1, pause);
		patience *= 2;
		pause *= 2;
	}
	error_set(err, ERR_TIMEOUT, "the restored guest does not answer");
	return vm_explain(vm, err);
}

int vm_snapshot_restore(struct vm *vm, const struct plan *plan, const struct machine *machine,
			const struct vm_place *place, const struct snapshot *saved,
			struct error *err)
{
	cleanup_fd int overlay = -1;
	struct vm_fds fds = { .config = saved->state, .channel = saved->memory };

	if (machine->overlay) {
		overlay = vm_overlay_of(saved->overlay, machine->overlay, err);
		if (overlay < 0)
			return -1;
	}
	fds.overlay = overlay;
	if (vm_start(vm, &plan->argv, &fds, place->dir, err) < 0 || load(vm, place->dir, err) < 0)
		return -1;
	return reach(vm, place->dir, err);
}
