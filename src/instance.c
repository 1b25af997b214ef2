// SPDX-License-Identifier: MIT
// The file: lines "id TEXT", "runtime PATH", "process JSON", "definition TEXT", "entry JSON",
// "flake TEXT", "name TEXT", "pid N", "start N".
#include "instance.h"

#include <errno.h>
#include <fcntl.h>

#include "state.h"
#include "strv.h"
#include "util.h"

unsigned long long instance_start_time(pid_t pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/stat", (int)pid);
	cleanup_free char *text = NULL;
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned long long start = 0;
	char state = 0;
	const char *rest;
	size_t len;

	if (pid <= 0 || fd < 0 || read_fd_all(fd, 4096, &text, &len, NULL) < 0)
		return 0;
	// The name in parentheses may hold anything; field 3 follows the last ")".
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest + 1,
			    " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			    "%*s %*s %llu",
			    &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

int instance_tells(struct error *err)
{
	char target[32] = "";
	ssize_t n = readlink("/proc/self", target, sizeof(target) - 1);

	if (n > 0 && atoi(target) == (int)getpid() && instance_start_time(getpid()))
		return 0;
	return error_set(err, ERR_FLAKE,
			 "cannot tell whether an instance runs: /proc is not there, or another PID "
			 "namespace's");
}

static bool number(const char *text, unsigned long long *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static void read_line(struct instance *out, char *line)
{
	char *value = strchr(line, ' ');
	unsigned long long n;

	if (!value)
		return;
	*value++ = '\0';
	if (streq(line, "id") && !out->id)
		out->id = xstrdup(value);
	else if (streq(line, "runtime") && !out->runtime)
		out->runtime = xstrdup(value);
	else if (streq(line, "process") && !out->process)
		out->process = xstrdup(value);
	else if (streq(line, "definition") && !out->definition)
		out->definition = xstrdup(value);
	else if (streq(line, "entry") && !out->entry)
		out->entry = xstrdup(value);
	else if (streq(line, "flake") && !out->flake)
		out->flake = xstrdup(value);
	else if (streq(line, "name") && !out->name)
		out->name = xstrdup(value);
	else if (streq(line, "pid") && number(value, &n) && n <= 1 << 30)
		out->pid = (pid_t)n;
	else if (streq(line, "start") && number(value, &n))
		out->start = n;
}

int instance_load(int dir, const char *key, struct instance *out)
{
	cleanup_free char *name = xasprintf("%s.run", key);
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t len;

	if (state_read(dir, name, &text, &len, NULL) < 0)
		return 0;
	for (rest = text; (line = strsep(&rest, "\n"));)
		read_line(out, line);
	if (out->id && *out->id && out->start && out->start == instance_start_time(out->pid))
		return 1;
	instance_free(out);
	return 0;
}

static void add_line(struct strv *lines, const char *key, const char *value)
{
	if (value)
		strv_pushf(lines, "%s %s\n", key, value);
}

int instance_save(int dir, const char *key, const struct instance *instance, struct error *err)
{
	cleanup_free char *name = xasprintf("%s.run", key);
	cleanup_free char *text = NULL;
	cleanup_strv struct strv lines = { 0 };
	size_t len = 0;

	add_line(&lines, "id", instance->id);
	add_line(&lines, "runtime", instance->runtime);
	add_line(&lines, "process", instance->process);
	add_line(&lines, "definition", instance->definition);
	add_line(&lines, "entry", instance->entry);
	add_line(&lines, "flake", instance->flake);
	add_line(&lines, "name", instance->name);
	strv_pushf(&lines, "pid %d\nstart %llu\n", (int)instance->pid, instance->start);
	text = strv_join(&lines, &len);
	return state_write(dir, name, text, len, err);
}

void instance_forget(int dir, const char *key)
{
	cleanup_free char *name = xasprintf("%s.run", key);

	state_remove(dir, name);
}

void instance_free(struct instance *instance)
{
	free(instance->id);
	free(instance->runtime);
	free(instance->process);
	free(instance->definition);
	free(instance->entry);
	free(instance->flake);
	free(instance->name);
	*instance = (struct instance){ 0 };
}
