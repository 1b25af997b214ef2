// SPDX-License-Identifier: MIT
// The record of a composed image, the state directory, and files of the host for images.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "archive.h"
#include "composed.h"
#include "patience.h"
#include "state.h"
#include "util.h"

struct place {
	char root[64];
	char dir[128]; // of the state
	char file[128];
};

static void put(const char *path, const char *text)
{
	cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
}

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));

	strcpy(p->root, "/tmp/flake-unit.XXXXXX");
	assert_non_null(mkdtemp(p->root));
	chmod(p->root, 0755);
	snprintf(p->dir, sizeof(p->dir), "%s/run/flakes-%u", p->root, geteuid());
	snprintf(p->file, sizeof(p->file), "%s/watched", p->root);
	put(p->file, "text");
	setenv("FLAKE_ROOT", p->root, 1);
	*state = p;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct place *p = *state;

	unsetenv("FLAKE_ROOT");
	nftw(p->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static void record(const char *flake, const char *path)
{
	cleanup_strv struct strv watched = { 0 };

	strv_take(&watched, composed_watch(path));
	assert_int_equal(composed_record(flake, "abc", &watched, NULL), 0);
}

static void assert_fresh(const char *flake, bool fresh)
{
	cleanup_free char *image = composed_image(flake, false);
	cleanup_free char *anyhow = composed_image(flake, true);

	if (fresh)
		assert_string_equal(image, "abc");
	else
		assert_null(image);
	assert_string_equal(anyhow, "abc");
}

static void test_fresh_until_a_file_changes(void **state)
{
	struct place *p = *state;

	assert_null(composed_image("joe", false));
	assert_null(composed_image("joe", true));
	record("joe", p->file);
	assert_fresh("joe", true);
	put(p->file, "texts");
	assert_fresh("joe", false);
	record("joe", p->file);
	assert_fresh("joe", true);
	chmod(p->file, 0600);
	assert_fresh("joe", false);
	record("joe", p->file);
	unlink(p->file);
	assert_fresh("joe", false);
}

static void test_same_size_and_time_but_another_file(void **state)
{
	struct place *p = *state;
	cleanup_free char *other = xasprintf("%s/other", p->root);
	struct timespec times[2];
	struct stat st;

	record("joe", p->file);
	assert_int_equal(stat(p->file, &st), 0);
	put(other, "TEXT");
	times[0] = st.st_atim, times[1] = st.st_mtim;
	utimensat(AT_FDCWD, other, times, 0);
	rename(other, p->file);
	assert_fresh("joe", false);
}

static void test_a_missing_file_that_appears(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	record("joe", p->file);
	assert_fresh("joe", true);
	put(p->file, "");
	assert_fresh("joe", false);
}

static void test_a_link_counts_itself(void **state)
{
	struct place *p = *state;
	cleanup_free char *link = xasprintf("%s/link", p->root);

	assert_int_equal(symlink("watched", link), 0);
	record("joe", link);
	put(p->file, "other text");
	assert_fresh("joe", true);
	unlink(link);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_fresh("joe", false);
}

static void test_changes_before_the_record_count(void **state)
{
	struct place *p = *state;
	cleanup_strv struct strv watched = { 0 };

	strv_take(&watched, composed_watch(p->file));
	put(p->file, "changed while the image was made");
	assert_int_equal(composed_record("joe", "abc", &watched, NULL), 0);
	assert_fresh("joe", false);
}

static void test_paths_of_any_bytes(void **state)
{
	struct place *p = *state;
	cleanup_free char *path = xasprintf("%s/a b\n\xc3\xa9\xff 'x'", p->root);

	put(path, "");
	record("joe", path);
	assert_fresh("joe", true);
	unlink(path);
	assert_fresh("joe", false);
}

static void test_flakes_do_not_mix(void **state)
{
	struct place *p = *state;

	record("a_b", p->file);
	assert_null(composed_image("a.b", true));
	assert_null(composed_image("a", true));
	assert_fresh("a_b", true);
}

static void test_corrupt_records(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *text;
		size_t len;
	} bad[] = { { "", 0 },	       { "\0", 1 },	   { "abc", 3 },
		    { "abc\0x", 5 },   { "abc\0\0", 5 },   { "abc\0nostamp\0", 12 },
		    { "abc\0 \0", 6 }, { "abc\0- /\0", 8 } };
	cleanup_fd int dir = state_open(NULL, NULL);
	cleanup_free char *file = xasprintf("%s/joe.image", p->dir);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		state_write(dir, "joe.image", bad[i].text, bad[i].len, NULL);
		assert_null(composed_image("joe", false));
	}
	unlink(file);
	assert_int_equal(symlink(p->file, file), 0);
	assert_null(composed_image("joe", false));
	unlink(file);
	mkfifo(file, 0600);
	assert_null(composed_image("joe", false));
}

static void test_names(void **state)
{
	static const char *const flakes[][2] = {
		{ "joe", "localhost/flake-pilot/fjoe" },
		{ "Joe.x", "localhost/flake-pilot/f_4aoe_2ex" },
		{ "a_b", "localhost/flake-pilot/fa_5fb" },
		{ "9+", "localhost/flake-pilot/f9_2b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flakes) / sizeof(*flakes); i++) {
		cleanup_free char *name = composed_name(flakes[i][0]);

		assert_string_equal(name, flakes[i][1]);
	}
}

static void assert_refused(const char *why)
{
	cleanup_error struct error err = { 0 };
	cleanup_strv struct strv none = { 0 };

	assert_int_equal(state_open(NULL, &err), -1);
	assert_non_null(strstr(err.message, why));
	assert_null(composed_image("joe", true));
	assert_int_equal(composed_record("joe", "abc", &none, NULL), -1);
}

static void test_state_directory_must_be_ours_alone(void **state)
{
	struct place *p = *state;
	cleanup_free char *elsewhere = xasprintf("%s/elsewhere", p->root);

	record("joe", p->file);
	chmod(p->dir, 0755);
	assert_refused("yours alone");
	chmod(p->dir, 0770);
	assert_refused("yours alone");
	chmod(p->dir, 0700);
	assert_fresh("joe", true);
	if (geteuid() == 0) {
		assert_int_equal(chown(p->dir, 65534, 0), 0);
		assert_refused("yours alone");
		assert_int_equal(chown(p->dir, 0, 0), 0);
	}
	rename(p->dir, elsewhere);
	assert_int_equal(symlink(elsewhere, p->dir), 0);
	assert_refused("cannot open");
	unlink(p->dir);
	put(p->dir, "no directory");
	assert_refused("cannot open");
}

static void test_state_files(void **state)
{
	cleanup_fd int dir = state_open(NULL, NULL);
	cleanup_free char *key = state_key("a_b c", "x", NULL), *text = NULL;
	size_t len;

	(void)state;
	assert_string_equal(key, "a_5Fb_20c__x");
	assert_int_equal(state_write(dir, "f", "one", 3, NULL), 0);
	assert_int_equal(state_write(dir, "f", "t\0o", 3, NULL), 0);
	assert_int_equal(state_read(dir, "f", &text, &len, NULL), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "t\0o", 4);
	assert_int_equal(state_read(dir, "g", &text, &len, NULL), -1);
}

static void test_state_lock_excludes(void **state)
{
	cleanup_fd int dir = state_open(NULL, NULL);
	int lock = state_lock(dir, "f", NULL), status;
	pid_t pid;

	(void)state;
	assert_true(lock >= 0);
	pid = fork();
	if (pid == 0) {
		state_lock(dir, "f", NULL);
		_exit(0);
	}
	assert_true(wait_until(is_still, &pid));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	close(lock);
	lock = state_lock(dir, "f", NULL);
	assert_true(lock >= 0);
	close(lock);
}

static enum archive_public kind_of(const struct place *p, const char *path)
{
	cleanup_free char *to = xasprintf("%s/out.tar", p->root), *full = NULL;
	cleanup_strv struct strv paths = { 0 };
	enum archive_public kind;

	full = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", p->root, path);
	strv_push(&paths, full);
	unlink(to);
	assert_int_equal(archive_pack_public(to, &paths, &kind, NULL), 0);
	return kind;
}

static void test_public_files(void **state)
{
	struct place *p = *state;
	cleanup_free char *dir = xasprintf("%s/private", p->root);
	cleanup_free char *secret = xasprintf("%s/private/f", p->root);
	cleanup_free char *link = xasprintf("%s/link", p->root);
	cleanup_free char *through = xasprintf("%s/through", p->root);

	assert_int_equal(kind_of(p, "watched"), PUBLIC_FILE);
	chmod(p->file, 0750);
	assert_int_equal(kind_of(p, "watched"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "nothing"), PUBLIC_MISSING);
	assert_int_equal(kind_of(p, "watched/x"), PUBLIC_MISSING);
	mkdir(dir, 0755);
	put(secret, "");
	assert_int_equal(kind_of(p, "private"), PUBLIC_DIRECTORY);
	assert_int_equal(kind_of(p, "private/f"), PUBLIC_FILE);
	assert_int_equal(symlink("private", through), 0);
	assert_int_equal(symlink("private/f", link), 0);
	assert_int_equal(kind_of(p, "through/f"), PUBLIC_FILE);
	assert_int_equal(kind_of(p, "through"), PUBLIC_DIRECTORY);
	assert_int_equal(kind_of(p, "link"), PUBLIC_SYMLINK);
	chmod(dir, 0754);
	assert_int_equal(kind_of(p, "private/f"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "through/f"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "private/nothing"), PUBLIC_REFUSED);
	unlink(through);
	assert_int_equal(symlink("through", through), 0);
	assert_int_equal(kind_of(p, "through/f"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "/dev/null"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "/proc/self/status"), PUBLIC_REFUSED);
	assert_int_equal(kind_of(p, "/"), PUBLIC_DIRECTORY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fresh_until_a_file_changes),
		T(test_same_size_and_time_but_another_file),
		T(test_a_missing_file_that_appears),
		T(test_a_link_counts_itself),
		T(test_changes_before_the_record_count),
		T(test_paths_of_any_bytes),
		T(test_flakes_do_not_mix),
		T(test_corrupt_records),
		T(test_names),
		T(test_state_directory_must_be_ours_alone),
		T(test_state_files),
		T(test_state_lock_excludes),
		T(test_public_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
