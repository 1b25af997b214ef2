// SPDX-License-Identifier: MIT
// The root file system: mounted (as /init of an initramfs), never written to, all changes on top.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "sci.h"
#include "util.h"

enum { DEVICE_WAIT = 5000, OPTIONS = 512 };

// The disk that takes the changes: an open directory of it, so that it is found again below
// everything that was mounted over it; -1: there is none.
static int changes = -1;

static bool exists(const void *path)
{
	return access(path, F_OK) == 0;
}

static int mount_as(const char *device, const char *at, const char *type, unsigned long flags)
{
	if (mount(device, at, type, flags, NULL) == 0)
		return 0;
	// A journal that would have to be played back first, on a disk that is not written to.
	if (flags & MS_RDONLY && str_starts(type, "ext") &&
	    mount(device, at, type, flags, "noload") == 0)
		return 0;
	return -1;
}

// Mounts with the first of the types, separated by commas, that fits.
static int mount_any(const char *device, const char *at, const char *types, unsigned long flags)
{
	cleanup_free char *list = xstrdup(types);
	char *rest = list, *type;
	int saved = ENODEV;

	while ((type = strsep(&rest, ","))) {
		if (!*type)
			continue;
		if (mount_as(device, at, type, flags) == 0)
			return 0;
		saved = errno == ENODEV ? saved : errno;
	}
	errno = saved;
	return -1;
}

static int fail(char **why, const char *what, const char *name)
{
	*why = xasprintf("cannot %s %s: %s", what, name, strerror(errno));
	return -1;
}

static bool in_initramfs(void)
{
	struct statfs fs;

	// All magic numbers have 32 bits; whether f_type has a sign differs with the machine.
	return statfs("/", &fs) == 0 &&
	       ((uint32_t)fs.f_type == RAMFS_MAGIC || (uint32_t)fs.f_type == TMPFS_MAGIC);
}

static int mount_root(const struct params *params, const char *at, char **why)
{
	const char *device = params_get(params, "root");
	const char *type = params_get(params, "rootfstype");

	mkdir(at, 0755);
	if (!wait_for_device(exists, device, DEVICE_WAIT)) {
		errno = ENODEV;
		return fail(why, "find the root file system", device);
	}
	if ((type && mount_any(device, at, type, MS_RDONLY) == 0) ||
	    mount_any(device, at, "ext4,ext3,ext2,squashfs,erofs,xfs,btrfs", MS_RDONLY) == 0)
		return 0;
	return fail(why, "mount the root file system", device);
}

// Where the changes go: a disk, or memory.
static int mount_changes(const char *device, const char *at, char **why)
{
	mkdir(at, 0755);
	if (!device) {
		if (mount("tmpfs", at, "tmpfs", 0, "mode=755") == 0)
			return 0;
		return fail(why, "mount", "a file system in memory");
	}
	if (!wait_for_device(exists, device, DEVICE_WAIT)) {
		errno = ENODEV;
		return fail(why, "find the overlay disk", device);
	}
	if (mount_any(device, at, "ext4,ext3,ext2,xfs,btrfs", MS_NOATIME) < 0)
		return fail(why, "mount the overlay disk", device);
	changes = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

// Whoever made the disk need not have been root; the owner of / is the upper directory's.
static void take_owner(const char *upper, const char *lower)
{
	struct stat of_upper, of_lower;

	if (stat(upper, &of_upper) == 0 && stat(lower, &of_lower) == 0 &&
	    (of_upper.st_uid != of_lower.st_uid || of_upper.st_gid != of_lower.st_gid) &&
	    chown(upper, of_lower.st_uid, of_lower.st_gid) < 0)
		say("cannot change the owner of %s: %s", upper, strerror(errno));
}

// Puts base/root over lower.
static int mount_overlay(const struct params *params, const char *base, const char *lower,
			 char **why)
{
	const char *device = params_get(params, "overlay_root");
	cleanup_free char *disk = xasprintf("%s/disk", base);
	cleanup_free char *upper = xasprintf("%s/rootfs_upper", disk);
	cleanup_free char *work = xasprintf("%s/rootfs_work", disk);
	cleanup_free char *root = xasprintf("%s/root", base);
	char options[OPTIONS];

	if (mount_changes(device, disk, why) < 0)
		return -1;
	mkdir(upper, 0755);
	mkdir(work, 0755);
	mkdir(root, 0755);
	take_owner(upper, lower);
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper,
		 work);
	if (mount("overlay", root, "overlay", 0, options) < 0)
		return fail(why, "mount the overlay on", device ? device : "memory");
	return 0;
}

// Frees the memory of an initramfs' files: everything on the file system of dir.
static void remove_below(int fd, dev_t device)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		int below;

		if (streq(entry->d_name, ".") || streq(entry->d_name, "..") ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
			continue;
		if (!S_ISDIR(st.st_mode)) {
			unlinkat(fd, entry->d_name, 0);
			continue;
		}
		below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below >= 0)
			remove_below(below, device);
		unlinkat(fd, entry->d_name, AT_REMOVEDIR);
	}
	if (dir)
		closedir(dir);
}

// Makes `to` the root; /dev, /proc and /sys come along.
static int switch_root(const char *to, bool initramfs, char **why)
{
	static const char *const kept[] = { "/dev", "/proc", "/sys" };
	int old = initramfs ? open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat st;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		cleanup_free char *place = xasprintf("%s%s", to, kept[i]);

		mkdir(place, 0755);
		if (mount(kept[i], place, NULL, MS_MOVE, NULL) < 0)
			return fail(why, "move to the root file system:", kept[i]);
	}
	if (chdir(to) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		return fail(why, "change to", to);
	if (old >= 0 && fstat(old, &st) == 0)
		remove_below(old, st.st_dev);
	return 0;
}

// As init= of the root file system there is no place that can be written to but memory over one of
// its directories.
static const char *find_base(void)
{
	static const char *const places[] = { "/run", "/mnt", "/tmp", "/srv", "/opt" };

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mount("tmpfs", places[i], "tmpfs", 0, "mode=755") == 0)
			return places[i];
	return NULL;
}

int root_set_up(const struct params *params, char **why)
{
	bool initramfs = in_initramfs();
	const char *base = "/sci";

	modules_load(params);
	trace("modules");
	// An initramfs that is all there is.
	if (initramfs && !params_get(params, "root"))
		return 0;
	if (!initramfs)
		base = find_base();
	if (!base)
		return fail(why, "find", "a directory for the overlay");
	mkdir(base, 0755);
	if (initramfs && mount_root(params, "/sci/lower", why) < 0)
		return -1;
	if (mount_overlay(params, base, initramfs ? "/sci/lower" : "/", why) < 0)
		return -1;
	return switch_root(initramfs ? "/sci/root" : xasprintf("%s/root", base), initramfs, why);
}

void root_close(void)
{
	char path[32];

	sync();
	(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	if (changes < 0)
		return;
	// The directory itself is no open file that is written to.
	snprintf(path, sizeof(path), "/proc/self/fd/%d", changes);
	if (mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		say("cannot end the overlay disk cleanly: %s", strerror(errno));
	sync();
}
