/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For code under test: the case whose thread this is. */
#ifndef MMUN_COMPAT_KUNIT_TEST_BUG_H
#define MMUN_COMPAT_KUNIT_TEST_BUG_H

struct kunit;

/* NULL in another thread. */
struct kunit *kunit_get_current_test(void);
void mmun_compat_kunit_fail_current(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define kunit_fail_current_test(fmt, ...) \
	mmun_compat_kunit_fail_current(__FILE__, __LINE__, fmt, ##__VA_ARGS__)

#endif
