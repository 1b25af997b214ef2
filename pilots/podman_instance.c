// SPDX-License-Identifier: MIT
#include "podman.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "fs.h"
#include "fs_trust.h"
#include "instance.h"
#include "process.h"
#include "state.h"
#include "util.h"

int place_open(struct place *place, const struct plan *plan, struct error *err)
{
	cleanup_free char *path = NULL, *name = NULL;

	if (instance_tells(err) < 0)
		return -1;
	place->dir = state_open(&path, err);
	if (place->dir < 0)
		return -1;
	name = state_name(plan->flake, plan->own);
	// The application that calls attach to is that of one command.
	place->key = state_key(name, plan->instance, plan->attach ? plan->command : NULL);
	place->container = xasprintf("flake-%s", place->key);
	place->pidfile = xasprintf("%s/%s.pid", path, place->key);
	place->definition = plan->composed ? xasprintf("%s-%016" PRIx64, plan->definition,
						       text_hash(plan->image))
					   : xstrdup(plan->definition);
	return 0;
}

bool place_runs(const struct place *place, struct instance *instance)
{
	if (instance_load(place->dir, place->key, instance) <= 0)
		return false;
	if (instance->definition && streq(instance->definition, place->definition))
		return true;
	instance_free(instance);
	return false;
}

void place_close(struct place *place)
{
	if (place->dir >= 0)
		close(place->dir);
	free(place->key);
	free(place->container);
	free(place->pidfile);
	free(place->definition);
	*place = (struct place){ .dir = -1 };
}

// Where crun keeps its state, as podman tells it: root's is never elsewhere.
static void push_runtimes(struct strv *dirs)
{
	const char *xdg = secure_getenv("XDG_RUNTIME_DIR"), *temp = secure_getenv("TMPDIR");
	uid_t uid = geteuid();

	if (uid == 0) {
		strv_push(dirs, "/run/crun");
		return;
	}
	if (xdg && xdg[0] == '/')
		strv_pushf(dirs, "%s/crun", xdg);
	strv_pushf(dirs, "/run/user/%u/crun", uid);
	if (!temp || temp[0] != '/')
		temp = "/tmp";
	strv_pushf(dirs, "%s/podman-run-%u/crun", temp, uid);  // podman 4
	strv_pushf(dirs, "%s/storage-run-%u/crun", temp, uid); // podman 5
}

// The container's state in a runtime's directory, which can be nobody's but the caller's: who made
// it would get our calls, and say what becomes of them. Returns a descriptor or -1; *real: the
// directory as it was opened, without links, which the caller frees.
static int open_state(const char *dir, const char *id, char **real)
{
	cleanup_fd int root = fs_open_private(AT_FDCWD, dir, false, NULL);
	cleanup_free char *self = xasprintf("/proc/self/fd/%d", root);
	cleanup_free char *path = root < 0 ? NULL : realpath(self, NULL);
	cleanup_fd int state = -1;

	if (!path || fs_trusted(path, NULL) < 0)
		return -1;
	state = fs_open_private(root, id, false, NULL);
	if (state < 0 || faccessat(state, "status", R_OK, 0) < 0)
		return -1;
	*real = steal_ptr(&path);
	return steal_fd(&state);
}

bool podman_runtime_is_ours(const char *dir, const char *id)
{
	cleanup_free char *real = NULL;
	cleanup_fd int state = open_state(dir, id, &real);

	return state >= 0;
}

// The state of a container: a descriptor or -1; *dir: the runtime's directory.
static int find_state(const char *id, char **dir)
{
	cleanup_strv struct strv dirs = { 0 };
	int state = -1;

	push_runtimes(&dirs);
	for (size_t i = 0; i < dirs.n && state < 0; i++)
		state = open_state(dirs.v[i], id, dir);
	return state;
}

int podman_memory(const char *text, struct error *err)
{
	cleanup_fd int fd = memfd_create("flake-process", 0);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		return error_set(err, errno, "cannot hand the process to the runtime");
	return steal_fd(&fd);
}

// Notes how the OCI runtime can be asked without podman, if it is one that we know.
static void find_process(struct instance *instance)
{
	cleanup_free char *runtime = NULL, *text = NULL, *crun = process_which("crun", NULL);
	cleanup_fd int state = crun ? find_state(instance->id, &runtime) : -1;
	cleanup_node struct node *config = NULL;
	const struct node *process;
	size_t len;

	if (state < 0 || state_read(state, "config.json", &text, &len, NULL) < 0)
		return;
	config = doc_parse(text, len, "config.json", NULL);
	process = doc_get(config, "process");
	if (!process || process->type != NODE_MAP)
		return;
	instance->runtime = steal_ptr(&runtime);
	instance->process = doc_json(process);
}

static char *first_line(const char *text)
{
	return text ? xstrndup(text, strcspn(text, "\n")) : NULL;
}

// What the flake's image starts when no program is named, for a target of "/".
static int find_entry(const struct plan *plan, struct instance *instance, struct error *err)
{
	const char *const argv[] = { "podman",
				     "image",
				     "inspect",
				     "--format",
				     "[{{json .Config.Entrypoint}}, {{json .Config.Cmd}}]",
				     plan->image,
				     NULL };
	cleanup_free char *out = NULL;
	int rc = process_output(argv, false, &out, err);

	if (rc > 0)
		return error_set(err, ERR_FLAKE, "cannot read the entry point of image '%s'",
				 plan->image);
	if (rc == 0)
		instance->entry = first_line(out);
	return rc;
}

// Completes and records an instance whose id and pid are known.
static int record(const struct plan *plan, const struct place *place, struct instance *instance,
		  struct error *err)
{
	instance->start = instance_start_time(instance->pid);
	instance->definition = xstrdup(place->definition);
	if (!instance->start)
		return error_set(err, ERR_FLAKE, "the instance of flake '%s' ended at once",
				 plan->flake);
	if (plan->resume)
		find_process(instance);
	if (plan->resume && streq(plan->target, "/") && find_entry(plan, instance, err) < 0)
		return -1;
	return instance_save(place->dir, place->key, instance, err);
}

// What podman is asked of a container.
static const char facts[] = "{{.State.Running}} {{.State.Pid}} {{.Id}} "
			    "{{index .Config.Labels \"" LABEL_DEFINITION "\"}}";

// Is there a container although we know of none (our state was wiped, podman was killed)? One of
// the same definition that runs is taken over, any other is removed. Returns 1 if it was taken
// over.
static int adopt(const struct plan *plan, const struct place *place, struct error *err)
{
	const char *const inspect[] = { "podman", "container",	    "inspect", "--format",
					facts,	  place->container, NULL };
	const char *const remove[] = {
		"podman", "rm", "--force", "--ignore", place->container, NULL
	};
	cleanup_instance struct instance instance = { 0 };
	cleanup_free char *out = NULL;
	char id[65], definition[80];
	int rc = process_output(inspect, true, &out, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	// podman calls a container running whose conmon was killed, until somebody looks closer.
	if (sscanf(out, "true %d %64s %79s", &instance.pid, id, definition) == 3 &&
	    streq(definition, place->definition) && instance_start_time(instance.pid)) {
		instance.id = xstrdup(id);
		return record(plan, place, &instance, err) < 0 ? -1 : 1;
	}
	return process_output(remove, false, NULL, err) < 0 ? -1 : 0;
}

static pid_t read_pid(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[32] = "";

	return fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 ? (pid_t)atoi(text) : 0;
}

static bool container_exists(const struct place *place)
{
	const char *const argv[] = { "podman", "container", "exists", place->container, NULL };

	return process_output(argv, true, NULL, NULL) == 0;
}

static int start(const struct plan *plan, const struct place *place, struct error *err)
{
	cleanup_instance struct instance instance = { 0 };
	cleanup_free char *out = NULL;
	int rc;

	unlink(place->pidfile);
	rc = process_output((const char *const *)plan->start.v, false, &out, err);
	// A pilot that was killed may have left podman at work on the same container.
	if (rc > 0 && container_exists(place)) {
		rc = adopt(plan, place, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
		free(steal_ptr(&out));
		rc = process_output((const char *const *)plan->start.v, false, &out, err);
	}
	if (rc > 0)
		return error_set(err, ERR_FLAKE, "the instance of flake '%s' did not start",
				 plan->flake);
	if (rc < 0)
		return -1;
	instance.id = first_line(out);
	instance.pid = read_pid(place->pidfile);
	unlink(place->pidfile);
	return record(plan, place, &instance, err);
}

// Is the instance there now, under the lock? It may have come up while we waited.
static int is_there(const struct plan *plan, const struct place *place, struct error *err)
{
	cleanup_instance struct instance instance = { 0 };

	if (!place_runs(place, &instance))
		return adopt(plan, place, err);
	if (plan->resume && streq(plan->target, "/") && !instance.entry &&
	    (find_entry(plan, &instance, err) < 0 ||
	     instance_save(place->dir, place->key, &instance, err) < 0))
		return -1;
	return 1;
}

// The place of a plan's instance, under its lock: a descriptor, whose close unlocks.
static int open_locked(struct place *place, const struct plan *plan, struct error *err)
{
	return place_open(place, plan, err) < 0 ? -1 : state_lock(place->dir, place->key, err);
}

int podman_start(const struct plan *plan, struct error *err)
{
	cleanup_place struct place place = { .dir = -1 };
	cleanup_fd int lock = -1;
	int there;

	lock = open_locked(&place, plan, err);
	if (lock < 0)
		return -1;
	there = is_there(plan, &place, err);
	return there != 0 ? there : start(plan, &place, err);
}

// Waits until podman (process `engine`, which we are about to become) has started the container,
// and records it; gives up when podman ends first.
static void watch(const struct plan *plan, const struct place *place, pid_t engine)
{
	cleanup_instance struct instance instance = { .id = xstrdup(place->container) };
	unsigned long long began = instance_start_time(engine);
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	do {
		nanosleep(&pause, NULL);
		instance.pid = read_pid(place->pidfile);
	} while (instance.pid <= 0 && instance_start_time(engine) == began);
	// The file stays: conmon reads it, too, and nobody tells us when.
	if (instance.pid > 0)
		record(plan, place, &instance, NULL);
}

// The watcher holds the lock, and nothing else of the caller: no terminal, no pipe. It is nobody's
// child, so that podman has none that it does not know of.
static int start_watcher(const struct plan *plan, const struct place *place, struct error *err)
{
	pid_t engine = getpid(), pid = fork();

	if (pid < 0)
		return error_set(err, errno, "cannot watch the start of flake '%s'", plan->flake);
	if (pid > 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return 0;
	}
	if (fork() == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int fd = 0; fd < 3; fd++)
			dup2(null, fd);
		setsid();
		watch(plan, place, engine);
	}
	_exit(0);
}

int podman_attach(struct plan *plan, int (*compose)(struct plan *, struct error *),
		  struct error *err)
{
	cleanup_place struct place place = { .dir = -1 };
	cleanup_fd int lock = -1;
	int there;

	lock = open_locked(&place, plan, err);
	there = lock < 0 ? -1 : is_there(plan, &place, err);
	if (there < 0 || compose(plan, err) < 0)
		return -1;
	if (there)
		return 0;
	unlink(place.pidfile);
	return start_watcher(plan, &place, err);
}

int podman_end(const struct plan *plan, struct error *err)
{
	cleanup_place struct place place = { .dir = -1 };
	cleanup_fd int lock = -1;
	int rc;

	// Forgotten first, and under the lock: who calls now waits, and starts it anew.
	lock = open_locked(&place, plan, err);
	if (lock < 0)
		return -1;
	instance_forget(place.dir, place.key);
	{
		const char *const argv[] = { "podman",	 "rm",	     "--force",
					     "--ignore", "--time=2", place.container,
					     NULL };

		rc = process_output(argv, false, NULL, err);
	}
	if (rc > 0)
		return error_set(err, ERR_FLAKE, "cannot end the instance of flake '%s'",
				 plan->flake);
	return rc;
}
