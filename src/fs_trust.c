// SPDX-License-Identifier: MIT
#include "fs_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "util.h"

enum { LINKS_MAX = 40 };

// useradd makes a group for each user, and with it a umask of 002.
static bool is_private_group(gid_t gid)
{
	const struct passwd *pw = geteuid() != 0 ? getpwuid(geteuid()) : NULL;
	cleanup_free char *name = pw && pw->pw_gid == gid ? xstrdup(pw->pw_name) : NULL;
	const struct group *group = name ? getgrgid(gid) : NULL;

	if (!group || !streq(group->gr_name, name))
		return false;
	for (char **member = group->gr_mem; *member; member++)
		if (!streq(*member, name))
			return false;
	return true;
}

// With an ACL the mode of the group is that of all whom it names.
static bool has_acl(int fd)
{
	cleanup_free char *path = xasprintf("/proc/self/fd/%d", fd);

	return getxattr(path, "system.posix_acl_access", NULL, 0) >= 0 ||
	       (errno != ENODATA && errno != ENOTSUP);
}

static bool others_can_write(int fd, const struct stat *st)
{
	if (st->st_mode & S_IWOTH)
		return true;
	return (st->st_mode & S_IWGRP) && (!is_private_group(st->st_gid) || has_acl(fd));
}

// Tests what fd is open on. Returns 1 if it passes only as a sticky directory, in which others can
// put what is theirs.
static int check(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot check %s", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return error_set(err, EPERM, "%s: it belongs to user %u", path, st.st_uid);
	if (S_ISLNK(st.st_mode) || !others_can_write(fd, &st))
		return 0;
	if (S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX))
		return 1;
	return error_set(err, EPERM, "%s: others can write to it (mode %04o)", path,
			 st.st_mode & 07777U);
}

int fs_check_owner(int fd, const char *path, struct error *err)
{
	return check(fd, path, err) < 0 ? -1 : 0;
}

// Where a walk along a path is. No link is in path, nor followed to get there but those tested.
struct walk {
	char *path;  // what fd is open on
	int fd, dir; // dir: on the directory that holds it
	bool sticky; // which is a sticky one
	char *rest;  // what is still to go
	unsigned int links;
};

static void walk_end(struct walk *w)
{
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir >= 0)
		close(w->dir);
	free(w->path);
	free(w->rest);
}

static void set_fd(int *fd, int value)
{
	if (*fd >= 0)
		close(*fd);
	*fd = value;
}

static void set_text(char **text, char *value)
{
	free(*text);
	*text = value;
}

// Takes the next part of the rest; NULL: there is none. Caller frees.
static char *next_part(struct walk *w)
{
	size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/");
	char *part = n ? xstrndup(w->rest + skip, n) : NULL;

	set_text(&w->rest, xstrdup(w->rest + skip + n));
	return part;
}

static char *join(const char *path, const char *part)
{
	const char *slash = strrchr(path, '/');

	if (streq(part, ".."))
		return xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	return xasprintf("%s/%s", streq(path, "/") ? "" : path, part);
}

static int go_to_root(struct walk *w)
{
	set_fd(&w->fd, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	set_text(&w->path, xstrdup("/"));
	return w->fd;
}

// The link that fd is open on, and which was tested, takes the place of its part of the path.
static int follow(struct walk *w, int fd, const char *path, struct error *err)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);

	if (n < 0 || ++w->links > LINKS_MAX)
		return error_set(err, n < 0 ? errno : ELOOP, "cannot check %s", path);
	target[n] = '\0';
	set_text(&w->rest, xasprintf("%s/%s", target, w->rest));
	return target[0] == '/' && go_to_root(w) < 0 ? error_set(err, errno, "cannot check /") : 0;
}

// Goes from a directory, which is tested, to its entry of that name.
static int step(struct walk *w, const char *part, struct error *err)
{
	cleanup_free char *path = join(w->path, part);
	cleanup_fd int next = -1;
	int rc = check(w->fd, w->path, err);
	struct stat st;

	if (rc < 0)
		return -1;
	next = openat(w->fd, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &st) < 0)
		return error_set(err, errno, "cannot check %s", path);
	if (S_ISLNK(st.st_mode))
		return check(next, path, err) < 0 ? -1 : follow(w, next, path, err);
	w->sticky = rc > 0;
	set_fd(&w->dir, w->fd);
	w->fd = steal_fd(&next);
	set_text(&w->path, steal_ptr(&path));
	return 0;
}

// Goes along a path, testing all on the way but what it ends at.
static int walk(struct walk *w, const char *path, struct error *err)
{
	cleanup_free char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);

	w->rest = xasprintf("%s/%s", here ? here : "", path);
	if (go_to_root(w) < 0)
		return error_set(err, errno, "cannot check /");
	for (;;) {
		cleanup_free char *part = next_part(w);

		if (!part)
			return 0;
		if (!streq(part, ".") && step(w, part, err) < 0)
			return -1;
	}
}

int fs_walk(const char *path, struct error *err)
{
	struct walk w __attribute__((cleanup(walk_end))) = { .fd = -1, .dir = -1 };

	return walk(&w, path, err) < 0 ? -1 : steal_fd(&w.fd);
}

int fs_trusted(const char *path, struct error *err)
{
	struct walk w __attribute__((cleanup(walk_end))) = { .fd = -1, .dir = -1 };

	return walk(&w, path, err) < 0 ? -1 : fs_check_owner(w.fd, w.path, err);
}

int fs_open_trusted(const char *path, struct error *err)
{
	struct walk w __attribute__((cleanup(walk_end))) = { .fd = -1, .dir = -1 };
	cleanup_fd int fd = -1;
	struct stat st;

	if (walk(&w, path, err) < 0)
		return -1;
	if (w.sticky)
		return error_set(err, EPERM, "%s: others can put files beside it", w.path);
	fd = openat(w.dir, path_base(w.path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s", w.path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_FILE, "cannot read %s: it is no regular file", w.path);
	return fs_check_owner(fd, w.path, err) < 0 ? -1 : steal_fd(&fd);
}
