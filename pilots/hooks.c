// SPDX-License-Identifier: MIT
#include <errno.h>

#include "paths.h"
#include "pilot.h"
#include "util.h"

// What cannot be looked at may hold a hook that denies: only what is missing holds none.
static int unknown(const char *path, struct error *err)
{
	if (errno == ENOENT || errno == ENOTDIR)
		return 0;
	return error_set(err, errno, "cannot look for hooks in %s", path);
}

static int has_lua(const char *dir, struct error *err)
{
	cleanup_dir DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return unknown(dir, err);
	errno = 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && str_ends(e->d_name, ".lua"))
			return 1;
	return errno ? unknown(dir, err) : 0;
}

static int root_has_hooks(const char *prefix, const char *root, struct error *err)
{
	cleanup_free char *launch = xasprintf("%s%s/hooks/launch.d", prefix, root);
	cleanup_free char *leave = xasprintf("%s%s/hooks/exit.d", prefix, root);
	int rc = has_lua(launch, err);

	return rc ? rc : has_lua(leave, err);
}

int hooks_present(const struct flake *flake, struct error *err)
{
	cleanup_free char *base = xstrndup(flake->file, strlen(flake->file) - strlen(".yaml"));
	cleanup_free char *of_flake = xasprintf("%s.d/launch.lua", base);
	cleanup_free char *own = flake->own ? paths_user_root() : NULL;
	int rc = access(of_flake, F_OK) == 0 ? 1 : unknown(of_flake, err);

	if (rc == 0)
		rc = root_has_hooks(paths_prefix(), SITE_DIR, err);
	return rc == 0 && own ? root_has_hooks("", own, err) : rc;
}
