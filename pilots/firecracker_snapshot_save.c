// SPDX-License-Identifier: MIT
// Makes what firecracker_snapshot.c restores.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "channel.h"
#include "firecracker_api.h"
#include "firecracker_snapshot_files.h"
#include "firecracker_snapshot.h"
#include "state.h"
#include "util.h"

enum { BOOT_MS = 120000, PAUSE_SECONDS = 30, CREATE_SECONDS = 600 };

// The guest is idle when it has said hello: it waits for calls.
static int wait_for_guest(struct vm *vm, int listener, struct error *err)
{
	cleanup_fd int channel = -1;
	int version;

	if (vm_wait(vm, listener, BOOT_MS))
		channel = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	version = channel < 0 ? -1 : vm_hello(vm, channel, BOOT_MS, NULL);
	if (version >= CHANNEL_SEEDS)
		return 0;
	if (version >= 0)
		return error_set(err, ERR_FLAKE,
				 "the init of the image is older than what a saved VM needs: its "
				 "calls would draw the same random numbers; make the image anew");
	error_set(err, ERR_FLAKE, "the VM to be saved did not come up");
	return vm_explain(vm, err);
}

static int pause_vm(struct vm *vm, const char *dir, struct error *err)
{
	cleanup_node struct node *body = node_new(NODE_MAP);

	api_add(body, "state", "Paused");
	return api_request(vm, dir, "PATCH /vm", body, PAUSE_SECONDS, err);
}

static int create(struct vm *vm, const char *dir, const char *target, struct error *err)
{
	cleanup_node struct node *body = node_new(NODE_MAP);
	cleanup_free char *state = xasprintf("%s/" SNAPSHOT_STATE, target);
	cleanup_free char *memory = xasprintf("%s/" SNAPSHOT_MEMORY, target);

	api_add(body, "snapshot_type", "Full");
	api_add(body, "snapshot_path", state);
	api_add(body, "mem_file_path", memory);
	return api_request(vm, dir, "PUT /snapshot/create", body, CREATE_SECONDS, err);
}

// The overlay as it will be saved.
static int make_overlay(const struct plan *plan, const struct machine *machine, const char *target,
			struct error *err)
{
	cleanup_free char *path = xasprintf("%s/" SNAPSHOT_OVERLAY, target);
	cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_set(err, errno, "cannot make %s", path);
	return vm_overlay_fill(fd, plan, machine, err) < 0 ? -1 : steal_fd(&fd);
}

static int start(struct vm *vm, const struct plan *plan, const struct machine *machine,
		 const struct vm_place *place, const char *mac, const char *target,
		 struct error *err)
{
	cleanup_strv struct strv argv = { 0 };
	cleanup_free char *description = machine_config(machine, mac);
	cleanup_fd int config = vm_memory_with(description, err), overlay = -1;
	struct vm_fds fds = { .channel = -1, .config = config };

	if (config < 0)
		return -1;
	if (machine->overlay) {
		overlay = make_overlay(plan, machine, target, err);
		if (overlay < 0)
			return -1;
	}
	fds.overlay = overlay;
	machine_argv(machine, mac, &argv);
	return vm_start(vm, &argv, &fds, place->dir, err);
}

// From the start of the engine to its end.
static int save_into(const char *target, const struct plan *plan, const struct machine *machine,
		     struct vm_place *place, const char *mac, struct error *err)
{
	cleanup_vm struct vm vm = { VM_NONE, .debug = plan->debug };
	cleanup_fd int lock = -1, listener = -1;
	int rc = -1;

	if (vm_directory(place, &lock, err) < 0)
		return -1;
	listener = vm_listener(place->dir, VM_SOCKET_GUEST, err);
	if (listener >= 0 && start(&vm, plan, machine, place, mac, target, err) == 0 &&
	    wait_for_guest(&vm, listener, err) == 0 && pause_vm(&vm, place->dir, err) == 0 &&
	    create(&vm, place->dir, target, err) == 0)
		rc = 0;
	vm_end(&vm);
	vm_directory_remove(place->dir);
	return rc;
}

int vm_snapshot_save(const struct plan *plan, struct machine *machine, struct vm_place *place,
		     const char *mac, struct error *err)
{
	cleanup_fd int lock = state_lock(place->state, place->key, err), dir = -1;
	cleanup_free char *storage = NULL, *name = NULL, *target = NULL;
	cleanup_free char *state = state_name(plan->flake, plan->own);

	if (lock < 0)
		return -1;
	vm_collect(place);
	dir = vm_storage(&storage, err);
	if (dir < 0)
		return -1;
	name = snapshot_name(plan, machine, mac);
	target = name ? snapshot_begin(storage, name, err) : NULL;
	if (!target)
		return name ? -1
			    : error_set(err, ERR_LIMIT, "the kernel's command line is too long");
	if (save_into(target, plan, machine, place, mac, err) == 0 &&
	    snapshot_finish(storage, name, state, err) == 0)
		return 0;
	vm_directory_remove(target);
	return -1;
}
