// SPDX-License-Identifier: MIT
// flake-relay: carries a plan through sudo. What a pilot cannot decide as the caller (does the
// other user's instance run? is his image composed?) is decided here, as that user.
#include "pilot.h"

int main(int argc, char **argv)
{
	return relay_main(argc, argv);
}
