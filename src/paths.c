// SPDX-License-Identifier: MIT
#include "paths.h"

#include <limits.h>
#include <pwd.h>

#include "util.h"

const char *paths_prefix(void)
{
	const char *prefix = secure_getenv("FLAKE_ROOT");

	return prefix && prefix[0] == '/' ? prefix : "";
}

bool paths_skip_user(void)
{
	return geteuid() == 0 || getuid() != geteuid() || getenv("SUDO_UID");
}

char *paths_user_root(void)
{
	struct passwd *pw;

	if (paths_skip_user())
		return NULL;
	pw = getpwuid(getuid());
	return pw && pw->pw_dir[0] == '/' ? xasprintf("%s/.flakes", pw->pw_dir) : NULL;
}

char *paths_exe_dir(void)
{
	char buf[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf) - 1);

	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	*strrchr(buf, '/') = '\0';
	return xstrdup(buf);
}

char *paths_lib_file(const char *exe_dir, const char *name)
{
	cleanup_free char *dir = xstrndup(exe_dir, strlen(exe_dir) - strlen(path_base(exe_dir)));
	cleanup_free char *installed = xasprintf("%slib/flake-pilot/%s", dir, name);

	if (access(installed, F_OK) == 0)
		return steal_ptr(&installed);
	return xasprintf("%s/%s", exe_dir, name);
}

char *paths_bin_file(const char *exe_dir, const char *name)
{
	cleanup_free char *beside = xasprintf("%s/%s", exe_dir, name);

	// From PREFIX/lib/flake-pilot it is two levels up.
	return access(beside, F_OK) == 0 ? steal_ptr(&beside)
					 : xasprintf("%s/../../bin/%s", exe_dir, name);
}
