// SPDX-License-Identifier: MIT
// What flake-ctl looks for in a root file system, to tell this init from that of the older tools.
// The number is that of the oldest version which the host still talks to.
#include "channel.h"

#define TEXT(number) #number
#define MARKER(version) "flake-pilot sci channel " TEXT(version)

_Static_assert(CHANNEL_OLDEST == 1, "the text below says 1");

__attribute__((used)) static const char marker[] = MARKER(1);
