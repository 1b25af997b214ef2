// SPDX-License-Identifier: MIT
// Foreign trees: nothing outside of one is found, changed or removed, with openat2 and without.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "fs.h"
#include "tree.h"
#include "util.h"

struct place {
	char *dir;  // with "tree" and "outside" in it
	char *real; // path of tree
	int root;
};

static void put(const char *dir, const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(fs_write(path, text, strlen(text), 0644, false, NULL), 0);
}

static void make_dir(const char *dir, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(fs_mkdir_p(path, 0755, NULL), 0);
}

static void make_link(const struct place *p, const char *target, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", p->real, name);

	assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	cleanup_free char *outside = NULL;

	*state = p;
	p->dir = fs_temp_dir(NULL, "test_tree", NULL);
	assert_non_null(p->dir);
	p->real = xasprintf("%s/tree", p->dir);
	outside = xasprintf("%s/outside", p->dir);
	make_dir(p->dir, "outside");
	put(outside, "secret", "of the host");
	make_dir(p->real, "etc/deep/er");
	put(p->real, "etc/file", "inside");
	make_link(p, outside, "absolute");
	make_link(p, "../outside", "relative");
	make_link(p, "/", "slash");
	make_link(p, "/etc", "etc-link");
	make_link(p, "etc-link/deep", "chain");
	make_link(p, "../../../..", "etc/deep/up");
	make_link(p, "loop-b", "loop-a");
	make_link(p, "loop-a", "loop-b");
	make_link(p, "nowhere", "dangling");
	make_link(p, "/proc/self/root", "magic");
	p->root = tree_root(p->real, NULL);
	assert_true(p->root >= 0);
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	close(p->root);
	assert_int_equal(fs_remove_tree(p->dir, NULL), 0);
	free(p->dir);
	free(p->real);
	free(p);
	return 0;
}

// The host's part is as it was.
static void assert_untouched(const struct place *p)
{
	cleanup_free char *path = xasprintf("%s/outside/secret", p->dir), *text = NULL;
	cleanup_free char *dir = xasprintf("%s/outside", p->dir);
	cleanup_dir DIR *d = opendir(dir);
	int n = 0;

	assert_int_equal(fs_read(path, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, "of the host");
	while (d && readdir(d))
		n++;
	assert_int_equal(n, 3);
}

// Device and inode of what is found, or the errno.
struct found {
	int code;
	dev_t dev;
	ino_t ino;
};

static struct found look(int fd)
{
	struct found found = { .code = fd < 0 ? errno : 0 };
	struct stat st;

	if (fd < 0)
		return found;
	assert_int_equal(fstat(fd, &st), 0);
	found.dev = st.st_dev;
	found.ino = st.st_ino;
	close(fd);
	return found;
}

static const char *const PATHS[] = { "",
				     ".",
				     "/",
				     "..",
				     "../..",
				     "etc",
				     "/etc/",
				     "etc/file",
				     "etc//./file",
				     "etc/../etc/file",
				     "etc/file/x",
				     "etc/nothing",
				     "etc/deep/../../..",
				     "absolute",
				     "absolute/secret",
				     "relative/secret",
				     "slash",
				     "slash/etc/file",
				     "etc-link/file",
				     "etc-link/../etc-link",
				     "chain/er",
				     "chain/../file",
				     "etc/deep/up",
				     "etc/deep/up/outside",
				     "etc/deep/up/etc/file",
				     "loop-a",
				     "loop-a/x",
				     "dangling",
				     "dangling/x",
				     "magic/etc/passwd",
				     "slash/" };

static void both_ways_find_the_same(void **state)
{
	static const int flags[] = { O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_DIRECTORY };
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
		for (int links = TREE_LINKS_INSIDE; links <= TREE_LINKS_REFUSED; links++) {
			for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
				enum tree_links how = (enum tree_links)links;
				struct found a =
					look(tree_open(p->root, PATHS[i], how, flags[f], 0));
				struct found b = look(
					tree_open_by_parts(p->root, PATHS[i], how, flags[f], 0));

				if (a.code != b.code || a.dev != b.dev || a.ino != b.ino)
					fail_msg("'%s', links %d, flags %zu: %s, and by parts %s",
						 PATHS[i], links, f, strerror(a.code),
						 strerror(b.code));
			}
		}
	}
}

static struct found inside(const struct place *p, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", p->real, name);

	return look(open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

static void links_end_inside(void **state)
{
	static const struct {
		const char *path, *is;
		int code;
	} cases[] = {
		{ "..", ".", 0 },
		{ "../../etc", "etc", 0 },
		{ "etc/deep/up/etc/file", "etc/file", 0 },
		{ "slash/etc", "etc", 0 },
		{ "etc-link/file", "etc/file", 0 },
		{ "chain/er", "etc/deep/er", 0 },
		{ "absolute/secret", NULL, ENOENT },
		{ "relative/secret", NULL, ENOENT },
		{ "magic/etc/passwd", NULL, ENOENT },
		{ "loop-a", NULL, ELOOP },
	};
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct found a =
			look(tree_open(p->root, cases[i].path, TREE_LINKS_INSIDE, O_PATH, 0));

		assert_int_equal(a.code, cases[i].code);
		if (cases[i].is)
			assert_true(a.ino == inside(p, cases[i].is).ino);
	}
	assert_int_equal(look(tree_open(p->root, "slash/etc", TREE_LINKS_REFUSED, O_PATH, 0)).code,
			 ELOOP);
}

static void magic_links_of_proc_are_none(void **state)
{
	cleanup_fd int proc = tree_root("/proc", NULL);
	cleanup_fd int root = tree_open(proc, "self/root", TREE_LINKS_INSIDE, O_PATH, 0);
	cleanup_fd int cwd = tree_open(proc, "self/cwd/tests", TREE_LINKS_INSIDE, O_PATH, 0);
	struct stat st, host;

	(void)state;
	assert_true(proc >= 0);
	assert_int_equal(stat("/", &host), 0);
	assert_true(root < 0 || (fstat(root, &st) == 0 && st.st_dev != host.st_dev));
	assert_true(cwd < 0);
}

// Whatever is done to a path through one of the links happens in the tree or not at all.
static void changes_stay_inside(void **state)
{
	static const char *const ways[] = { "absolute", "relative", "etc/deep/up/outside",
					    "slash/../../outside", "magic" };
	const struct place *p = *state;
	int r = p->root;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		cleanup_free char *new = xasprintf("%s/new", ways[i]);
		cleanup_free char *secret = xasprintf("%s/secret", ways[i]);
		cleanup_free char *text = NULL;
		size_t len;

		assert_int_equal(tree_mkdir(r, new, 0755, NULL), -1);
		assert_int_equal(tree_write(r, secret, "x", 1, 0644, NULL), -1);
		assert_int_equal(tree_rename(r, "etc/file", new, NULL), -1);
		assert_int_equal(tree_rename(r, secret, "etc/stolen", NULL), -1);
		assert_int_equal(tree_symlink(r, "x", new, NULL), -1);
		assert_int_equal(tree_chmod(r, secret, 0, NULL), -1);
		assert_int_equal(tree_rmdir(r, ways[i], NULL), -1);
		assert_int_equal(tree_read(r, secret, 100, &text, &len, NULL), -1);
		assert_int_equal(tree_copy(r, secret, r, "etc/stolen", 0644, NULL), -1);
		assert_int_equal(tree_copy(r, "etc/file", r, new, 0644, NULL), -1);
		assert_int_equal(tree_remove(r, secret, NULL), 0);
		assert_untouched(p);
	}
	// The links themselves are what goes.
	assert_int_equal(tree_remove(r, "absolute", NULL), 0);
	assert_int_equal(tree_write(r, "relative", "now a file", 10, 0640, NULL), 0);
	assert_untouched(p);
}

static void links_do_not_change_mode(void **state)
{
	const struct place *p = *state;
	cleanup_error struct error err = { 0 };
	struct stat st;

	assert_int_equal(tree_chmod(p->root, "absolute", 0, &err), -1);
	assert_int_equal(err.code, ERR_FILE);
	assert_int_equal(tree_chmod(p->root, "etc-link/file", 0600, NULL), 0);
	assert_int_equal(tree_stat(p->root, "etc/file", false, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tree_chmod(p->root, "etc/file", 0, NULL), 0);
	assert_int_equal(tree_chmod(p->root, "etc/file", 0644, NULL), 0);
}

static void directories_are_made_behind_links(void **state)
{
	const struct place *p = *state;
	cleanup_error struct error err = { 0 };

	assert_int_equal(tree_mkdir_p(p->root, "etc-link/a/b", 0755, NULL), 0);
	assert_int_equal(inside(p, "etc/a/b").code, 0);
	assert_int_equal(tree_mkdir_p(p->root, "/slash/../x/y/", 0700, NULL), 0);
	assert_int_equal(inside(p, "x/y").code, 0);
	assert_int_equal(tree_mkdir_p(p->root, "", 0755, NULL), 0);
	assert_int_equal(tree_mkdir_p(p->root, "dangling/x", 0755, &err), -1);
	assert_int_equal(err.code, EEXIST);
	assert_int_equal(tree_mkdir_p(p->root, "etc/file/x", 0755, &err), -1);
	assert_int_equal(err.code, ENOTDIR);
}

static void files_are_read_and_written(void **state)
{
	const struct place *p = *state;
	cleanup_error struct error err = { 0 };
	cleanup_free char *text = NULL, *target = NULL;
	cleanup_free char *fifo = xasprintf("%s/etc/fifo", p->real);
	mode_t mask = umask(0777);
	size_t len;
	int rc = tree_write(p->root, "etc-link/new", "text", 4, 0640, NULL);

	umask(mask);
	assert_int_equal(rc, 0);
	assert_int_equal(tree_read(p->root, "etc/new", 4, &text, &len, NULL), 0);
	assert_string_equal(text, "text");
	free(steal_ptr(&text));
	assert_int_equal(tree_read(p->root, "etc/new", 3, &text, &len, &err), -1);
	assert_int_equal(err.code, ERR_LIMIT);
	// Nobody writes to the FIFO: an open that waits would hang.
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(tree_read(p->root, "etc/fifo", 3, &text, &len, &err), -1);
	assert_int_equal(err.code, ERR_FILE);
	assert_int_equal(tree_write(p->root, "etc/fifo", "a", 1, 0640, NULL), 0);
	assert_int_equal(tree_write(p->root, "etc/deep", "a", 1, 0640, NULL), -1);
	target = tree_readlink(p->root, "etc/deep/up", NULL);
	assert_string_equal(target, "../../../..");
	assert_null(tree_readlink(p->root, "etc", NULL));
}

static void no_name_is_a_place(void **state)
{
	static const char *const names[] = { "", ".", "..", "/", "etc/..", "etc/.", "//" };
	const struct place *p = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(tree_remove(p->root, names[i], NULL), -1);
		assert_int_equal(tree_write(p->root, names[i], "", 0, 0644, NULL), -1);
		assert_int_equal(tree_rename(p->root, "etc/file", names[i], NULL), -1);
	}
	assert_int_equal(inside(p, "etc/file").code, 0);
}

static void trees_of_any_depth_are_removed(void **state)
{
	enum { DEPTH = 3000 };
	const struct place *p = *state;
	int at = openat(p->root, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < DEPTH; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		assert_int_equal(symlinkat("/", at, "link"), 0);
		next = openat(at, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(tree_remove(p->root, "etc", NULL), 0);
	assert_int_equal(inside(p, "etc").code, ENOENT);
}

// --- without openat2 -----------------------------------------------------------------------------

// From now on openat2 answers that. Of several filters the last one decides.
static void without_openat2(int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		fail_msg("seccomp: %s", strerror(errno));
}

static int openat2_code(void)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC };
	long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

// Kernels before 5.6 have no such call, and valgrind 3.19 knows none: it answers itself.
static bool has_openat2;

static void openat2_is_missing(void **state)
{
	(void)state;
	without_openat2(ENOSYS);
	assert_int_equal(openat2_code(), ENOSYS);
}

static void openat2_is_forbidden(void **state)
{
	(void)state;
	if (!has_openat2)
		skip();
	without_openat2(EPERM);
	assert_int_equal(openat2_code(), EPERM);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define ALL_CASES                                                                                  \
	CASE(links_end_inside), CASE(magic_links_of_proc_are_none), CASE(changes_stay_inside),     \
		CASE(links_do_not_change_mode), CASE(directories_are_made_behind_links),           \
		CASE(files_are_read_and_written), CASE(no_name_is_a_place),                        \
		CASE(trees_of_any_depth_are_removed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(both_ways_find_the_same),		ALL_CASES,
		cmocka_unit_test(openat2_is_missing),	ALL_CASES,
		cmocka_unit_test(openat2_is_forbidden), ALL_CASES,
	};

	has_openat2 = openat2_code() == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
