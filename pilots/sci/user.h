// SPDX-License-Identifier: MIT
// Users of the guest, from its /etc/passwd and /etc/group (a static program has no NSS).
#pragma once

#include <sys/types.h>

// The home directory of a user; / when it is not known. Owned.
char *user_home(uid_t uid);

// Becomes a user, with the groups that have it as a member. Returns -1 with errno set.
int user_become(uid_t uid, gid_t gid);
