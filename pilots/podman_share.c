// SPDX-License-Identifier: MIT
#include "podman_share.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>

#include "util.h"

// Does "SRC:DST[:OPTIONS]" or "DST" mount something at path?
static bool volume_is_at(const char *volume, const char *path)
{
	const char *colon = strchr(volume, ':');
	const char *at = colon ? colon + 1 : volume;
	size_t n = strcspn(at, ":");

	return n == strlen(path) && strncmp(at, path, n) == 0;
}

// A volume of the definition at the same place wins.
static bool has_volume_at(const struct strv *options, const char *path)
{
	for (size_t i = 0; i < options->n; i++) {
		const char *token = options->v[i];

		if (str_starts(token, "--volume=") &&
		    volume_is_at(token + strlen("--volume="), path))
			return true;
		if ((streq(token, "--volume") || streq(token, "-v")) && i + 1 < options->n &&
		    volume_is_at(options->v[i + 1], path))
			return true;
	}
	return false;
}

// A field of --mount, which is CSV: in quotes, with quotes doubled.
static char *csv_field(const char *name, const char *value)
{
	char *out = xmalloc(strlen(name) + 2 * strlen(value) + 4);
	char *p = out;

	p += sprintf(p, "\"%s=", name);
	for (; *value; value++) {
		if (*value == '"')
			*p++ = '"';
		*p++ = *value;
	}
	strcpy(p, "\"");
	return out;
}

static int push_mount(struct strv *argv, const struct plan *plan, const char *mount,
		      struct error *err)
{
	bool readonly = str_starts(mount, "ro:");
	const char *path = mount + 3;
	cleanup_free char *source = NULL, *destination = NULL;

	if ((!readonly && !str_starts(mount, "rw:")) || path[0] != '/')
		return error_set(err, EINVAL, "mount '%s' is neither rw:/PATH nor ro:/PATH", mount);
	if (has_volume_at(&plan->options, path))
		return 0;
	if (!strchr(path, ':')) {
		strv_pushf(argv, "--volume=%s:%s%s", path, path, readonly ? ":ro" : "");
		return 0;
	}
	// --volume cannot hold such a path.
	source = csv_field("source", path);
	destination = csv_field("destination", path);
	strv_pushf(argv, "--mount=type=bind,%s,%s%s", source, destination,
		   readonly ? ",readonly" : "");
	return 0;
}

static const char *env_of(const struct plan *plan, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = plan->env.n; i > 0; i--)
		if (strncmp(plan->env.v[i - 1], name, n) == 0 && plan->env.v[i - 1][n] == '=')
			return plan->env.v[i - 1] + n + 1;
	return NULL;
}

// Whose podman it will be.
static int engine_user(const struct plan *plan, uid_t *uid, struct error *err)
{
	const struct passwd *pw = plan->user ? getpwnam(plan->user) : NULL;

	if (plan->user && !pw)
		return error_set(err, ERR_FLAKE, "there is no user '%s'", plan->user);
	*uid = pw ? pw->pw_uid : geteuid();
	return 0;
}

// Programs look up their user's name and home. podman has no entry for users that are only known
// outside, and would write one without either.
static void push_passwd_entry(struct strv *argv, const struct plan *plan, uid_t uid)
{
	const struct passwd *pw = uid ? getpwuid(uid) : NULL;
	const char *home = env_of(plan, "HOME");

	if (!pw || strchr(pw->pw_name, ':') || (home && strchr(home, ':')))
		return;
	strv_pushf(argv, "--passwd-entry=%s:*:%s:%s:%s:/bin/sh", pw->pw_name, plan->run_user,
		   pw->pw_name, home ? home : "/");
}

// Rootless podman can give its own user's files only, through keep-id. The image may name another
// user, so --user is given in both cases.
static int push_user(struct strv *argv, const struct plan *plan, struct error *err)
{
	unsigned long uid;
	uid_t engine = 0;
	char *end;

	if (!plan->run_user)
		return 0;
	if (engine_user(plan, &engine, err) < 0)
		return -1;
	errno = 0;
	uid = strtoul(plan->run_user, &end, 10);
	if (errno || end == plan->run_user || *end != ':' || uid > UINT_MAX)
		return error_set(err, EINVAL, "run_user '%s' is not UID:GID", plan->run_user);
	if (engine != 0 && engine != uid)
		return error_set(err, ERR_FLAKE,
				 "flake '%s' shares 'user' and runs as '%s', whose podman cannot "
				 "have files of user %lu",
				 plan->flake, plan->user ? plan->user : "", uid);
	if (engine != 0)
		strv_push(argv, "--userns=keep-id");
	strv_pushf(argv, "--user=%s", plan->run_user);
	if (engine == 0)
		push_passwd_entry(argv, plan, (uid_t)uid);
	return 0;
}

// The entries of an Xauthority file are looked up by host name.
static void push_hostname(struct strv *argv, const struct plan *plan)
{
	char name[HOST_NAME_MAX + 1];

	for (size_t i = 0; i < plan->options.n; i++)
		if (str_starts(plan->options.v[i], "--uts") ||
		    str_starts(plan->options.v[i], "--pod"))
			return;
	if (env_of(plan, "XAUTHORITY") && gethostname(name, sizeof(name)) == 0)
		strv_pushf(argv, "--hostname=%s", name);
}

int podman_share(struct strv *argv, const struct plan *plan, struct error *err)
{
	for (size_t i = 0; i < plan->mounts.n; i++)
		if (push_mount(argv, plan, plan->mounts.v[i], err) < 0)
			return -1;
	if (plan->workdir)
		strv_pushf(argv, "--workdir=%s", plan->workdir);
	push_hostname(argv, plan);
	return push_user(argv, plan, err);
}
