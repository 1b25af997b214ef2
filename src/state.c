// SPDX-License-Identifier: MIT
#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "paths.h"
#include "util.h"

enum { STATE_MAX = 16 << 20 };

#define SHARED_BASE "/run/flakes"

// Where all can write, another user may have made what should be ours: only root can take it away.
static int refuse(const char *path, int code, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) < 0 || st.st_uid == geteuid())
		return error_set(err, code, "cannot open %s", path);
	return error_set(err, EPERM,
			 "refusing %s: it must be yours alone (mode 0700) but is user %u's; as "
			 "root: flake-ctl init --force",
			 path, st.st_uid);
}

// A directory that somebody else made must not be used: ours alone, 0700.
static int check_ours(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set(err, errno, "cannot read %s", path);
	if (st.st_uid != geteuid())
		return refuse(path, EPERM, err);
	if (st.st_mode & 077)
		return error_set(err, EPERM, "refusing %s: it must be yours alone (mode 0700)",
				 path);
	return 0;
}

static int open_private(const char *path, struct error *err)
{
	cleanup_fd int fd = -1;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(err, errno, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return refuse(path, errno, err);
	return check_ours(fd, path, err) < 0 ? -1 : steal_fd(&fd);
}

// Is it a directory of that owner which others cannot write to (a sticky one they may)?
static bool is_base(const char *path, uid_t owner)
{
	struct stat st;

	return path && path[0] == '/' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == owner && (!(st.st_mode & 022) || (st.st_mode & S_ISVTX));
}

static char *path_for_user(uid_t uid)
{
	cleanup_free char *session = xasprintf("/run/user/%u", uid);
	const char *xdg = secure_getenv("XDG_RUNTIME_DIR");

	if (is_base(xdg, uid))
		return xasprintf("%s/flakes", xdg);
	if (is_base(session, uid))
		return xasprintf("%s/flakes", session);
	if (is_base(SHARED_BASE, 0))
		return xasprintf(SHARED_BASE "/%u", uid);
	return xasprintf("/tmp/flakes-%u", uid);
}

// Gives a new directory its mode, whatever the umask.
static int set_mode(const char *path, mode_t mode)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -1 : fchmod(fd, mode);
}

// The directory where each user has one of his own.
static int make_shared_base(const char *base, struct error *err)
{
	if (mkdir(base, 0755) == 0 && set_mode(base, 01777) < 0)
		return error_set(err, errno, "cannot make %s", base);
	if (!is_base(base, 0))
		return error_set(err, EPERM, "refusing %s: it must be root's, mode 1777", base);
	return 0;
}

// Below FLAKE_ROOT nothing is shared.
static char *path_below(const char *prefix, uid_t uid)
{
	cleanup_free char *run = xasprintf("%s/run", prefix);

	mkdir(run, 0755);
	return xasprintf("%s/flakes-%u", run, uid);
}

int state_open(char **path, struct error *err)
{
	const char *prefix = paths_prefix();
	uid_t uid = geteuid();
	cleanup_free char *dir = NULL;
	int fd;

	if (!*prefix && uid == 0 && make_shared_base(SHARED_BASE, err) < 0)
		return -1;
	if (*prefix)
		dir = path_below(prefix, uid);
	else
		dir = uid == 0 ? xstrdup(SHARED_BASE "/0") : path_for_user(uid);
	fd = open_private(dir, err);
	if (fd >= 0 && path)
		*path = steal_ptr(&dir);
	return fd;
}

// '_' and what is no letter, digit, '.' or '-' becomes _XX; so "__" can only be the separator.
static char *encode(char *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || c == '.' || c == '-')
			*out++ = (char)c;
		else
			out += sprintf(out, "_%02X", c);
	}
	*out = '\0';
	return out;
}

char *state_name(const char *flake, bool own)
{
	return xasprintf("%s%s", own ? "~" : "", flake);
}

void state_shorten(char *key)
{
	uint64_t hash = text_hash(key);

	if (strlen(key) > STATE_KEY_MAX)
		sprintf(key + STATE_KEY_MAX - 17, "-%016" PRIx64, hash);
}

char *state_key(const char *name, const char *instance, const char *command)
{
	size_t size =
		strlen(name) + (instance ? strlen(instance) : 0) + (command ? strlen(command) : 0);
	char *key = xmalloc(3 * size + 5), *end = encode(key, name);

	if (instance || command)
		end = encode(stpcpy(end, "__"), instance ? instance : "");
	if (command)
		encode(stpcpy(end, "__"), command);
	state_shorten(key);
	return key;
}

// What names a file in the directory, and none elsewhere.
static int check_name(const char *name, struct error *err)
{
	size_t n = strlen(name);

	if (n == 0 || n > NAME_MAX || name[0] == '.' || strchr(name, '/'))
		return error_set(err, EINVAL, "'%.80s' is no name of a file of state", name);
	return 0;
}

int state_read(int dir, const char *name, char **out, size_t *len, struct error *err)
{
	cleanup_fd int fd = -1;

	if (check_name(name, err) < 0)
		return -1;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "cannot read state of %s", name);
	return read_fd_all(fd, STATE_MAX, out, len, err);
}

int state_write(int dir, const char *name, const char *data, size_t len, struct error *err)
{
	cleanup_free char *temp = xasprintf("%s.tmp.%d", name, (int)getpid());
	cleanup_fd int fd = -1;

	if (check_name(name, err) < 0)
		return -1;
	unlinkat(dir, temp, 0);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0 && write_fd_all(fd, data, len) == 0 && renameat(dir, temp, dir, name) == 0)
		return 0;
	error_set(err, errno, "cannot write state of %s", name);
	unlinkat(dir, temp, 0);
	return -1;
}

void state_remove(int dir, const char *name)
{
	if (check_name(name, NULL) == 0)
		unlinkat(dir, name, 0);
}

int state_lock(int dir, const char *name, struct error *err)
{
	cleanup_free char *file = xasprintf("%s.lock", name);
	cleanup_fd int fd = -1;

	if (check_name(name, err) < 0)
		return -1;
	fd = openat(dir, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(err, errno, "cannot open lock of %s", name);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return error_set(err, errno, "cannot lock %s", name);
	return steal_fd(&fd);
}
