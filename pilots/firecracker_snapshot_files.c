// SPDX-License-Identifier: MIT
#include "firecracker_snapshot_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "channel.h"
#include "fs.h"
#include "state.h"
#include "syscalls.h"
#include "util.h"

#define END ".snap"
#define UNFINISHED ".new"

enum { BLOCK = 65536, HASH_DIGITS = 16 };

// What tells a file from what may be at its place later.
static void add_stamp(struct strv *pieces, const char *file)
{
	struct stat st = { 0 };

	if (file && stat(file, &st) == 0)
		strv_pushf(pieces, "%s %lld %lld.%09ld\n", file, (long long)st.st_size,
			   (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

// As it is booted to be saved, whatever this one is for.
static char *config_of(const struct plan *plan, const struct machine *machine, const char *mac)
{
	struct machine saved = *machine;
	char *config;

	saved.saving = true;
	saved.command_line = machine_command_line(&saved, plan, NULL);
	if (!saved.command_line)
		return NULL;
	config = machine_config(&saved, mac);
	free(saved.command_line);
	return config;
}

char *snapshot_name(const struct plan *plan, const struct machine *machine, const char *mac)
{
	cleanup_strv struct strv pieces = { 0 };
	cleanup_free char *config = config_of(plan, machine, mac), *text = NULL, *stamp = NULL;
	cleanup_free char *state = state_name(plan->flake, plan->own);
	size_t len;

	if (!config)
		return NULL;
	// What was saved of an init that does not take a seed at once has another name.
	strv_pushf(&pieces, "%s\n%s\n%d\n", plan->definition, config, CHANNEL_SEEDS);
	add_stamp(&pieces, machine->kernel);
	add_stamp(&pieces, machine->initrd);
	add_stamp(&pieces, machine->rootfs);
	stamp = machine->overlay ? vm_template_stamp(plan, machine) : NULL;
	strv_push(&pieces, stamp ? stamp : "");
	text = strv_join(&pieces, &len);
	return xasprintf("%s-%016" PRIx64 END, state, text_hash(text));
}

char *snapshot_begin(const char *storage, const char *name, struct error *err)
{
	cleanup_free char *dir = xasprintf("%s/%s" UNFINISHED, storage, name);

	if (fs_remove_tree(dir, err) < 0)
		return NULL;
	if (mkdir(dir, 0700) < 0) {
		error_set(err, errno, "cannot make %s", dir);
		return NULL;
	}
	return steal_ptr(&dir);
}

// Most of a fresh guest's memory is zero.
static int dig_holes(int fd)
{
	static const char zero[BLOCK];
	cleanup_free char *block = xmalloc(BLOCK);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, block, BLOCK, at)) > 0) {
		if (memcmp(block, zero, (size_t)n) == 0 &&
		    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, n) < 0)
			return 0; // a file system that has none
		at += n;
	}
	return (int)n;
}

// Its owner's alone: who reads the memory knows the random numbers that the guest would draw, and
// where everything is in it. On the disk before it has its name.
static int settle(const char *dir, const char *name, struct error *err)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	cleanup_fd int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && streq(name, SNAPSHOT_OVERLAY))
		return 0;
	if (fd < 0 || (streq(name, SNAPSHOT_MEMORY) && dig_holes(fd) < 0) || fchmod(fd, 0600) < 0 ||
	    fsync(fd) < 0)
		return error_set(err, errno, "cannot save %s", path);
	return 0;
}

static bool is_of(const char *file, const char *state_name)
{
	size_t n = strlen(state_name);

	if (strncmp(file, state_name, n) != 0 || file[n] != '-')
		return false;
	file += n + 1;
	return strspn(file, "0123456789abcdef") == HASH_DIGITS &&
	       (streq(file + HASH_DIGITS, END) || streq(file + HASH_DIGITS, END UNFINISHED));
}

static void remove_others(const char *storage, const char *name, const char *state_name)
{
	cleanup_dir DIR *dir = opendir(storage);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		cleanup_free char *path = NULL;

		if (!is_of(entry->d_name, state_name) || streq(entry->d_name, name))
			continue;
		path = xasprintf("%s/%s", storage, entry->d_name);
		fs_remove_tree(path, NULL);
	}
}

int snapshot_finish(const char *storage, const char *name, const char *state_name,
		    struct error *err)
{
	static const char *const parts[] = { SNAPSHOT_STATE, SNAPSHOT_MEMORY, SNAPSHOT_OVERLAY };
	cleanup_free char *from = xasprintf("%s/%s" UNFINISHED, storage, name);
	cleanup_free char *to = xasprintf("%s/%s", storage, name);

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (settle(from, parts[i], err) < 0)
			return -1;
	// An older one takes its name, and is removed with the others.
	if (sys_exchange(from, to) < 0 && rename(from, to) < 0)
		return error_set(err, errno, "cannot save %s", to);
	remove_others(storage, name, state_name);
	return fs_sync(storage, err);
}
