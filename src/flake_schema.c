// SPDX-License-Identifier: MIT
#include "flake_schema.h"

#include "util.h"

int schema_fail(const struct walk *w, const struct node *at, const char *key, const char *why)
{
	return error_set(w->err, ERR_FLAKE, "%s:%zu: '%s' %s",
			 at && at->file ? at->file : w->flake->file, at ? at->line : 1, key, why);
}

int schema_map(const struct walk *w, const struct node *map, const char *key, struct node **out)
{
	*out = doc_get(map, key);
	if (*out && (*out)->type == NODE_NULL)
		*out = NULL;
	if (*out && (*out)->type != NODE_MAP)
		return schema_fail(w, *out, key, "must be a map");
	return 0;
}

int schema_text(const struct walk *w, const struct node *map, const char *key, char **out)
{
	const struct node *node = doc_get(map, key);

	if (!node || node->type == NODE_NULL)
		return 0;
	if (node->type != NODE_SCALAR || strlen(node->value) != node->len)
		return schema_fail(w, node, key, "must be text");
	free(*out);
	*out = xstrdup(node->value);
	return 0;
}

int schema_bool(const struct walk *w, const struct node *map, const char *key, bool *out)
{
	const struct node *node = doc_get(map, key);

	if (!node || node->type == NODE_NULL)
		return 0;
	if (node->type != NODE_SCALAR ||
	    (strcasecmp(node->value, "true") != 0 && strcasecmp(node->value, "false") != 0))
		return schema_fail(w, node, key, "must be true or false");
	*out = strcasecmp(node->value, "true") == 0;
	return 0;
}

int schema_list(const struct walk *w, const struct node *map, const char *key, struct strv *out)
{
	const struct node *node = doc_get(map, key);

	if (!node || node->type == NODE_NULL)
		return 0;
	if (node->type != NODE_SEQ)
		return schema_fail(w, node, key, "must be a list");
	for (size_t i = 0; i < node->n; i++) {
		const struct node *item = node->items[i];

		if (item->type != NODE_SCALAR || strlen(item->value) != item->len)
			return schema_fail(w, item, key, "must hold texts only");
		strv_push(out, item->value);
	}
	return 0;
}

const char *const flake_share_words[] = { "cwd",       "home",	  "locale", "user",
					  "ssh-agent", "display", NULL };

static bool is_share_word(const char *word)
{
	for (const char *const *known = flake_share_words; *known; known++)
		if (streq(*known, word))
			return true;
	return false;
}

static int get_share(const struct walk *w, const struct node *runtime)
{
	const struct node *list = doc_get(runtime, "share");
	const struct strv *share = &w->flake->share;

	if (schema_list(w, runtime, "share", &w->flake->share) < 0)
		return -1;
	for (size_t i = 0; i < share->n; i++)
		if (!is_share_word(share->v[i]))
			return schema_fail(
				w, list->items[i], share->v[i],
				"is nothing to share: cwd, home, locale, user, ssh-agent, "
				"display");
	return 0;
}

// The files that hold the images: one as text, or a list. They are the host's, so absolute paths.
static int get_archives(const struct walk *w, const struct node *map)
{
	const struct node *node = doc_get(map, "archive");
	struct strv *out = &w->flake->archives;

	if (!node || node->type == NODE_NULL)
		return 0;
	if (node->type == NODE_SCALAR && strlen(node->value) == node->len)
		strv_push(out, node->value);
	else if (schema_list(w, map, "archive", out) < 0)
		return -1;
	for (size_t i = 0; i < out->n; i++)
		if (out->v[i][0] != '/')
			return schema_fail(w, node, "archive", "must be an absolute path");
	return 0;
}

// A file that is named beside the definition; absolute paths stay what they are.
static char *beside(const struct flake *flake, const char *path)
{
	const char *slash = strrchr(flake->file, '/');
	int dir = slash && path[0] != '/' ? (int)(slash - flake->file + 1) : 0;

	return xasprintf("%.*s%s", dir, flake->file, path);
}

static int get_signatures(const struct walk *w, const struct node *map)
{
	cleanup_free char *policy = NULL;
	cleanup_strv struct strv keys = { 0 };

	if (schema_text(w, map, "signature_policy", &policy) < 0 ||
	    schema_list(w, map, "signature_keys", &keys) < 0)
		return -1;
	if (policy)
		w->flake->signature_policy = beside(w->flake, policy);
	for (size_t i = 0; i < keys.n; i++)
		strv_take(&w->flake->signature_keys, beside(w->flake, keys.v[i]));
	return 0;
}

void schema_note_unknown(struct flake *flake, const struct node *map, const char *place,
			 const char *const *known)
{
	for (size_t i = 0; map && map->type == NODE_MAP && i < map->n; i++) {
		const char *const *k = known;

		while (*k && !streq(*k, map->keys[i]))
			k++;
		if (*k)
			continue;
		strv_pushf(&flake->unknown, "%s%s%s", place, *place ? "." : "", map->keys[i]);
		strv_pushf(&flake->unknown_at, "%s:%zu", map->items[i]->file, map->items[i]->line);
	}
}

static struct flake_app *add_app(struct flake *flake, const char *path)
{
	struct flake_app *app;

	flake->apps = xrealloc(flake->apps, (flake->napps + 1) * sizeof(*flake->apps));
	app = &flake->apps[flake->napps++];
	*app = (struct flake_app){ .path = xstrdup(path) };
	return app;
}

// "resume", "attach", or both or other words of older tools, between blanks.
static int get_instance(const struct walk *w, const struct node *map, struct flake_instance *out)
{
	cleanup_free char *words = NULL;
	char *rest, *word;

	if (schema_text(w, map, "instance", &words) < 0)
		return -1;
	for (rest = words; rest && (word = strsep(&rest, " "));) {
		out->resume |= streq(word, "resume");
		out->attach |= streq(word, "attach");
	}
	if (out->resume && out->attach)
		return schema_fail(w, map, "resume", "and 'attach' exclude each other");
	return 0;
}

static int get_app_instance(const struct walk *w, const struct node *map, struct flake_app *app)
{
	const struct node *words = doc_get(map, "instance");

	if (!words || words->type == NODE_NULL)
		return 0;
	app->instance = xcalloc(1, sizeof(*app->instance));
	return get_instance(w, map, app->instance);
}

// path_map: host path -> null or {exports, user, instance}.
static int read_path_map(const struct walk *w, const struct node *map)
{
	static const char *const known[] = { "exports", "user", "instance", NULL };
	const struct node *apps = doc_get(map, "path_map");

	if (!apps || apps->type == NODE_NULL)
		return 0;
	if (apps->type != NODE_MAP)
		return schema_fail(w, apps, "path_map", "must be a map");
	for (size_t i = 0; i < apps->n; i++) {
		const struct node *entry = apps->items[i];
		struct flake_app *app;

		if (apps->keys[i][0] != '/')
			return schema_fail(w, entry, apps->keys[i], "must be an absolute path");
		if (entry->type != NODE_NULL && entry->type != NODE_MAP)
			return schema_fail(w, entry, apps->keys[i], "must be null or a map");
		app = add_app(w->flake, apps->keys[i]);
		schema_note_unknown(w->flake, entry, "path_map", known);
		if (schema_text(w, entry, "exports", &app->target) < 0 ||
		    schema_text(w, entry, "user", &app->user) < 0 ||
		    get_app_instance(w, entry, app) < 0)
			return -1;
	}
	return 0;
}

static int read_include(const struct walk *w)
{
	static const char *const known[] = { "tar", "path", NULL };
	struct node *include;

	if (schema_map(w, w->flake->doc, "include", &include) < 0)
		return -1;
	schema_note_unknown(w->flake, include, "include", known);
	if (schema_list(w, include, "tar", &w->flake->include_tar) < 0)
		return -1;
	return schema_list(w, include, "path", &w->flake->include_path);
}

static int read_v1_machine(const struct walk *w, const struct node *runtime)
{
	struct node *machine;
	bool force_vsock = false;

	// Older tools had to be told which way to talk to the guest; there is one way now.
	if (schema_bool(w, runtime, "force_vsock", &force_vsock) < 0 ||
	    schema_map(w, runtime, "firecracker", &machine) < 0)
		return -1;
	return schema_machine(w, machine, "runtime.firecracker");
}

static int read_v1_runtime(const struct walk *w, const struct node *container)
{
	static const char *const known[] = { "runas",	    "resume", "attach",	     "share",
					     "force_vsock", "podman", "firecracker", NULL };
	struct flake *flake = w->flake;
	struct node *runtime;

	if (schema_map(w, container, "runtime", &runtime) < 0)
		return -1;
	schema_note_unknown(flake, runtime, "runtime", known);
	if (schema_text(w, runtime, "runas", &flake->user) < 0 ||
	    schema_bool(w, runtime, "resume", &flake->instance.resume) < 0 ||
	    schema_bool(w, runtime, "attach", &flake->instance.attach) < 0 ||
	    get_share(w, runtime) < 0)
		return -1;
	// The shipped template of older tools wrote "any" for "whoever calls".
	if (flake->user && streq(flake->user, "any")) {
		free(flake->user);
		flake->user = NULL;
	}
	if (streq(flake->engine, "podman"))
		return schema_list(w, runtime, "podman", &flake->options);
	return read_v1_machine(w, runtime);
}

static int read_v1_app(const struct walk *w, const struct node *container)
{
	struct flake *flake = w->flake;
	cleanup_free char *host = NULL, *target = NULL;
	struct flake_app *app;

	if (read_path_map(w, container) < 0 ||
	    schema_text(w, container, "host_app_path", &host) < 0 ||
	    schema_text(w, container, "target_app_path", &target) < 0)
		return -1;
	if (flake->napps)
		return 0;
	if (!host)
		host = xasprintf("/usr/bin/%s", flake->command);
	app = add_app(flake, host);
	app->target = steal_ptr(&target);
	return 0;
}

static int read_v1(const struct walk *w)
{
	static const char *const top[] = { "version", "container",	   "vm",
					   "include", "user_may_override", NULL };
	static const char *const in_vm[] = { "name",	 "target_app_path", "host_app_path",
					     "base_vm",	 "layers",	    "runtime",
					     "path_map", "signature_keys",  NULL };
	static const char *const known[] = {
		"name",	   "target_app_path",	      "host_app_path",	"base_container",
		"layers",  "check_host_dependencies", "runtime",	"path_map",
		"archive", "signature_policy",	      "signature_keys", NULL
	};
	struct flake *flake = w->flake;
	struct node *container, *vm;

	if (schema_map(w, flake->doc, "container", &container) < 0 ||
	    schema_map(w, flake->doc, "vm", &vm) < 0)
		return -1;
	if (!container && !vm)
		return schema_fail(w, flake->doc, "container", "or 'vm' is missing");
	schema_note_unknown(flake, flake->doc, "", top);
	flake->engine = xstrdup(container ? "podman" : "firecracker");
	schema_note_unknown(flake, container, "container", known);
	if (!container) {
		container = vm;
		schema_note_unknown(flake, vm, "vm", in_vm);
	}
	if (schema_text(w, container, "name", &flake->image) < 0)
		return -1;
	if (!flake->image || !*flake->image)
		return schema_fail(w, container, "name", "is missing");
	if (schema_text(w, container, "base_container", &flake->base) < 0 ||
	    schema_list(w, container, "layers", &flake->layers) < 0 ||
	    get_archives(w, container) < 0 || get_signatures(w, container) < 0 ||
	    schema_bool(w, container, "check_host_dependencies", &flake->check_host_dependencies) <
		    0 ||
	    read_v1_runtime(w, container) < 0)
		return -1;
	return read_v1_app(w, container);
}

// What older tools call "firecracker-pilot" is the engine's name with an end.
static int read_v2_machine(const struct walk *w, const struct node *engine)
{
	struct node *params;

	if (!streq(w->flake->engine, "firecracker"))
		return 0;
	return schema_map(w, engine, "params", &params) < 0
		       ? -1
		       : schema_machine(w, params, "engine.params");
}

static int read_v2(const struct walk *w)
{
	static const char *const top[] = { "version", "runtime",	   "engine", "static",
					   "include", "user_may_override", NULL };
	static const char *const in_runtime[] = { "name",	    "path_map", "base_layer",
						  "layers",	    "user",	"instance",
						  "share",	    "archive",	"signature_policy",
						  "signature_keys", NULL };
	static const char *const in_engine[] = { "pilot", "args", "params", NULL };
	struct flake *flake = w->flake;
	struct node *runtime, *engine;

	if (schema_map(w, flake->doc, "runtime", &runtime) < 0 ||
	    schema_map(w, flake->doc, "engine", &engine) < 0)
		return -1;
	schema_note_unknown(flake, flake->doc, "", top);
	schema_note_unknown(flake, runtime, "runtime", in_runtime);
	schema_note_unknown(flake, engine, "engine", in_engine);
	if (schema_text(w, runtime, "name", &flake->image) < 0 ||
	    schema_text(w, engine, "pilot", &flake->engine) < 0)
		return -1;
	if (!flake->image || !*flake->image)
		return schema_fail(w, runtime ? runtime : flake->doc, "runtime.name", "is missing");
	if (!flake->engine || !*flake->engine)
		return schema_fail(w, engine ? engine : flake->doc, "engine.pilot", "is missing");
	if (schema_text(w, runtime, "user", &flake->user) < 0 ||
	    schema_text(w, runtime, "base_layer", &flake->base) < 0 ||
	    schema_list(w, runtime, "layers", &flake->layers) < 0 || get_archives(w, runtime) < 0 ||
	    get_signatures(w, runtime) < 0 || read_v2_machine(w, engine) < 0 ||
	    schema_list(w, engine, "args", &flake->options) < 0 ||
	    schema_list(w, flake->doc, "static", &flake->include_tar) < 0 ||
	    get_instance(w, runtime, &flake->instance) < 0 || get_share(w, runtime) < 0 ||
	    read_path_map(w, runtime) < 0)
		return -1;
	if (!flake->napps) {
		cleanup_free char *host = xasprintf("/usr/bin/%s", flake->command);

		add_app(flake, host);
	}
	return 0;
}

// Does any command of the flake use a container that stays?
static bool keeps_instance(const struct flake *flake)
{
	bool keeps = flake->instance.resume || flake->instance.attach;

	for (size_t i = 0; i < flake->napps; i++) {
		const struct flake_instance *own = flake->apps[i].instance;

		keeps = keeps || (own && (own->resume || own->attach));
	}
	return keeps;
}

// A VM shares no directory or socket of its host.
static int check_machine(const struct walk *w)
{
	for (size_t i = 0; i < w->flake->share.n; i++) {
		const char *word = w->flake->share.v[i];

		if (!streq(word, "locale") && !streq(word, "user"))
			return schema_fail(w, w->flake->doc, word,
					   "cannot be shared with a VM: only locale and user can");
	}
	if (w->flake->instance.attach)
		return schema_fail(w, w->flake->doc, "attach",
				   "is for containers; a VM has resume");
	return 0;
}

// What each key allows alone but not together.
static int check(const struct walk *w)
{
	const struct flake *flake = w->flake;

	if (flake->instance.resume && flake->instance.attach)
		return schema_fail(w, flake->doc, "resume", "and 'attach' exclude each other");
	if (keeps_instance(flake) && flake_shares(flake, "cwd"))
		return schema_fail(
			w, flake->doc, "share",
			"cannot hold 'cwd' beside resume or attach: an instance is started "
			"once and cannot follow the caller's directory");
	if (streq(flake->engine, "firecracker"))
		return check_machine(w);
	if (flake->layers.n && !flake->base)
		return schema_fail(w, flake->doc, "layers", "need a base");
	if (streq(flake->engine, "podman") && flake->image[0] == '-')
		return schema_fail(w, flake->doc, "name", "must not begin with '-'");
	return 0;
}

int schema_read(struct flake *flake, struct error *err)
{
	struct walk w = { flake, err };
	const struct node *version = doc_get(flake->doc, "version");
	int rc;

	if (flake->doc->type != NODE_MAP)
		return error_set(err, ERR_FLAKE, "%s: a definition must be a map", flake->file);
	if (!version || version->type == NODE_NULL ||
	    (version->type == NODE_SCALAR && streq(version->value, "1")))
		rc = read_v1(&w);
	else if (version->type == NODE_SCALAR && streq(version->value, "2"))
		rc = read_v2(&w);
	else
		return schema_fail(&w, version, "version", "must be 1 or 2");
	if (rc < 0 || check(&w) < 0 ||
	    schema_bool(&w, flake->doc, "user_may_override", &flake->user_may_override) < 0)
		return -1;
	if (read_include(&w) < 0)
		return -1;
	if (streq(flake->engine, "firecracker"))
		schema_machine_includes(flake);
	return 0;
}
