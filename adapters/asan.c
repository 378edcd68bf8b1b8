/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AddressSanitizer's run-time library ends a program that is linked to it if another is
 * preloaded: it wants to be the first of all.  It asks this function for options before; a
 * program that has its own keeps it.  In each adapter, for each may be the only one.
 * Tests: tests/system/run_adapters.py.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "verify_asan_link_order=0";
}
