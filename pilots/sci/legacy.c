// SPDX-License-Identifier: MIT
#include "sci.h"
void legacy_run(const struct params *params)
{
	(void)params;
}
