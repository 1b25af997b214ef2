// SPDX-License-Identifier: MIT
#include "user.h"

#include <errno.h>
#include <grp.h>

#include "util.h"

enum { FIELDS = 7, GROUPS = 1024 };

// Cuts a line of /etc/passwd or /etc/group up; missing fields are empty.
static void cut(char *line, char *fields[FIELDS])
{
	static char empty[1];

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < FIELDS; i++)
		fields[i] = line ? strsep(&line, ":") : empty;
}

// Is the text that number?
static bool is_id(const char *text, unsigned id)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	return *text && !*end && value == id;
}

// Field number `which` of the user's line; NULL: there is none.
static char *look_up(uid_t uid, int which)
{
	cleanup_file FILE *f = fopen("/etc/passwd", "re");
	char line[4096];
	char *fields[FIELDS];

	while (f && fgets(line, sizeof(line), f)) {
		cut(line, fields);
		if (is_id(fields[2], uid))
			return xstrdup(fields[which]);
	}
	return NULL;
}

char *user_home(uid_t uid)
{
	char *home = look_up(uid, 5);

	if (home && *home == '/')
		return home;
	free(home);
	return xstrdup(uid ? "/" : "/root");
}

static bool has_member(char *members, const char *name)
{
	char *member;

	while ((member = strsep(&members, ",")))
		if (streq(member, name))
			return true;
	return false;
}

// The groups of a user of that name; returns their number.
static size_t read_groups(const char *name, gid_t *groups, size_t max)
{
	cleanup_file FILE *f = fopen("/etc/group", "re");
	cleanup_free char *line = NULL;
	size_t cap = 0, n = 0;
	char *fields[FIELDS], *end;

	while (f && n < max && getline(&line, &cap, f) > 0) {
		unsigned long id;

		cut(line, fields);
		id = strtoul(fields[2], &end, 10);
		if (*fields[2] && !*end && id < (gid_t)-1 && has_member(fields[3], name))
			groups[n++] = (gid_t)id;
	}
	return n;
}

int user_become(uid_t uid, gid_t gid)
{
	gid_t groups[GROUPS] = { gid };
	cleanup_free char *name = NULL;
	size_t n = 1;

	// For setresuid and setresgid that means "as it is": root.
	if (uid == (uid_t)-1 || gid == (gid_t)-1) {
		errno = EINVAL;
		return -1;
	}
	// Somebody else than root stays who he is (sci --serve).
	if (getuid() != 0 && getuid() == uid && getgid() == gid)
		return 0;
	name = look_up(uid, 0);
	if (name)
		n += read_groups(name, groups + 1, GROUPS - 1);
	if (setgroups(n, groups) < 0 || setresgid(gid, gid, gid) < 0)
		return -1;
	return setresuid(uid, uid, uid);
}
