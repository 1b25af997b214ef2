// SPDX-License-Identifier: MIT
// The file: NUL-terminated texts; first the image, then one "STAMP PATH" for each watched path.
#include "composed.h"

#include <ctype.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "state.h"
#include "util.h"

enum { STAMP_MAX = 200 };

// What changes when a file is written, replaced or made: device, inode, size, times, mode, owner.
static void stamp(const char *path, char out[STAMP_MAX])
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		strcpy(out, "-");
		return;
	}
	snprintf(out, STAMP_MAX, "%ju:%ju:%jo:%u:%u:%jd:%jd.%09ld:%jd.%09ld", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino, (uintmax_t)st.st_mode, st.st_uid, st.st_gid,
		 (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
		 (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

char *composed_name(const char *flake)
{
	cleanup_free char *name = xmalloc(3 * strlen(flake) + 1);
	char *out = name;

	// A component of an image name is [a-z0-9]+ with single separators between (OCI
	// distribution specification); "f" in front, for it may not begin with one.
	for (; *flake; flake++) {
		unsigned char c = (unsigned char)*flake;

		if (islower(c) || isdigit(c))
			*out++ = (char)c;
		else
			out += sprintf(out, "_%02x", c);
	}
	*out = '\0';
	state_shorten(name);
	return xasprintf("localhost/flake-pilot/f%s", name);
}

static char *file_name(const char *flake)
{
	cleanup_free char *key = state_key(flake, NULL, NULL);

	return xasprintf("%s.image", key);
}

// Is "STAMP PATH" still true?
static bool holds(const char *entry)
{
	const char *path = strchr(entry, ' ');
	char now[STAMP_MAX];

	if (!path)
		return false;
	stamp(path + 1, now);
	return strlen(now) == (size_t)(path - entry) && strncmp(now, entry, strlen(now)) == 0;
}

char *composed_image(const char *flake, bool anyhow)
{
	cleanup_free char *name = file_name(flake);
	cleanup_free char *text = NULL;
	cleanup_fd int dir = state_open(NULL, NULL);
	size_t len;

	if (dir < 0 || state_read(dir, name, &text, &len, NULL) < 0 || !*text ||
	    text[len - 1] != '\0')
		return NULL;
	for (const char *entry = text + strlen(text) + 1; !anyhow && entry < text + len;
	     entry += strlen(entry) + 1)
		if (!holds(entry))
			return NULL;
	return xstrdup(text);
}

char *composed_watch(const char *path)
{
	char now[STAMP_MAX];

	stamp(path, now);
	return xasprintf("%s %s", now, path);
}

int composed_record(const char *flake, const char *image, const struct strv *watched,
		    struct error *err)
{
	cleanup_free char *name = file_name(flake);
	cleanup_free char *text = NULL;
	cleanup_fd int dir = state_open(NULL, err);
	size_t size = strlen(image) + 1;
	char *end;

	if (dir < 0)
		return -1;
	for (size_t i = 0; i < watched->n; i++)
		size += strlen(watched->v[i]) + 1;
	text = xmalloc(size);
	end = stpcpy(text, image) + 1;
	for (size_t i = 0; i < watched->n; i++)
		end = stpcpy(end, watched->v[i]) + 1;
	return state_write(dir, name, text, size, err);
}
