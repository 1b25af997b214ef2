// SPDX-License-Identifier: MIT
// Directories and sockets of VMs. A directory holds a lock as long as somebody has use for it.
#include "firecracker_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "channel.h"
#include "fs.h"
#include "state.h"
#include "syscalls.h"
#include "util.h"

#define DIRECTORY_END ".vm"
#define LOCK "lock"

enum { STOP_MS = 15000, END_MS = 5000, CONNECT_MS = 10000 };

int vm_place_open(struct vm_place *place, const struct plan *plan, const struct machine *machine,
		  struct error *err)
{
	cleanup_free char *name = state_name(plan->flake, plan->own);
	cleanup_instance struct instance instance = { 0 };

	if (plan->resume && instance_tells(err) < 0)
		return -1;
	place->state = state_open(&place->state_path, err);
	if (place->state < 0)
		return -1;
	place->key = state_key(name, plan->instance, NULL);
	// Where it will be is not known before it is there.
	if (instance_load(place->state, place->key, &instance) > 0 && instance.runtime)
		place->socket = xstrdup(instance.runtime);
	else
		place->socket =
			xasprintf("%s/%s" DIRECTORY_END "/%s", place->state_path, place->key,
				  machine->engine == VM_QEMU ? VM_SWITCH : VM_SOCKET);
	return 0;
}

void vm_place_close(struct vm_place *place)
{
	if (place->state >= 0)
		close(place->state);
	free(place->state_path);
	free(place->key);
	free(place->socket);
	free(place->dir);
	*place = (struct vm_place){ .state = -1 };
}

static int open_lock(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/" LOCK, dir);
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

// One that is being made has no lock yet: a younger one than that is left alone.
static bool is_fresh(int state, const char *name)
{
	struct stat st;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return fstatat(state, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || now.tv_sec - st.st_mtime < 10;
}

void vm_collect(const struct vm_place *place)
{
	cleanup_dir DIR *dir = opendir(place->state_path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		cleanup_free char *path = xasprintf("%s/%s", place->state_path, entry->d_name);
		cleanup_fd int lock = -1;

		if (!str_ends(entry->d_name, DIRECTORY_END) ||
		    is_fresh(place->state, entry->d_name))
			continue;
		lock = open_lock(path);
		if (lock >= 0)
			fs_remove_tree(path, NULL);
	}
}

int vm_directory(struct vm_place *place, int *lock, struct error *err)
{
	for (unsigned i = 0; i < 10000; i++) {
		cleanup_free char *path = xasprintf("%s/%s.%d-%u" DIRECTORY_END, place->state_path,
						    place->key, (int)getpid(), i);
		cleanup_error struct error why = { 0 };

		// Of that mode, whatever the umask.
		if (fs_mkdir(path, 0700, &why) == 0) {
			place->dir = steal_ptr(&path);
			*lock = open_lock(place->dir);
			return *lock < 0 ? error_set(err, errno, "cannot lock %s", place->dir) : 0;
		}
		if (why.code != EEXIST)
			return error_set(err, why.code, "cannot make %s", path);
	}
	return error_set(err, EEXIST, "cannot make a directory in %s", place->state_path);
}

void vm_directory_remove(const char *dir)
{
	if (dir)
		fs_remove_tree(dir, NULL);
}

// The directory of a VM's socket. Caller frees.
static char *directory_of(const char *socket)
{
	const char *base = path_base(socket);

	return xstrndup(socket, base > socket ? (size_t)(base - socket) - 1 : 0);
}

// Paths of sockets are short (unix(7)): that of a directory's descriptor always is.
static int address(struct sockaddr_un *out, const char *dir, const char *name)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", fd, name);
	return fd;
}

int vm_listener(const char *dir, const char *name, struct error *err)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un at;
	cleanup_fd int where = address(&at, dir, name);
	mode_t mask = umask(0177);
	int rc = bind(fd, (struct sockaddr *)&at, sizeof(at)), code = errno;

	umask(mask);
	errno = code;
	if (fd < 0 || where < 0 || rc < 0 || listen(fd, SOMAXCONN) < 0)
		return error_set(err, errno, "cannot listen at %s/%s", dir, name);
	return steal_fd(&fd);
}

int vm_ask_for_port(struct vm *vm, int fd, int ms, struct error *err)
{
	static const char ask[] = "CONNECT 52\n";
	// A guest that does not see to its vsock gives no answer at all.
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	char answer[32];
	size_t n = 0;
	ssize_t got = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) != sizeof(ask) - 1)
		return error_set(err, errno, "cannot reach the guest");
	if (vm && !vm_wait(vm, fd, ms))
		return error_set(err, ERR_TIMEOUT, "cannot reach the guest");
	// Byte by byte: what follows the line is the guest's.
	while (n < sizeof(answer) - 1) {
		got = read(fd, answer + n, 1);
		// Even without handlers, after a stop.
		if (got < 0 && errno == EINTR)
			continue;
		if (got != 1 || answer[n] == '\n')
			break;
		n++;
	}
	answer[n] = '\0';
	return str_starts(answer, "OK ") ? 0
					 : error_set(err, ECONNREFUSED, "cannot reach the guest");
}

int vm_dial(const char *dir, const char *name, struct error *err)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;
	cleanup_fd int where = address(&at, dir, name);

	if (fd < 0 || where < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return error_set(err, errno, "cannot connect to %s/%s", dir, name);
	return steal_fd(&fd);
}

int vm_connect(const char *path, struct error *err)
{
	cleanup_free char *dir = directory_of(path);
	cleanup_fd int fd = vm_dial(dir, path_base(path), err);

	if (fd < 0)
		return -1;
	if (streq(path_base(path), VM_SOCKET) && vm_ask_for_port(NULL, fd, CONNECT_MS, err) < 0)
		return -1;
	return steal_fd(&fd);
}

// Who serves it says hello at once; one whose VM has just died closes the stream.
static int wait_for_word(int fd, struct error *err)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	char byte;
	int rc;

	while ((rc = poll(&ready, 1, CONNECT_MS)) < 0 && errno == EINTR)
		;
	// The call itself has more patience, and an ear for signals.
	return rc == 0 || recv(fd, &byte, 1, MSG_PEEK) == 1
		       ? 0
		       : error_set(err, ECONNREFUSED, "cannot reach the guest");
}

int vm_call(const char *path, struct error *err)
{
	cleanup_fd int fd = vm_connect(path, err);

	return fd < 0 || wait_for_word(fd, err) < 0 ? -1 : steal_fd(&fd);
}

int vm_memory_with(const char *text, struct error *err)
{
	cleanup_fd int fd = memfd_create("machine", MFD_CLOEXEC);

	if (fd < 0 || write_fd_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return error_set(err, errno, "cannot hand over the machine");
	return steal_fd(&fd);
}

int vm_boot(struct vm *vm, const struct plan *plan, const struct machine *machine,
	    const struct vm_place *place, const struct strv *argv, int channel, struct error *err)
{
	cleanup_fd int overlay = -1, config = -1;
	struct vm_fds fds = { .channel = channel };

	if (machine->overlay) {
		overlay = vm_overlay(plan, machine, place->key, err);
		if (overlay < 0)
			return -1;
	}
	if (plan->process) {
		config = vm_memory_with(plan->process, err);
		if (config < 0)
			return -1;
	}
	fds.overlay = overlay;
	fds.config = config;
	return vm_start(vm, argv, &fds, place->dir, err);
}

// Asks for a clean end and waits for it.
static bool end_cleanly(const struct instance *instance)
{
	cleanup_fd int fd = instance->runtime ? vm_connect(instance->runtime, NULL) : -1;
	cleanup_fd int pidfd = sys_pidfd_open(instance->pid);
	struct pollfd on = { .fd = pidfd, .events = POLLIN };
	struct channel_buffer out = { 0 };
	bool sent;

	if (fd < 0 || pidfd < 0)
		return false;
	channel_put(&out, CHANNEL_SHUTDOWN, 0, 0, NULL, 0);
	sent = send(fd, out.data, channel_pending(&out), MSG_NOSIGNAL) > 0;
	free(out.data);
	return sent && poll(&on, 1, STOP_MS) > 0;
}

static void end_anyhow(const struct instance *instance)
{
	cleanup_fd int pidfd = sys_pidfd_open(instance->pid);
	struct pollfd on = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 || instance_start_time(instance->pid) != instance->start)
		return;
	// Asked, it sees to it that the engine is gone before it is: two of them on one overlay
	// would destroy that.
	if (sys_pidfd_signal(pidfd, SIGTERM) == 0 && poll(&on, 1, END_MS) > 0)
		return;
	if (sys_pidfd_signal(pidfd, SIGKILL) == 0)
		poll(&on, 1, STOP_MS);
}

// Is it a VM's? An instance of that key may be another engine's, whose files are not ours.
static bool is_vm(const struct instance *instance)
{
	const char *socket = instance->runtime ? instance->runtime : "";
	const char *base = path_base(socket);
	cleanup_free char *dir = directory_of(socket);

	return (streq(base, VM_SOCKET) || streq(base, VM_SWITCH)) && str_ends(dir, DIRECTORY_END);
}

int vm_stop_locked(int state, const char *key, struct error *err)
{
	cleanup_instance struct instance instance = { 0 };
	cleanup_free char *dir = NULL;

	if (instance_tells(err) < 0)
		return -1;
	if (instance_load(state, key, &instance) > 0) {
		if (!is_vm(&instance))
			return error_set(err, ERR_FLAKE, "instance '%s' is no VM: end it first",
					 key);
		if (!end_cleanly(&instance))
			end_anyhow(&instance);
	}
	instance_forget(state, key);
	if (instance.runtime) {
		dir = directory_of(instance.runtime);
		vm_directory_remove(dir);
	}
	return 0;
}

int vm_stop(int state, const char *key, struct error *err)
{
	cleanup_fd int lock = state_lock(state, key, err);

	return lock < 0 ? -1 : vm_stop_locked(state, key, err);
}

int vm_stop_mute(int state, const char *key, const char *socket, struct error *err)
{
	cleanup_instance struct instance instance = { 0 };
	cleanup_fd int lock = state_lock(state, key, err);

	if (lock < 0)
		return -1;
	if (instance_load(state, key, &instance) > 0 &&
	    (!instance.runtime || !streq(instance.runtime, socket)))
		return 0;
	return vm_stop_locked(state, key, err);
}
