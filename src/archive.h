// SPDX-License-Identifier: MIT
// Archives by libarchive: every format it reads; secure extraction; reproducible creation.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "strv.h"

// Return false to abort. Entries and bytes of content so far.
typedef bool archive_progress(void *arg, uint64_t entries, uint64_t bytes);

// Zero: the default limit. Bytes count unpacked content.
struct archive_limits {
	uint64_t max_entries; // 1,000,000
	uint64_t max_size;    // 1 TiB
};

struct archive_member {
	const char *path;
	const char *type; // "file", "directory", "symlink", "hardlink", …
	const char *link; // target of a link, else NULL
	uint64_t size;
	mode_t mode; // with set-id bits
	int64_t uid, gid;
	int64_t mtime; // seconds since the epoch
};

// Return false to stop early.
typedef bool archive_visit(void *arg, const struct archive_member *member);

struct archive_result {
	uint64_t entries, size;
};

struct archive_extract {
	struct archive_limits limits;
	unsigned int strip; // leading path components to drop
	bool owner;	    // restore uid and gid
	bool sparse;	    // blocks of zeros become holes
	// A tree that this host only packs again, as root of another system: links may lead
	// anywhere, devices are left out, the owner may read and write all of it.
	bool foreign_root;
	// Files and directories only, each path once: whoever reads the archive instead sees the
	// same content.
	bool plain;
	archive_progress *progress;
	void *progress_arg;
};

struct archive_create {
	const char *format;	 // "tar" (default: pax), "zip", "cpio", …
	const char *compression; // "none" (default), "gzip", "xz", "zstd", "bzip2"
	bool owner;		 // keep uid and gid; else 0:0
	bool links;		 // keep hard links; leave out what is no file, directory or link
	bool fixed_mtime;
	int64_t mtime; // for all entries, seconds since the epoch
	archive_progress *progress;
	void *progress_arg;
};

int archive_list(const char *path, const struct archive_limits *limits, archive_visit *visit,
		 void *arg, struct error *err);

// Unpacks into an existing directory. Absolute paths, "..", links that lead outside and writing
// through links are errors. What was unpacked before an error stays.
int archive_unpack(const char *path, const char *dir, const struct archive_extract *how,
		   struct archive_result *result, struct error *err);

// Which bytes of a file to decompress. Zero length: to its end.
struct archive_slice {
	uint64_t offset, length;
	uint64_t max_size; // of the result; 0: 1 TiB
};

// Writes a file (not an archive), or a slice of it, decompressed by whatever filter knows it, or as
// it is, to a new file, with holes for blocks of zeros. Returns its size in *size.
int archive_decompress(const char *from, const char *to, const struct archive_slice *slice,
		       uint64_t *size, struct error *err);

// One member's content, NUL-terminated. ENOENT if it is not there.
int archive_read_member(const char *path, const char *member, size_t limit, char **out, size_t *len,
			struct error *err);

// Packs all below dir, sorted by path, atomically (temp file and rename); no link in it is
// followed, whatever happens to it meanwhile. With a fixed mtime the result depends on nothing but
// names, modes and content.
int archive_pack(const char *path, const char *dir, const struct archive_create *how,
		 struct archive_result *result, struct error *err);

// Copies an archive of any format as an uncompressed tar, with owners, modes and set-id bits;
// devices are left out, ".." is an error. Directories named in `skip` lose their own entry, not
// what is in them: who unpacks the tar keeps the ones, or links, that are there.
int archive_to_tar(const char *from, const char *to, const struct strv *skip,
		   struct archive_result *result, struct error *err);

// What became of a path that archive_pack_public was given.
enum archive_public {
	PUBLIC_FILE,
	PUBLIC_SYMLINK,
	PUBLIC_DIRECTORY, // or a link to one: not taken
	PUBLIC_MISSING,
	PUBLIC_REFUSED, // not everybody may read it, or it is no file
};

// Packs files and links of this host that everybody may read (mode of the file and of every
// directory on the way), owner 0:0, without set-id bits; no directories. The last component of a
// path is not followed. kinds has an element for each path.
int archive_pack_public(const char *to, const struct strv *paths, enum archive_public *kinds,
			struct error *err);
