// SPDX-License-Identifier: MIT
// VM flakes: the machine that a plan describes, and what its parts are done by. One image and one
// definition run under Firecracker or, where that cannot run, QEMU.
//
// plan->options of a VM flake, one token each: --kernel= --rootfs= --initrd= (paths), --vcpu=
// --mem= (MiB) --overlay-size= (bytes) --cache=Writeback|Unsafe --engine=auto|firecracker|qemu
// --tap=
// --boot-arg= (repeated) --include-tar= --include-path= (repeated) --no-net --snapshot.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "pilot.h"
#include "strv.h"

// Descriptors that the engine's process finds open.
enum { VM_FD_CONFIG = 3, VM_FD_OVERLAY = 4, VM_FD_CHANNEL = 5 };

#define VM_OVERLAY "/proc/self/fd/4"
#define VM_CONFIG "/proc/self/fd/3"
// A VM that is restored has no configuration, and Firecracker no channel of that kind.
#define VM_STATE "/proc/self/fd/3"
#define VM_MEMORY "/proc/self/fd/5"
// Of Firecracker, in its working directory: our directory of the instance.
#define VM_SOCKET "v.sock"
#define VM_SOCKET_GUEST VM_SOCKET "_52"
#define VM_API "api.sock"
// Where calls into a VM that stays connect, if its engine is QEMU.
#define VM_SWITCH "switch.sock"

#ifdef __aarch64__
#define VM_QEMU_PROGRAM "qemu-system-aarch64"
#else
#define VM_QEMU_PROGRAM "qemu-system-x86_64"
#endif

enum vm_engine { VM_FIRECRACKER, VM_QEMU };

// Zero-initialise.
struct machine {
	const char *kernel, *initrd, *rootfs, *cache, *tap, *want; // in the plan's options
	unsigned vcpu, mem;					   // mem in MiB
	uint64_t overlay;					   // bytes; 0: none
	bool network;
	bool snapshot; // calls restore a saved VM, if there is one
	bool saving;   // boots to be saved
	bool framed;   // the guest's init speaks doc/channel.md; else that of the older tools
	bool stays;    // for later calls
	bool kvm;
	enum vm_engine engine;
	struct strv boot_args; // of the definition
	struct strv includes;  // "tar:PATH", "path:PATH"
	char *command_line;    // of the kernel
};

// Reads plan->options and chooses the engine. The kernel's command line is the caller's to compose:
// it depends on the network that there is.
int machine_read(struct machine *machine, const struct plan *plan, struct error *err);
void machine_free(struct machine *machine);
#define cleanup_machine __attribute__((cleanup(machine_free)))

// Does a guest run under /dev/kvm for us? Tried once a boot, if it
// doesn't, now and then. why (may be NULL): "usable", or the
// reason; the caller's to free.
bool vm_kvm(char **why);

// The kernel's command line, checked for length and characters. Caller frees.
char *machine_command_line(const struct machine *machine, const struct plan *plan,
			   struct error *err);

// Firecracker's configuration (JSON on one line); mac: of the network interface. Caller frees.
char *machine_config(const struct machine *machine, const char *mac);
// The engine's command line.
void machine_argv(const struct machine *machine, const char *mac, struct strv *argv);
// That of Firecracker which restores a saved VM.
void machine_argv_restore(struct strv *argv);
// A locally administered address of that instance: text of 17 bytes. Caller frees.
char *machine_mac(const char *key);
// Name of the tap device of a flake's instance: tap-NAME if that has at most 15 bytes, else with a
// hash of it. Caller frees.
char *machine_tap(const char *name);

// --- disks ---

// Directory of the caller's templates and overlays, made if it is missing: a descriptor; path (may
// be NULL) is the caller's to free.
int vm_storage(char **path, struct error *err);
// File name of the formatted template: NAME-HASH.ext4. Caller frees.
char *vm_template_name(const char *state_name, uint64_t bytes, const struct strv *includes);
// Is the template there?
bool vm_template_exists(const struct plan *plan, const struct machine *machine);
// The overlay of an instance, open for reading and writing, inherited by nobody: a copy of the
// template without name, or for a machine that stays the file KEY.overlay.
int vm_overlay(const struct plan *plan, const struct machine *machine, const char *key,
	       struct error *err);
// Is the template there? What tells it from another one that was made later. Caller frees.
char *vm_template_stamp(const struct plan *plan, const struct machine *machine);
// Directory of the system's templates; -1: there is none.
int vm_storage_system(void);
// Fills an empty file with a copy of another, which is that long: shares blocks if it can be.
int vm_disk_copy(int from, int to, uint64_t bytes);
// Fills the file with a copy of the template.
int vm_overlay_fill(int overlay, const struct plan *plan, const struct machine *machine,
		    struct error *err);
// A copy without name of a disk, in the caller's storage.
int vm_overlay_of(int from, uint64_t bytes, struct error *err);
// Removes KEY.overlay.
void vm_overlay_remove(const char *key);

// --- the engine's process ---

// Initialise with VM_NONE.
struct vm {
	pid_t pid;
	int pidfd;
	int signals;	 // what comes there ends waiting for the VM; -1: not looked at
	int sig;	 // that has come; 0: none
	int console;	 // what it says: kernel messages, the engine's own
	bool debug;	 // show that on stderr
	char tail[4096]; // the last of it
	size_t tail_len;
	char *dir; // its directory, if it has one
};

#define VM_NONE .pidfd = -1, .signals = -1, .console = -1

struct vm_fds {
	int channel, overlay, config; // -1: none
};

// Starts the engine in a session of its own; it dies with us.
int vm_start(struct vm *vm, const struct strv *argv, const struct vm_fds *fds, const char *cwd,
	     struct error *err);
// Reads what it says; false: it has closed its outputs.
bool vm_listen(struct vm *vm);
// Milliseconds of a clock that only goes forward.
long long vm_now(void);
// Has it ended?
bool vm_is_over(const struct vm *vm);
// Blocks the signals that go on to the program of a call: a signalfd of them.
int vm_signals(struct error *err);
// The next one there that is to end a call while no program has it; 0: none.
int vm_signal_of(int signals);
// Did one come?
bool vm_is_interrupted(struct vm *vm);
// Waits until fd (-1: none) can be read: true; false: the VM has ended, a signal came, or the time
// is over. What the engine says is read meanwhile: it must not be held up.
bool vm_wait(struct vm *vm, int fd, int ms);
// Reads the guest's hello, and not one byte more.
int vm_hello(struct vm *vm, int channel, int ms, struct error *err);
// Kills it, reaps it.
void vm_end(struct vm *vm);
// Adds to the error what the engine or the guest's kernel said last.
int vm_explain(struct vm *vm, struct error *err);
#define cleanup_vm __attribute__((cleanup(vm_end)))

// --- a call ---

// How a call reaches its guest; unused descriptors are -1.
struct vm_link {
	int channel;   // the stream
	int listener;  // where the guest will connect to, if there is no stream yet
	struct vm *vm; // whose end is ours to see, or NULL
};

// Runs the plan's program, relaying standard input, output, error, signals and the terminal.
// Returns the exit status for the caller, or -1.
int session_run(const struct plan *plan, const struct vm_link *to, struct error *err);

// --- VMs that stay ---

// Says when a VM is to end although nobody stopped it: fd can be read, and ended(data) agrees.
struct vm_notice {
	int fd;
	bool (*ended)(void *data);
	void *data;
};

// Serves a VM's channel (said hello, nothing more) to many callers until the VM ends.
void switch_run(struct vm *vm, int channel, int listener, struct vm_notice *notice);
