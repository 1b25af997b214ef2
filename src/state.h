// SPDX-License-Identifier: MIT
// The directory of what is known about running instances and composed images: plain files that a
// reboot may wipe. It belongs to the user who runs the engine.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

// Opens the directory, making it where it is missing: root: /run/flakes/0; others: flakes in
// $XDG_RUNTIME_DIR or /run/user/UID; else /run/flakes/UID; else /tmp/flakes-UID. EPERM: it isn't
// ours alone (0700, never through a link). Returns a descriptor; its path in *path, if path is not
// NULL, is the caller's to free.
int state_open(char **path, struct error *err);

// What a flake is called in all that is kept of it here and in the engine: its name, a user's own
// with "~" in front (the system may have one of the same name). Caller frees.
char *state_name(const char *flake, bool own);

// File name and container name of an instance: unique for its parts, of [A-Za-z0-9._-], at most
// STATE_KEY_MAX bytes. name: as state_name says; instance NULL: the one without a name; command
// NULL: the one of all commands. Caller frees.
enum { STATE_KEY_MAX = 200 };
char *state_key(const char *name, const char *instance, const char *command);

// Shortens a text of more than STATE_KEY_MAX bytes: a hash stands for its end.
void state_shorten(char *key);

// Names of files have no "/" and no "." in front: EINVAL.
// Reads a file of ours, NUL-terminated, at most 16 MiB; ENOENT: there is none.
int state_read(int dir, const char *name, char **out, size_t *len, struct error *err);

// Writes a file as a whole or not at all (no fsync: it need not survive a crash).
int state_write(int dir, const char *name, const char *data, size_t len, struct error *err);

void state_remove(int dir, const char *name);

// Takes the lock of that name, waiting for it. Returns a descriptor, whose close unlocks.
int state_lock(int dir, const char *name, struct error *err);
