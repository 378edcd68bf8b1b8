/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the late-loaded test library exports as plugin_info. */
#ifndef MMUN_TESTS_CONTRACT_PLUGIN_H
#define MMUN_TESTS_CONTRACT_PLUGIN_H

#include "calls.h"

#define PLUGIN_BYTES (16 * 4096)

struct plugin {
	const struct calls *calls;
	const char *rodata;
	char *data;
	char *bss;
};

extern const struct plugin plugin_info;

#endif
