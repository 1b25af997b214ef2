// SPDX-License-Identifier: MIT
// Kernel modules, by /lib/modules/RELEASE/modules.dep; without that file by the names of the files
// and what they say they need.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "sci.h"
#include "util.h"

#ifndef MODULE_INIT_COMPRESSED_FILE
#define MODULE_INIT_COMPRESSED_FILE 4 // headers before Linux 5.17 lack it
#endif

enum { DEPTH = 8, MODULES_DEP = 4 << 20 };

static char *module_dir(void)
{
	struct utsname name;

	uname(&name);
	return xasprintf("/lib/modules/%s", name.release);
}

// "kernel/x/virtio-rng.ko.xz" is virtio_rng: dashes and underscores are the same.
static bool is_module(const char *path, size_t len, const char *name)
{
	const char *base = memrchr(path, '/', len);
	size_t n = strlen(name);

	base = base ? base + 1 : path;
	if ((size_t)(path + len - base) < n + 3 || strncmp(base + n, ".ko", 3) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (base[i] != name[i] && !(base[i] == '-' && name[i] == '_') &&
		    !(base[i] == '_' && name[i] == '-'))
			return false;
	return true;
}

// The parameters of the command line that are a module's: NAME.PARAMETER=VALUE.
static char *parameters(const struct params *params, const char *name)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < params->words.n; i++) {
		const char *word = params->words.v[i];
		size_t n = strcspn(word, ".=");
		char *longer;

		if (word[n] != '.')
			continue;
		cleanup_free char *file = xasprintf("%.*s.ko", (int)n, word);
		if (!is_module(file, strlen(file), name))
			continue;
		longer = xasprintf("%s%s%s", text, *text ? " " : "", word + n + 1);
		free(text);
		text = longer;
	}
	return text;
}

// The kernel writes names with underscores only.
static bool is_loaded(const char *name)
{
	char path[256];
	int start = snprintf(path, sizeof(path), "/sys/module/");

	snprintf(path + start, sizeof(path) - (size_t)start, "%s", name);
	for (char *p = path + start; *p; p++)
		if (*p == '-')
			*p = '_';
	return access(path, F_OK) == 0;
}

static void load_file(const struct params *params, const char *path, const char *name)
{
	cleanup_free char *text = parameters(params, name);
	cleanup_fd int fd = -1;
	int flags = str_ends(path, ".ko") ? 0 : MODULE_INIT_COMPRESSED_FILE;

	if (is_loaded(name))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, text, flags) < 0 && errno != EEXIST))
		say("cannot load %s: %s", path, strerror(errno));
	trace(name);
}

// Loads what a line of modules.dep says: the module, and what it needs, last things first.
static void load_line(const struct params *params, const char *dir, char *line)
{
	cleanup_strv struct strv files = { 0 };
	char *word;

	while ((word = strsep(&line, ": ")))
		if (*word)
			strv_push(&files, word);
	for (size_t i = files.n; i-- > 0;) {
		cleanup_free char *path = xasprintf("%s/%s", dir, files.v[i]);
		cleanup_free char *name = xstrdup(path_base(files.v[i]));

		name[strcspn(name, ".")] = '\0';
		load_file(params, path, name);
	}
}

// The file of a module somewhere below a directory; NULL: there is none.
static char *find_file(const char *dir, const char *name, int depth)
{
	cleanup_dir DIR *d = depth < DEPTH ? opendir(dir) : NULL;
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		cleanup_free char *path = xasprintf("%s/%s", dir, entry->d_name);
		char *found = NULL;

		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR)
			found = find_file(path, name, depth + 1);
		else if (is_module(entry->d_name, strlen(entry->d_name), name))
			found = steal_ptr(&path);
		if (found)
			return found;
	}
	return NULL;
}

// What an uncompressed module says it needs: "depends=a,b" in its .modinfo.
static char *needs(const char *path)
{
	static const char key[] = "depends=";
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *found, *copy = NULL;
	struct stat st;
	void *map;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		return NULL;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return NULL;
	found = memmem(map, (size_t)st.st_size, key, sizeof(key) - 1);
	if (found) {
		found += sizeof(key) - 1;
		copy = xstrndup(found, (size_t)((char *)map + st.st_size - found));
	}
	munmap(map, (size_t)st.st_size);
	return copy;
}

static void load_found(const struct params *params, const char *dir, const char *name, int depth)
{
	cleanup_free char *path = depth < DEPTH ? find_file(dir, name, 0) : NULL;
	cleanup_free char *list = path ? needs(path) : NULL;
	char *rest = list, *need;

	while ((need = strsep(&rest, ",")))
		if (*need)
			load_found(params, dir, need, depth + 1);
	if (path)
		load_file(params, path, name);
}

// modules.dep, read once for each place it may be at; NULL: there is none.
static char *read_index(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/modules.dep", dir);
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;

	if (fd >= 0)
		(void)read_fd_all(fd, MODULES_DEP, &text, NULL, NULL);
	return text;
}

void module_load(const struct params *params, const char *name)
{
	cleanup_free char *dir = NULL;
	cleanup_free char *index = NULL;
	char *rest, *line;

	if (is_loaded(name))
		return;
	dir = module_dir();
	index = read_index(dir);
	if (!index)
		load_found(params, dir, name, 0);
	rest = index;
	while ((line = strsep(&rest, "\n"))) {
		if (!is_module(line, strcspn(line, ":"), name))
			continue;
		load_line(params, dir, line);
		return;
	}
}

// Is a device of virtio's on the PCI bus?
static bool has_pci(void)
{
	cleanup_dir DIR *dir = opendir("/sys/bus/pci/devices");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		cleanup_free char *path =
			xasprintf("/sys/bus/pci/devices/%s/vendor", entry->d_name);
		cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
		char vendor[8] = "";

		if (fd >= 0 && read(fd, vendor, sizeof(vendor) - 1) > 0 &&
		    str_starts(vendor, "0x1af4"))
			return true;
	}
	return false;
}

static bool has_file_system(const char *name)
{
	cleanup_file FILE *f = fopen("/proc/filesystems", "re");
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (str_ends(line, name) && line[strlen(line) - strlen(name) - 1] == '\t')
			return true;
	}
	return false;
}

void modules_load(const struct params *params)
{
	const char *channel = params_get(params, "sci_channel");
	bool vsock =
		channel ? streq(channel, "vsock")
			: params_get(params, "sci_resume") || params_get(params, "sci_force_vsock");

	module_load(params, has_pci() ? "virtio_pci" : "virtio_mmio");
	module_load(params, "virtio_blk");
	if (channel && !vsock)
		module_load(params, "virtio_console");
	if (vsock)
		module_load(params, "vmw_vsock_virtio_transport");
	if (!has_file_system("ext4"))
		module_load(params, "ext4");
	if (!has_file_system("overlay"))
		module_load(params, "overlay");
	if (!params_get(params, "ip"))
		return;
	module_load(params, "virtio_net");
	module_load(params, "af_packet");
}
