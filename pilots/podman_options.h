// SPDX-License-Identifier: MIT
// The options of podman run: which tokens are options, and which are values of the one before.
#pragma once

#include "strv.h"

// How many tokens the option at i takes: 2 if its value is the next one.
size_t podman_option_len(const struct strv *options, size_t i);

// The option without what asks for a terminal, standard input or removal (they are decided at each
// call); NULL if nothing is left. Caller frees.
char *podman_option_filter(const char *option);

// The value of the option at i if it is the long one of that name, else NULL.
const char *podman_option_value(const struct strv *options, size_t i, const char *name);

// What podman makes of one option.
struct podman_option {
	const char *name;  // of len bytes: the long name, "network" for "--net"
	size_t len;	   // 0: no option; podman takes the token for the image
	const char *value; // NULL: it has none
	size_t at;	   // the token that it is in
};

// Visits all options of the tokens, in order. "-tv X" is "tty", and "volume" with "X".
void podman_options_each(const struct strv *tokens,
			 void (*visit)(void *arg, const struct podman_option *option), void *arg);
