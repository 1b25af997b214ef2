// SPDX-License-Identifier: MIT
// Who could change what decides. One test for everyone: what counts belongs to root or the caller,
// and nobody else can write to it.
#pragma once

#include "error.h"

// Tests what fd is open on, which is called path. The caller's private group (of his name and
// primary, with no other member) counts as himself where no ACL says otherwise; root has none. A
// directory may be sticky. EPERM, with the reason behind the path.
int fs_check_owner(int fd, const char *path, struct error *err);

// Opens path for nothing but to say what is meant (O_PATH), and tests all on the way, but not path.
int fs_walk(const char *path, struct error *err);

// Tests path, and every directory on its real path.
int fs_trusted(const char *path, struct error *err);

// Opens a regular file that passes the test, as do the directories that its name and its real path
// lead through; those that hold it or its link are not sticky. Returns a descriptor: what was
// tested is what is read.
int fs_open_trusted(const char *path, struct error *err);
