// SPDX-License-Identifier: MIT
// Bytes as an archive: list it, unpack it. Nothing may appear outside the target directory.
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <sys/stat.h>

#include "archive.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[64], file[80], target[80];

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void forget(void)
{
	nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void setup(void)
{
	snprintf(base, sizeof(base), "%s", "/tmp/flake-fuzz.XXXXXX");
	if (base[0] && !mkdtemp(base))
		abort();
	snprintf(file, sizeof(file), "%s/archive", base);
	snprintf(target, sizeof(target), "%s/target", base);
	atexit(forget);
}

static bool visit(void *arg, const struct archive_member *member)
{
	(void)arg;
	return member->path != NULL;
}

static int count_entries(void)
{
	cleanup_dir DIR *dir = opendir(base);
	int n = 0;

	while (dir && readdir(dir))
		n++;
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct archive_extract how = { .limits = { 200, 1 << 20 } };
	struct archive_result count = { 0 };
	cleanup_error struct error err = { 0 };
	FILE *f;

	if (!base[0])
		setup();
	f = fopen(file, "w");
	if (!f || fwrite(data, 1, size, f) != size)
		abort();
	fclose(f);
	mkdir(target, 0700);
	archive_list(file, &how.limits, visit, NULL, &err);
	error_clear(&err);
	archive_unpack(file, target, &how, &count, &err);
	// ".", "..", the archive, the target: no more.
	if (count_entries() != 4)
		abort();
	nftw(target, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
