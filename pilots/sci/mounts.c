// SPDX-License-Identifier: MIT
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sci.h"

struct place {
	const char *type, *path, *options;
	unsigned long flags;
	mode_t mode;
};

// What is mounted already, or can't be, is no reason to give up: programs tell what they miss.
static void mount_all(const struct place *places, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct place *p = &places[i];

		mkdir(p->path, p->mode);
		(void)mount(p->type, p->path, p->type, p->flags, p->options);
	}
}

void mounts_early(void)
{
	static const struct place places[] = {
		{ "devtmpfs", "/dev", "mode=755", MS_NOSUID, 0755 },
		{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555 },
		{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555 },
	};

	mount_all(places, sizeof(places) / sizeof(places[0]));
}

void mounts_late(void)
{
	static const struct place places[] = {
		{ "devpts", "/dev/pts", "mode=620,gid=5,ptmxmode=666", MS_NOSUID | MS_NOEXEC,
		  0755 },
		{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, 0755 },
		{ "tmpfs", "/run", "mode=755", MS_NOSUID | MS_NODEV, 0755 },
		{ "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV, 0755 },
		{ "cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755 },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "fd/0", "/dev/stdin" },
		{ "fd/1", "/dev/stdout" },
		{ "fd/2", "/dev/stderr" },
	};

	mount_all(places, sizeof(places) / sizeof(places[0]));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			return;
}
