/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Suites that run when their module is loaded, since the kernel does not hand them to KUnit. */
#include "without.h"

#include <kunit/test.h>

#undef kunit_test_suites
#define kunit_test_suites(suites...) \
	static struct kunit_suite *all_suites[] = { suites }; \
	static int __init run_suites(void) \
	{ \
		return __kunit_test_suites_init(all_suites, ARRAY_SIZE(all_suites)); \
	} \
	static void __exit end_suites(void) \
	{ \
		__kunit_test_suites_exit(all_suites, ARRAY_SIZE(all_suites)); \
	} \
	module_init(run_suites); \
	module_exit(end_suites)
