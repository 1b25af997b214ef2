// SPDX-License-Identifier: MIT
// What a flake shares of its caller's surroundings, for any engine: paths that are the same inside,
// environment, working directory, user. What the caller cannot reach himself is never shared, for
// the engine may have more rights than he.
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>

#include "bytes.h"
#include "fs_trust.h"
#include "pilot.h"
#include "printable.h"
#include "util.h"

#define ZONES "/usr/share/zoneinfo/"

static int refuse(const char *path, const char *why, struct error *err)
{
	cleanup_free char *shown = printable(path);

	return error_set(err, ERR_FLAKE, "cannot share %s: %s", shown, why);
}

static bool is_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_type(const char *path, mode_t type)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static void set_env(struct plan *plan, const char *name, const char *value)
{
	strv_pushf(&plan->env, "%s=%s", name, value);
}

// mode is "rw" or "ro". A path that is inside already is not mounted twice.
static int add_mount(struct plan *plan, const char *mode, const char *path, struct error *err)
{
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return refuse(path, "its name holds control characters", err);
	if (bytes_need_encoding(path))
		return refuse(path, "its name is not UTF-8", err);
	for (size_t i = 0; i < plan->mounts.n; i++) {
		const char *other = plan->mounts.v[i];

		if ((streq(mode, "ro") || str_starts(other, "rw:")) && is_within(path, other + 3))
			return 0;
	}
	strv_pushf(&plan->mounts, "%s:%s", mode, path);
	return 0;
}

// Would the host's directory hide what makes the image work?
static bool hides_system(const char *path)
{
	static const char *const exact[] = { "/", "/run", "/var", "/opt", "/usr/local", NULL };
	static const char *const whole[] = { "/proc",
					     "/sys",
					     "/dev",
					     "/etc",
					     "/bin",
					     "/sbin",
					     "/lib",
					     "/lib32",
					     "/lib64",
					     "/libx32",
					     "/usr/bin",
					     "/usr/sbin",
					     "/usr/lib",
					     "/usr/lib32",
					     "/usr/lib64",
					     "/usr/libx32",
					     "/usr/libexec",
					     "/usr/include",
					     "/usr/share",
					     "/usr/local/bin",
					     "/usr/local/sbin",
					     "/usr/local/lib",
					     NULL };

	for (size_t i = 0; exact[i]; i++)
		if (streq(path, exact[i]))
			return true;
	for (size_t i = 0; whole[i]; i++)
		if (is_within(path, whole[i]))
			return true;
	return streq(path, "/usr");
}

static int add_directory(struct plan *plan, const char *dir, struct error *err)
{
	if (hides_system(dir))
		return refuse(dir, "it would hide that directory of the image", err);
	if (is_within(plan->target, dir) && access(plan->target, F_OK) < 0)
		return refuse(dir, "it would hide the program of the image", err);
	return add_mount(plan, "rw", dir, err);
}

static int share_home(struct plan *plan, struct error *err)
{
	const struct passwd *pw = getpwuid(getuid());
	struct stat st;

	if (!pw || pw->pw_dir[0] != '/')
		return error_set(err, ERR_FLAKE,
				 "cannot share the home directory: user %u has none", getuid());
	if (stat(pw->pw_dir, &st) < 0)
		return refuse(pw->pw_dir, strerror(errno), err);
	if (!S_ISDIR(st.st_mode) || st.st_uid != getuid())
		return refuse(pw->pw_dir, "it is no directory of the caller's own", err);
	set_env(plan, "HOME", pw->pw_dir);
	return add_directory(plan, pw->pw_dir, err);
}

static int share_cwd(struct plan *plan, struct error *err)
{
	plan->workdir = getcwd(NULL, 0);
	if (!plan->workdir)
		return refuse("the working directory", strerror(errno), err);
	// One that he is in, but could not go to.
	if (access(plan->workdir, X_OK) < 0)
		return refuse(plan->workdir, strerror(errno), err);
	return add_directory(plan, plan->workdir, err);
}

static bool is_locale(const char *variable)
{
	size_t caps = str_starts(variable, "LC_")
			      ? strspn(variable + 3, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
			      : 0;

	if (caps)
		return variable[3 + caps] == '=';
	return str_starts(variable, "LANG=") || str_starts(variable, "LANGUAGE=");
}

// The file of the caller's time zone; NULL: TZ says all. It is mounted, for an image without zone
// files would take the name of a zone for UTC.
static char *zone_file(const char *tz)
{
	cleanup_free char *file = NULL;

	if (tz && *tz == ':')
		tz++;
	if (!tz || streq(tz, "/etc/localtime"))
		file = xstrdup("/etc/localtime");
	else if (*tz && !strstr(tz, ".."))
		file = tz[0] == '/' ? xstrdup(tz) : xasprintf(ZONES "%s", tz);
	if (!file || !is_type(file, S_IFREG) || access(file, R_OK) < 0)
		return NULL;
	return streq(file, "/etc/localtime") || str_starts(file, ZONES) ? steal_ptr(&file) : NULL;
}

static int share_locale(struct plan *plan, struct error *err)
{
	const char *tz = getenv("TZ");
	cleanup_free char *zone = zone_file(tz);

	for (char **variable = environ; *variable; variable++)
		if (is_locale(*variable))
			strv_push(&plan->env, *variable);
	if (tz)
		set_env(plan, "TZ", tz);
	// A VM has no files of the host: there TZ has to do.
	return zone && !streq(plan->engine, "firecracker") ? add_mount(plan, "ro", zone, err) : 0;
}

static int share_user(struct plan *plan, struct error *err)
{
	(void)err;
	plan->run_user = xasprintf("%u:%u", getuid(), getgid());
	return 0;
}

// The engine finds it by its path once more: can nobody but root and the caller put another thing
// there meanwhile?
static bool stays_the_same(const char *path)
{
	cleanup_fd int fd = fs_walk(path, NULL);

	return fd >= 0;
}

static bool is_usable_socket(const char *path)
{
	return path && path[0] == '/' && is_type(path, S_IFSOCK) &&
	       access(path, R_OK | W_OK) == 0 && stays_the_same(path);
}

static int share_ssh_agent(struct plan *plan, struct error *err)
{
	const char *path = getenv("SSH_AUTH_SOCK");

	if (!is_usable_socket(path))
		return 0;
	set_env(plan, "SSH_AUTH_SOCK", path);
	return add_mount(plan, "rw", path, err);
}

// Where X servers have their sockets, unless a stranger made it: who connects there sends him what
// XAUTHORITY says.
static bool has_x11_sockets(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == getuid());
}

// XAUTHORITY, or what X clients take without it.
static char *xauthority(void)
{
	const char *named = getenv("XAUTHORITY");
	const struct passwd *pw = named ? NULL : getpwuid(getuid());
	cleanup_free char *path = named ? xstrdup(named)
				  : pw	? xasprintf("%s/.Xauthority", pw->pw_dir)
					: NULL;

	if (!path || path[0] != '/' || !is_type(path, S_IFREG) || access(path, R_OK) < 0 ||
	    !stays_the_same(path))
		return NULL;
	return steal_ptr(&path);
}

static int share_x11(struct plan *plan, struct error *err)
{
	static const char sockets[] = "/tmp/.X11-unix";
	const char *display = getenv("DISPLAY");
	cleanup_free char *authority = display && *display ? xauthority() : NULL;

	if (!display || !*display)
		return 0;
	set_env(plan, "DISPLAY", display);
	if (has_x11_sockets(sockets) && add_mount(plan, "ro", sockets, err) < 0)
		return -1;
	if (!authority)
		return 0;
	set_env(plan, "XAUTHORITY", authority);
	return add_mount(plan, "ro", authority, err);
}

static int share_wayland(struct plan *plan, struct error *err)
{
	const char *display = getenv("WAYLAND_DISPLAY"), *dir = getenv("XDG_RUNTIME_DIR");
	cleanup_free char *path = NULL;

	if (!display || !*display || !dir || dir[0] != '/')
		return 0;
	path = display[0] == '/' ? xstrdup(display) : xasprintf("%s/%s", dir, display);
	if (!is_usable_socket(path))
		return 0;
	set_env(plan, "WAYLAND_DISPLAY", display);
	set_env(plan, "XDG_RUNTIME_DIR", dir);
	return add_mount(plan, "rw", path, err);
}

static int share_display(struct plan *plan, struct error *err)
{
	return share_x11(plan, err) < 0 ? -1 : share_wayland(plan, err);
}

// An instance of another user's podman serves every caller: what the first one shares, all would
// have.
static int check_instance(const struct plan *plan, const struct flake *flake, struct error *err)
{
	static const char *const personal[] = { "home", "user", "ssh-agent", "display", NULL };

	for (size_t i = 0; plan->user && (plan->resume || plan->attach) && personal[i]; i++)
		if (flake_shares(flake, personal[i]))
			return error_set(
				err, ERR_FLAKE,
				"flake '%s' cannot share '%s': it runs as '%s' and keeps an "
				"instance, which serves other callers, too",
				plan->flake, personal[i], plan->user);
	return 0;
}

int share_apply(struct plan *plan, const struct flake *flake, struct error *err)
{
	// The home directory first: it holds most of the others.
	static const struct {
		const char *word;
		int (*share)(struct plan *plan, struct error *err);
	} parts[] = {
		{ "home", share_home },		  { "cwd", share_cwd },
		{ "locale", share_locale },	  { "user", share_user },
		{ "ssh-agent", share_ssh_agent }, { "display", share_display },
	};

	if (check_instance(plan, flake, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (flake_shares(flake, parts[i].word) && parts[i].share(plan, err) < 0)
			return -1;
	return 0;
}
