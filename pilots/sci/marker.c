// SPDX-License-Identifier: MIT
// What flake-ctl looks for in a root file system, to tell this init from that of the older tools.
#include "channel.h"

#define TEXT(number) #number
#define MARKER(version) "flake-pilot sci channel " TEXT(version)

_Static_assert(CHANNEL_VERSION == 1, "the text below says 1");

__attribute__((used)) static const char marker[] = MARKER(1);
