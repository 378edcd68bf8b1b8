/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A library that tests load late and unload: it brings calls of its own (and,
 * in a namespace of its own, a libc of its own) and pages of every kind.
 */
#include "calls.h"
#include "plugin.h"

static const char pages_text[PLUGIN_BYTES] __attribute__((aligned(4096))) = { 1 };
static char pages_data[PLUGIN_BYTES] __attribute__((aligned(4096))) = { 2 };
static char pages_bss[PLUGIN_BYTES] __attribute__((aligned(4096)));

const struct plugin plugin_info = {
	.calls = &calls_libc,
	.rodata = pages_text,
	.data = pages_data,
	.bss = pages_bss,
};
