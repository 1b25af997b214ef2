// SPDX-License-Identifier: MIT
// Overlays: what a VM writes goes to a sparse file. It begins as copy of a template that is
// formatted (and filled with the flake's includes) once, by flake-ctl firecracker compose.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "firecracker.h"
#include "fs.h"
#include "paths.h"
#include "state.h"
#include "util.h"

#define SYSTEM_DIR "/var/lib/firecracker"

enum { PIECE = 16 << 20, LOCK_TURNS = 1000, LOCK_PAUSE_MS = 20 };

// Of that mode, whatever the umask.
static int make_storage(int above, mode_t mode)
{
	return mkdirat(above, "storage", mode) == 0 ? fchmodat(above, "storage", mode, 0) : -1;
}

// BASE/storage. Where all can write, the base itself may be somebody else's, or his link: nothing
// is made in it before it was opened and looked at.
static int open_below(const char *base, mode_t mode, char **path, struct error *err)
{
	cleanup_free char *dir = xasprintf("%s/storage", base);
	cleanup_fd int above = -1;
	int fd;

	if (access(base, F_OK) < 0 && fs_mkdir_p(base, mode, err) < 0)
		return -1;
	above = fs_open_private(AT_FDCWD, base, true, err);
	if (above < 0)
		return -1;
	if (faccessat(above, "storage", F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    make_storage(above, mode) < 0 && errno != EEXIST)
		return error_set(err, errno, "cannot make %s", dir);
	fd = fs_open_private(above, "storage", true, err);
	if (fd < 0)
		return error_wrap(err, "%s", base);
	if (path)
		*path = steal_ptr(&dir);
	return fd;
}

static int open_system(char **path, struct error *err)
{
	cleanup_free char *base = xasprintf("%s" SYSTEM_DIR, paths_prefix());
	// Only root can make it a link, to a disk with more space.
	cleanup_free char *real = realpath(base, NULL);

	return open_below(real ? real : base, 0755, path, err);
}

static int open_own(char **path, struct error *err)
{
	cleanup_free char *root = paths_user_root();
	cleanup_free char *base = root ? xasprintf("%s/firecracker", root)
				       : xasprintf("/var/tmp/flakes-%u", geteuid());

	return open_below(base, 0700, path, err);
}

int vm_storage(char **path, struct error *err)
{
	return geteuid() == 0 ? open_system(path, err) : open_own(path, err);
}

char *vm_template_name(const char *state_name, uint64_t bytes, const struct strv *includes)
{
	cleanup_strv struct strv pieces = { 0 };
	cleanup_free char *text = NULL;
	size_t len;

	strv_pushf(&pieces, "%" PRIu64 "\n", bytes);
	for (size_t i = 0; i < includes->n; i++)
		strv_pushf(&pieces, "%s\n", includes->v[i]);
	text = strv_join(&pieces, &len);
	return xasprintf("%s-%016" PRIx64 ".ext4", state_name, text_hash(text));
}

static int open_template_in(int dir, const char *name, uint64_t bytes, struct error *err)
{
	cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot open the overlay template %s", name);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
		return error_set(err, ERR_FLAKE, "the overlay template %s is no good", name);
	return steal_fd(&fd);
}

// That of the system, or the caller's own: who cannot write to the system's makes himself one.
static int open_template(const struct plan *plan, const struct machine *machine, struct error *err)
{
	cleanup_free char *state = state_name(plan->flake, plan->own);
	cleanup_free char *name = vm_template_name(state, machine->overlay, &machine->includes);
	cleanup_fd int first = plan->own ? -1 : open_system(NULL, NULL);
	cleanup_fd int second = -1;
	int fd = first < 0 ? -1 : open_template_in(first, name, machine->overlay, NULL);

	if (fd >= 0)
		return fd;
	second = vm_storage(NULL, err);
	return second < 0 ? -1 : open_template_in(second, name, machine->overlay, err);
}

char *vm_template_stamp(const struct plan *plan, const struct machine *machine)
{
	cleanup_fd int fd = open_template(plan, machine, NULL);
	struct stat st = { 0 };

	if (fd >= 0)
		fstat(fd, &st);
	return xasprintf("%" PRIu64 " %lld.%09ld", (uint64_t)st.st_ino,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

int vm_storage_system(void)
{
	return open_system(NULL, NULL);
}

bool vm_template_exists(const struct plan *plan, const struct machine *machine)
{
	cleanup_fd int fd = open_template(plan, machine, NULL);

	return fd >= 0;
}

// Copying may take its time; signals wait while there is something to clear up. Sets errno.
static bool is_interrupted(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t waiting;

	sigpending(&waiting);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigismember(&waiting, ends[i])) {
			errno = EINTR;
			return true;
		}
	return false;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
	loff_t in = at, out = at;

	while (in < end) {
		size_t want = end - in < PIECE ? (size_t)(end - in) : PIECE;
		ssize_t n = is_interrupted() ? -1 : copy_file_range(from, &in, to, &out, want, 0);

		if (n <= 0)
			return -1;
	}
	return 0;
}

static int copy_bytes(int from, int to, off_t at, off_t end)
{
	char buffer[65536];

	while (at < end) {
		size_t want =
			(size_t)(end - at) < sizeof(buffer) ? (size_t)(end - at) : sizeof(buffer);
		ssize_t n = is_interrupted() ? -1 : pread(from, buffer, want, at);

		if (n <= 0 || pwrite(to, buffer, (size_t)n, at) != n)
			return -1;
		at += n;
	}
	return 0;
}

// Copies what is no hole.
static int copy_sparse(int from, int to, off_t size)
{
	off_t at = 0, end;

	if (ftruncate(to, size) < 0)
		return -1;
	while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 ||
		    (copy_range(from, to, at, end) < 0 && copy_bytes(from, to, at, end) < 0))
			return -1;
		at = end;
	}
	return errno == ENXIO ? 0 : -1; // no data behind that
}

// A file without name; else one that loses its name at once.
static int open_unnamed(int dir, const char *path, struct error *err)
{
	cleanup_free char *temp = xasprintf("%s/.overlay.XXXXXX", path);
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot make an overlay in %s", path);
	unlink(temp);
	return fd;
}

int vm_disk_copy(int from, int to, uint64_t bytes)
{
	return ioctl(to, FICLONE, from) < 0 ? copy_sparse(from, to, (off_t)bytes) : 0;
}

int vm_overlay_fill(int overlay, const struct plan *plan, const struct machine *machine,
		    struct error *err)
{
	cleanup_fd int template = open_template(plan, machine, err);

	if (template <0)
		return -1;
	if (vm_disk_copy(template, overlay, machine->overlay) < 0)
		return error_set(err, errno, "cannot copy the overlay template of flake '%s'",
				 plan->flake);
	return 0;
}

// Two VMs would ruin the file system on it. The engine inherits the lock. One that ends has it a
// moment longer than it is known to run.
static int lock_kept(int fd, const char *name, struct error *err)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000 * 1000 };

	for (int i = 0; i < LOCK_TURNS; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	return error_set(err, errno, "cannot have %s for this VM alone", name);
}

// The overlay that stays: whole from the moment it has its name.
static int open_kept(int dir, const char *path, const struct plan *plan,
		     const struct machine *machine, const char *key, struct error *err)
{
	cleanup_free char *name = xasprintf("%s.overlay", key);
	cleanup_free char *temp = xasprintf("%s.new", name);
	cleanup_fd int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0) {
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
			return error_set(err, ERR_FLAKE, "%s/%s is no overlay", path, name);
		return lock_kept(fd, name, err) < 0 ? -1 : steal_fd(&fd);
	}
	if (errno != ENOENT)
		return error_set(err, errno, "cannot open %s/%s", path, name);
	unlinkat(dir, temp, 0);
	fd = openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot make %s/%s", path, temp);
	if (vm_overlay_fill(fd, plan, machine, err) < 0 || renameat(dir, temp, dir, name) < 0) {
		unlinkat(dir, temp, 0);
		return err->message ? -1 : error_set(err, errno, "cannot make %s/%s", path, name);
	}
	return lock_kept(fd, name, err) < 0 ? -1 : steal_fd(&fd);
}

int vm_overlay(const struct plan *plan, const struct machine *machine, const char *key,
	       struct error *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int dir = vm_storage(&path, err);
	cleanup_fd int fd = -1;

	if (dir < 0)
		return -1;
	if (machine->stays)
		return open_kept(dir, path, plan, machine, key, err);
	fd = open_unnamed(dir, path, err);
	return fd < 0 || vm_overlay_fill(fd, plan, machine, err) < 0 ? -1 : steal_fd(&fd);
}

int vm_overlay_of(int from, uint64_t bytes, struct error *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int dir = vm_storage(&path, err);
	cleanup_fd int fd = dir < 0 ? -1 : open_unnamed(dir, path, err);

	if (fd < 0)
		return -1;
	return vm_disk_copy(from, fd, bytes) < 0
		       ? error_set(err, errno, "cannot copy the saved overlay")
		       : steal_fd(&fd);
}

void vm_overlay_remove(const char *key)
{
	cleanup_free char *name = xasprintf("%s.overlay", key);
	cleanup_fd int dir = vm_storage(NULL, NULL);

	if (dir >= 0)
		unlinkat(dir, name, 0);
}
