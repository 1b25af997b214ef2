// SPDX-License-Identifier: MIT
// The engine of VM flakes.
#include "firecracker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "confine.h"
#include "firecracker_place.h"
#include "firecracker_snapshot.h"
#include "printable.h"
#include "state.h"
#include "util.h"

static bool is_interface(const char *name)
{
	cleanup_free char *path = xasprintf("/sys/class/net/%s", name);

	return !strchr(name, '/') && access(path, F_OK) == 0;
}

// The tap of this instance: the definition's, or by its name. Caller frees.
static char *find_tap(const struct machine *machine, const struct plan *plan)
{
	cleanup_free char *name = plan->instance ? xasprintf("%s@%s", plan->flake, plan->instance)
						 : xstrdup(plan->flake);

	return machine->tap && !plan->instance ? xstrdup(machine->tap) : machine_tap(name);
}

// Firecracker has no other network than a tap, QEMU has one of its own.
static int check_network(struct machine *machine, char **tap, const struct plan *plan,
			 struct error *err)
{
	if (!machine->network)
		return 0;
	*tap = find_tap(machine, plan);
	machine->tap = is_interface(*tap) ? *tap : NULL;
	if (machine->tap || machine->engine == VM_QEMU)
		return 0;
	return error_set(err, ERR_FLAKE,
			 "flake '%s' needs the network device %s; as root: ip tuntap add %s mode "
			 "tap user NAME && ip link set %s up; or register it with --no-net",
			 plan->flake, *tap, *tap, *tap);
}

// Reads the machine and all that depends on the state of the host.
static int open_machine(struct machine *machine, char **tap, const struct plan *plan,
			struct error *err)
{
	if (machine_read(machine, plan, err) < 0 || check_network(machine, tap, plan, err) < 0)
		return -1;
	if (machine->stays && !machine->framed)
		return error_set(
			err, ERR_FLAKE,
			"flake '%s' cannot resume: the init of VM image '%s' is that of "
			"older tools; flake-ctl firecracker pull --replace-sci puts ours in",
			plan->flake, plan->image);
	machine->command_line = machine_command_line(machine, plan, err);
	return machine->command_line ? 0 : -1;
}

// What a call that boots a VM of its own runs.
static void describe_boot(struct plan *plan, const struct machine *machine, const char *mac)
{
	if (machine->engine == VM_FIRECRACKER)
		plan->process = machine_config(machine, mac);
	machine_argv(machine, mac, &plan->argv);
}

// What a call runs whose VM goes away with it.
static void describe(struct plan *plan, const struct machine *machine, const char *mac)
{
	cleanup_snapshot struct snapshot saved = { -1, -1, -1 };

	if (machine->snapshot && vm_snapshot_open(&saved, plan, machine, mac))
		machine_argv_restore(&plan->argv);
	else
		describe_boot(plan, machine, mac);
}

// Does the plan's VM stay, and run already? Then no engine is needed, and nothing of the image.
static bool runs_already(const struct plan *plan, struct vm_place *place)
{
	const struct machine machine = { 0 };

	if (plan->resume && vm_place_open(place, plan, &machine, NULL) == 0 && vm_runs(place, plan))
		return true;
	vm_place_close(place);
	return false;
}

static int compose(struct plan *plan, struct error *err)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_vm_place struct vm_place place = { .state = -1 };
	cleanup_free char *tap = NULL, *mac = NULL;

	plan_uncompose(plan);
	plan->stays = true;
	if (plan->mounts.n)
		return error_set(err, ERR_FLAKE, "flake '%s' cannot share %s with a VM",
				 plan->flake, plan->mounts.v[0] + 3);
	if (plan->user) {
		relay_sudo(plan);
		return relay_compose(plan, err);
	}
	if (runs_already(plan, &place)) {
		plan->socket = xstrdup(place.socket);
		return 0;
	}
	if (open_machine(&machine, &tap, plan, err) < 0 ||
	    vm_place_open(&place, plan, &machine, err) < 0)
		return -1;
	mac = machine_mac(place.key);
	if (!machine.stays) {
		describe(plan, &machine, mac);
	} else {
		if (machine.engine == VM_FIRECRACKER)
			plan->process = machine_config(&machine, mac);
		plan->socket = xstrdup(place.socket);
		machine_argv(&machine, mac, &plan->start);
	}
	if (machine.overlay && !vm_template_exists(plan, &machine))
		return plan_needs_compose(plan, err);
	return 0;
}

// The rest of a call: all that is left to do is to hand things on, and to clear up (clears).
static int converse(const struct plan *plan, const struct vm_link *to, bool clears,
		    struct error *err)
{
	// Who ends a VM after the call opens sockets and locks.
	if (!plan->remove && confine(to->vm ? to->vm->pid : 0, clears, err) < 0)
		return -1;
	return session_run(plan, to, err);
}

// Puts a descriptor where the engine finds it; it may stand where another is to go.
static int hand_over(int fd, int target, struct error *err)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 16);

	close(fd);
	return high < 0 || dup2(high, target) < 0
		       ? error_set(err, errno, "cannot hand over the machine")
		       : 0;
}

// The image's init is that of older tools: it talks through the console, which the engine has.
static int run_serial(struct plan *plan, const struct machine *machine, const char *key,
		      struct error *err)
{
	int overlay = machine->overlay ? vm_overlay(plan, machine, key, err) : -1;
	int config = -1;

	// Nothing else is open that could be overwritten and is still needed.
	if (machine->overlay && (overlay < 0 || hand_over(overlay, VM_FD_OVERLAY, err) < 0))
		return -1;
	if (machine->engine == VM_FIRECRACKER) {
		config = vm_memory_with(plan->process, err);
		if (config < 0 || hand_over(config, VM_FD_CONFIG, err) < 0)
			return -1;
	}
	execvp(plan->argv.v[0], plan->argv.v);
	return error_set(err, errno, "cannot run %s", plan->argv.v[0]);
}

// QEMU: the guest's end of the channel is a descriptor.
static int run_port(struct plan *plan, const struct machine *machine, const struct vm_place *place,
		    struct error *err)
{
	cleanup_vm struct vm vm = { VM_NONE, .debug = plan->debug };
	struct vm_link to = { .channel = -1, .listener = -1, .vm = &vm };
	cleanup_fd int ours = -1, theirs = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(err, errno, "cannot make the channel");
	ours = ends[0];
	theirs = ends[1];
	if (vm_boot(&vm, plan, machine, place, &plan->argv, theirs, err) < 0)
		return -1;
	close(steal_fd(&theirs));
	to.channel = ours;
	return converse(plan, &to, false, err);
}

// The end of a VM that has a directory. What a signal has cut short ends as by that signal.
static int leave(struct vm *vm, struct vm_place *place, int status, struct error *err)
{
	if (status < 0 && vm_is_interrupted(vm)) {
		error_clear(err);
		status = 128 + vm->sig;
	}
	vm_end(vm);
	vm_directory_remove(place->dir);
	free(steal_ptr(&place->dir));
	return status;
}

// Firecracker: the guest connects to our socket.
static int run_boot(struct plan *plan, const struct machine *machine, struct vm_place *place,
		    struct error *err)
{
	cleanup_vm struct vm vm = { VM_NONE, .debug = plan->debug };
	cleanup_fd int lock = -1, listener = -1;
	struct vm_link to = { .channel = -1, .listener = -1, .vm = &vm };
	int status = -1;

	// From here on a signal may not leave a directory behind.
	vm.signals = vm_signals(err);
	if (vm.signals < 0 || vm_directory(place, &lock, err) < 0)
		return -1;
	listener = vm_listener(place->dir, VM_SOCKET_GUEST, err);
	to.listener = listener;
	if (listener >= 0 && vm_boot(&vm, plan, machine, place, &plan->argv, -1, err) == 0)
		status = converse(plan, &to, true, err);
	return leave(&vm, place, status, err);
}

// Firecracker restores a saved VM, and we connect. Returns -1, too, if nothing could be restored:
// then *restored is false.
static int run_saved(const struct plan *plan, const struct machine *machine, struct vm_place *place,
		     const struct snapshot *saved, bool *restored, struct error *err)
{
	cleanup_vm struct vm vm = { VM_NONE, .debug = plan->debug };
	cleanup_fd int lock = -1, channel = -1;
	struct vm_link to = { .channel = -1, .listener = -1, .vm = &vm };
	int status = -1;

	vm.signals = vm_signals(err);
	if (vm.signals < 0 || vm_directory(place, &lock, err) < 0)
		return -1;
	channel = vm_snapshot_restore(&vm, plan, machine, place, saved, err);
	*restored = channel >= 0;
	to.channel = channel;
	if (*restored)
		status = converse(plan, &to, true, err);
	return leave(&vm, place, status, err);
}

// Without a saved VM, or with one that this Firecracker cannot restore, a new one is booted.
static int run_snapshot(struct plan *plan, const struct machine *machine, struct vm_place *place,
			struct error *err)
{
	cleanup_snapshot struct snapshot saved = { -1, -1, -1 };
	cleanup_free char *mac = machine_mac(place->key);
	cleanup_error struct error why = { 0 };
	bool restored = false;
	int status;

	if (plan->process) {
		error_set(&why, ERR_FLAKE, "nothing is saved of this definition");
	} else if (vm_snapshot_open(&saved, plan, machine, mac)) {
		status = run_saved(plan, machine, place, &saved, &restored, &why);
		if (status >= 0)
			return status;
	} else {
		error_set(&why, ERR_FLAKE, "the saved VM is gone");
	}
	if (restored) {
		*err = why;
		why = (struct error){ 0 };
		return -1;
	}
	if (plan->debug) {
		error_wrap(&why, "booting a VM");
		show_message(plan->command, why.message);
	}
	if (!plan->process) {
		plan_uncompose(plan);
		describe_boot(plan, machine, mac);
	}
	return run_boot(plan, machine, place, err);
}

static int run_socket(struct plan *plan, const struct machine *machine, struct vm_place *place,
		      struct error *err)
{
	vm_collect(place);
	return machine->snapshot ? run_snapshot(plan, machine, place, err)
				 : run_boot(plan, machine, place, err);
}

// One that is about to end takes no calls any more: then it is started anew. Others may have done
// that meanwhile: only the one that did not answer is to go.
static int reach(struct plan *plan, const struct machine *machine, struct vm_place *place,
		 struct error *err)
{
	int channel;

	if (vm_stay(plan, machine, place, err) < 0)
		return -1;
	channel = vm_call(place->socket, err);
	if (channel >= 0)
		return channel;
	error_clear(err);
	if (vm_stop_mute(place->state, place->key, place->socket, err) < 0 ||
	    compose(plan, err) < 0 || vm_stay(plan, machine, place, err) < 0)
		return -1;
	return vm_call(place->socket, err);
}

static int end(const struct plan *plan, struct error *err)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_vm_place struct vm_place place = { .state = -1 };

	if (vm_place_open(&place, plan, &machine, err) < 0 ||
	    vm_stop(place.state, place.key, err) < 0)
		return -1;
	vm_overlay_remove(place.key);
	return 0;
}

int vm_snapshot_make(const struct plan *plan, struct error *err)
{
	cleanup_machine struct machine machine = { .saving = true };
	cleanup_vm_place struct vm_place place = { .state = -1 };
	cleanup_free char *tap = NULL, *mac = NULL;

	if (open_machine(&machine, &tap, plan, err) < 0 ||
	    vm_place_open(&place, plan, &machine, err) < 0)
		return -1;
	if (!machine.snapshot)
		return error_set(err, ERR_FLAKE, "flake '%s' is not registered with --snapshot",
				 plan->flake);
	mac = machine_mac(place.key);
	return vm_snapshot_save(plan, &machine, &place, mac, err);
}

// One call into a VM that stays.
static int run_call(const struct plan *plan, int channel, struct error *err)
{
	struct vm_link to = { .channel = channel, .listener = -1 };
	int status = converse(plan, &to, false, err);

	return status >= 0 && plan->remove && end(plan, err) < 0 ? -1 : status;
}

// Connects to the VM if it runs, else makes the plan anew. Returns 0 or -1; *channel: -1 or the
// stream.
static int reach_running(struct plan *plan, int *channel, struct error *err)
{
	cleanup_vm_place struct vm_place place = { .state = -1 };

	if (!plan->socket || plan->start.n)
		return 0;
	if (runs_already(plan, &place)) {
		*channel = vm_call(place.socket, NULL);
		if (*channel >= 0)
			return 0;
		if (vm_stop_mute(place.state, place.key, place.socket, err) < 0)
			return -1;
	}
	return compose(plan, err);
}

static int run_stay(struct plan *plan, const struct machine *machine, struct vm_place *place,
		    struct error *err)
{
	cleanup_fd int channel = reach(plan, machine, place, err);

	return channel < 0 ? -1 : run_call(plan, channel, err);
}

static int prepare(struct plan *plan, struct error *err)
{
	if (!plan->prepare.n)
		return 0;
	if (plan_prepare(plan, err) < 0 || compose(plan, err) < 0)
		return -1;
	return plan->prepare.n ? error_set(err, ERR_FLAKE, "flake '%s' got no overlay template",
					   plan->flake)
			       : 0;
}

static int run(struct plan *plan, struct error *err)
{
	cleanup_machine struct machine machine = { 0 };
	cleanup_vm_place struct vm_place place = { .state = -1 };
	cleanup_free char *tap = NULL;
	cleanup_fd int channel = -1;

	if (reach_running(plan, &channel, err) < 0)
		return -1;
	if (channel >= 0)
		return run_call(plan, channel, err);
	if (prepare(plan, err) < 0 || open_machine(&machine, &tap, plan, err) < 0 ||
	    vm_place_open(&place, plan, &machine, err) < 0)
		return -1;
	if (!machine.framed)
		return run_serial(plan, &machine, place.key, err);
	if (!machine.stays)
		return machine.engine == VM_QEMU ? run_port(plan, &machine, &place, err)
						 : run_socket(plan, &machine, &place, err);
	return run_stay(plan, &machine, &place, err);
}

const struct engine engine_firecracker = {
	.name = "firecracker", .compose = compose, .run = run, .end = end
};
