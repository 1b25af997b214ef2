// SPDX-License-Identifier: MIT
#include "tree_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "strv.h"
#include "util.h"

// The kernel gives up after as many.
enum { LINKS_MAX = 40, RACES_MAX = 16 };

// --- part by part --------------------------------------------------------------------------------

struct walk {
	int root, dir;	   // dir is owned
	struct strv names; // of the directories between the two, none of them a link
	char *text;	   // what is left of the path is its end
	char *rest;
	int links;
};

static void end_walk(struct walk *w)
{
	if (w->dir >= 0)
		close(w->dir);
	strv_free(&w->names);
	free(w->text);
}

#define cleanup_walk __attribute__((cleanup(end_walk)))

static int open_dir(int dir, const char *name)
{
	return openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int move_to(struct walk *w, int dir)
{
	if (dir < 0)
		return -1;
	if (w->dir >= 0)
		close(w->dir);
	w->dir = dir;
	return 0;
}

// Goes back to the root and down by the first n names again.
static int go_down(struct walk *w, size_t n)
{
	if (move_to(w, open_dir(w->root, ".")) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (move_to(w, open_dir(w->dir, w->names.v[i])) < 0)
			return -1;
	while (w->names.n > n) {
		free(w->names.v[--w->names.n]);
		w->names.v[w->names.n] = NULL;
	}
	return 0;
}

// Cuts the next part off the rest; "" at its end.
static char *take_part(struct walk *w)
{
	char *part = w->rest + strspn(w->rest, "/");
	size_t len = strcspn(part, "/");

	w->rest = part + len;
	if (*w->rest)
		*w->rest++ = '\0';
	return part;
}

static bool is_last(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == '\0';
}

// Goes on with the link's target in front of the rest.
static int follow(struct walk *w, int link)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);
	char *text;

	if (n <= 0)
		return -1;
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	target[n] = '\0';
	text = xasprintf("%s/%s", target, w->rest);
	free(w->text);
	w->text = w->rest = text;
	return target[0] == '/' ? go_down(w, 0) : 0;
}

static int step(struct walk *w, const char *part, enum tree_links links)
{
	cleanup_fd int fd = openat(w->dir, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (S_ISLNK(st.st_mode)) {
		if (links == TREE_LINKS_INSIDE)
			return follow(w, fd);
		errno = ELOOP;
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	strv_push(&w->names, part);
	return move_to(w, steal_fd(&fd));
}

static bool is_link(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

// 1: part is the last one, and to be opened where it is. 0: one step is done.
static int advance(struct walk *w, const char *part, enum tree_links links, int flags)
{
	bool last = is_last(w);

	if (streq(part, "."))
		return 0;
	if (streq(part, ".."))
		return go_down(w, w->names.n ? w->names.n - 1 : 0);
	if (last && ((flags & O_NOFOLLOW) || !is_link(w->dir, part)))
		return 1;
	return step(w, part, links);
}

// A slash at the end would make the kernel follow a link there, whatever the flags.
static char *without_slashes(const char *path)
{
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	return len ? xstrndup(path, len) : xstrdup(".");
}

int tree_open_by_parts(int root, const char *path, enum tree_links links, int flags, mode_t mode)
{
	cleanup_walk struct walk w = { .root = root, .dir = -1, .text = without_slashes(path) };

	w.rest = w.text;
	if (go_down(&w, 0) < 0)
		return -1;
	for (;;) {
		const char *part = take_part(&w);
		int rc;

		if (!*part)
			return openat(w.dir, ".", flags | O_CLOEXEC);
		rc = advance(&w, part, links, flags);
		if (rc > 0)
			return openat(w.dir, part, flags | O_NOFOLLOW | O_CLOEXEC, mode);
		if (rc < 0)
			return -1;
	}
}

// --- by the kernel -------------------------------------------------------------------------------

static int open_by_kernel(int root, const char *path, enum tree_links links, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned int)flags | O_CLOEXEC,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
			   (links == TREE_LINKS_REFUSED ? RESOLVE_NO_SYMLINKS : 0),
	};

	cleanup_free char *plain = without_slashes(path);

	// A rename anywhere while ".." was resolved: EAGAIN.
	for (int i = 0; i < RACES_MAX; i++) {
		long fd = syscall(SYS_openat2, root, plain, &how, sizeof(how));

		if (fd >= 0 || errno != EAGAIN)
			return (int)fd;
	}
	return -1;
}

int tree_open(int root, const char *path, enum tree_links links, int flags, mode_t mode)
{
	int fd = open_by_kernel(root, path, links, flags, mode);

	// EPERM is a seccomp filter's answer to what it does not know; if it was the file system's,
	// it comes again.
	if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN))
		return tree_open_by_parts(root, path, links, flags, mode);
	return fd;
}

// --- places --------------------------------------------------------------------------------------

void tree_place_close(struct tree_place *place)
{
	if (place->dir >= 0)
		close(place->dir);
	free(place->name);
	*place = (struct tree_place){ .dir = -1 };
}

int tree_find(int root, const char *path, enum tree_links links, struct tree_place *place)
{
	cleanup_free char *above = without_slashes(path);
	char *name;

	*place = (struct tree_place){ .dir = -1 };
	name = strrchr(above, '/');
	name = name ? name + 1 : above;
	if (!*name || streq(name, ".") || streq(name, "..")) {
		errno = EINVAL;
		return -1;
	}
	place->name = xstrdup(name);
	*name = '\0';
	place->dir = tree_open(root, above, links, O_PATH | O_DIRECTORY, 0);
	return place->dir < 0 ? -1 : 0;
}
