/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A function of the driver that a case replaces, in its own thread, until it ends. */
#ifndef MMUN_COMPAT_KUNIT_STATIC_STUB_H
#define MMUN_COMPAT_KUNIT_STATIC_STUB_H

#include <kunit/test-bug.h>

/* At the top of @real. */
#define KUNIT_STATIC_STUB_REDIRECT(real, args...) \
	do { \
		__typeof__(&(real)) mmun_stub = \
			(__typeof__(&(real)))mmun_compat_kunit_stub((void (*)(void))(real)); \
		if (mmun_stub) \
			return mmun_stub(args); \
	} while (0)
#define kunit_activate_static_stub(test, real, replacement) \
	do { \
		__typeof__(&(real)) mmun_checked = (replacement); \
		mmun_compat_kunit_set_stub(test, (void (*)(void))(real), \
					   (void (*)(void))mmun_checked); \
	} while (0)
#define kunit_deactivate_static_stub(test, real) \
	mmun_compat_kunit_set_stub(test, (void (*)(void))(real), NULL)

void (*mmun_compat_kunit_stub(void (*real)(void)))(void);
/* NULL: the real one again. */
void mmun_compat_kunit_set_stub(struct kunit *test, void (*real)(void), void (*replacement)(void));

#endif
