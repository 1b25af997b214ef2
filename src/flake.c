// SPDX-License-Identifier: MIT
#include "flake.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "flake_schema.h"
#include "fs_trust.h"
#include "paths.h"
#include "util.h"

bool flake_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 255 || name[0] == '.' || name[0] == ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
			return false;
	return true;
}

// What another user can change must not decide what runs: the test of fs_trust.h, on what was
// opened.
static int open_ours(int at, const char *name, const char *path, int flags, struct error *err)
{
	cleanup_free char *label = xasprintf("refusing %s", path);
	cleanup_fd int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);

	if (fd < 0)
		return error_set(err, errno, "cannot read %s", path);
	return fs_check_owner(fd, label, err) < 0 ? -1 : steal_fd(&fd);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_fragment(const struct dirent *e)
{
	return e->d_name[0] != '.' && str_ends(e->d_name, ".yaml");
}

static int merge_file(struct flake *flake, int dir, const char *name, const char *path,
		      struct error *err)
{
	cleanup_fd int fd = open_ours(dir, name, path, 0, err);
	struct node *doc;

	if (fd < 0)
		return -1;
	strv_push(&flake->files, path);
	// Its nodes keep the name.
	doc = doc_read(fd, flake->files.v[flake->files.n - 1], err);
	if (!doc)
		return -1;
	flake->doc = flake->doc ? doc_merge(flake->doc, doc) : doc;
	return 0;
}

// Launch hooks are there, too: it counts even without a fragment.
static int merge_dir(struct flake *flake, int at, const char *name, const char *path,
		     struct error *err)
{
	struct dirent **entries = NULL;
	int n, rc = 0;
	cleanup_fd int fd = -1;

	if (faccessat(at, name, F_OK, 0) < 0 && errno == ENOENT)
		return 0;
	fd = open_ours(at, name, path, O_DIRECTORY, err);
	if (fd < 0)
		return -1;
	n = scandirat(fd, ".", &entries, is_fragment, by_name);
	if (n < 0)
		return error_set(err, errno, "cannot read %s", path);
	for (int i = 0; i < n; i++) {
		cleanup_free char *file = xasprintf("%s/%s", path, entries[i]->d_name);

		if (rc == 0)
			rc = merge_file(flake, fd, entries[i]->d_name, file, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

// An alias is a relative link COMMAND.yaml -> FLAKE.yaml in the same directory.
static char *name_of_definition(const char *path, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n > 5) {
		target[n] = '\0';
		if (!strchr(target, '/') && str_ends(target, ".yaml"))
			return xstrndup(target, (size_t)n - 5);
	}
	return xstrdup(name);
}

// Who can write to ~/.flakes can put another directory in the place of that with the definitions.
static int check_root(const char *dir, struct error *err)
{
	const char *slash = strrchr(dir, '/');
	cleanup_free char *root = xstrndup(dir, slash ? (size_t)(slash - dir) : 0);
	cleanup_fd int fd = -1;

	if (*root)
		fd = open_ours(AT_FDCWD, root, root, O_DIRECTORY, err);
	return *root && fd < 0 ? -1 : 0;
}

static int open_dir(const char *dir, bool own, struct error *err)
{
	cleanup_fd int fd = open_ours(AT_FDCWD, dir, dir, O_DIRECTORY, err);

	return fd < 0 || (own && check_root(dir, err) < 0) ? -1 : steal_fd(&fd);
}

static int load_from(const char *dir, const char *name, struct flake *flake, struct error *err)
{
	cleanup_free char *path = xasprintf("%s/%s.yaml", dir, name);
	cleanup_free char *fragments = NULL;
	cleanup_fd int at = -1;

	if (access(path, F_OK) < 0)
		return error_set(err, errno, "cannot read %s", path);
	at = open_dir(dir, flake->own, err);
	if (at < 0)
		return -1;
	flake->name = name_of_definition(path, name);
	flake->command = xstrdup(name);
	flake->file = streq(flake->name, name) ? xstrdup(path)
					       : xasprintf("%s/%s.yaml", dir, flake->name);
	fragments = xasprintf("%s/%s.d", dir, flake->name);
	if (merge_file(flake, at, path_base(flake->file), flake->file, err) < 0 ||
	    merge_dir(flake, at, path_base(fragments), fragments, err) < 0)
		return -1;
	return schema_read(flake, err);
}

// Directory of the user's own definitions; NULL: there is none. Caller frees.
static char *own_dir(const struct flake_where *where)
{
	cleanup_free char *root = where->user_dir ? NULL : paths_user_root();

	if (where->user_dir)
		return xstrdup(where->user_dir);
	return root ? xasprintf("%s/flakes", root) : NULL;
}

// Is one there, or kept from being seen? Such a one must not be passed over.
static bool may_define(const char *dir, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s.yaml", dir, name);

	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int load_own(const char *dir, const char *name, struct flake *flake, struct error *err)
{
	flake->own = true;
	return load_from(dir, name, flake, err);
}

static int load_any(const char *name, const struct flake_where *where, struct flake *flake,
		    struct error *err)
{
	const char *prefix = where->prefix ? where->prefix : paths_prefix();
	cleanup_free char *dir = xasprintf("%s%s", prefix, FLAKES_DIR);
	cleanup_free char *own = NULL;
	cleanup_error struct error why = { 0 };
	int rc;

	flake->own = where->dir && where->own;
	rc = load_from(where->dir ? where->dir : dir, name, flake, err);
	if (where->dir || (rc == 0 && !flake->user_may_override))
		return rc;
	if (rc < 0 && (flake->name || err->code != ENOENT))
		return -1;
	own = own_dir(where);
	if (rc == 0) {
		if (!own || !may_define(own, name))
			return 0;
		flake_free(flake);
		return load_own(own, name, flake, err);
	}
	if (!own || load_own(own, name, flake, &why) == 0)
		return own ? 0 : -1;
	// Missing in both places: the first message, which names the system's file, stands.
	if (why.code == ENOENT && !flake->name)
		return -1;
	error_clear(err);
	err->code = why.code == ENOENT ? ERR_FLAKE : why.code;
	err->message = steal_ptr(&why.message);
	return -1;
}

int flake_load(const char *name, const struct flake_where *where, struct flake *out,
	       struct error *err)
{
	cleanup_flake struct flake flake = { 0 };
	cleanup_error struct error own = { 0 };
	static const struct flake_where anywhere = { 0 };

	if (!flake_name_is_valid(name))
		return error_set(err, EINVAL, "'%.80s' is no name of a flake", name);
	if (load_any(name, where ? where : &anywhere, &flake, err ? err : &own) < 0)
		return -1;
	*out = flake;
	flake = (struct flake){ 0 };
	return 0;
}

const struct flake_app *flake_app_of(const struct flake *flake, const char *command)
{
	for (size_t i = 0; i < flake->napps; i++)
		if (streq(path_base(flake->apps[i].path), command))
			return &flake->apps[i];
	return flake->napps ? &flake->apps[0] : NULL;
}

bool flake_shares(const struct flake *flake, const char *word)
{
	for (size_t i = 0; i < flake->share.n; i++)
		if (streq(flake->share.v[i], word))
			return true;
	return false;
}

void flake_free(struct flake *flake)
{
	for (size_t i = 0; i < flake->napps; i++) {
		free(flake->apps[i].path);
		free(flake->apps[i].target);
		free(flake->apps[i].user);
		free(flake->apps[i].instance);
	}
	free(flake->apps);
	free(flake->name);
	free(flake->command);
	free(flake->file);
	free(flake->engine);
	free(flake->image);
	free(flake->user);
	free(flake->base);
	strv_free(&flake->files);
	strv_free(&flake->options);
	strv_free(&flake->share);
	strv_free(&flake->layers);
	strv_free(&flake->archives);
	free(flake->signature_policy);
	strv_free(&flake->signature_keys);
	strv_free(&flake->include_tar);
	strv_free(&flake->include_path);
	strv_free(&flake->unknown);
	strv_free(&flake->unknown_at);
	node_free(flake->doc);
	*flake = (struct flake){ 0 };
}
