// SPDX-License-Identifier: MIT
#include "paths.h"
#include "pilot.h"
#include "util.h"

static bool has_lua(const char *dir)
{
	cleanup_dir DIR *d = opendir(dir);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && str_ends(e->d_name, ".lua"))
			return true;
	return false;
}

static bool root_has_hooks(const char *prefix, const char *root)
{
	cleanup_free char *launch = xasprintf("%s%s/hooks/launch.d", prefix, root);
	cleanup_free char *leave = xasprintf("%s%s/hooks/exit.d", prefix, root);

	return has_lua(launch) || has_lua(leave);
}

bool hooks_present(const struct flake *flake)
{
	cleanup_free char *base = xstrndup(flake->file, strlen(flake->file) - strlen(".yaml"));
	cleanup_free char *of_flake = xasprintf("%s.d/launch.lua", base);
	cleanup_free char *own = flake->own ? paths_user_root() : NULL;

	return access(of_flake, F_OK) == 0 || root_has_hooks(paths_prefix(), SITE_DIR) ||
	       (own && root_has_hooks("", own));
}
