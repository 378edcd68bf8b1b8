/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* No test of the kernel's own looks in. */
#ifndef MMUN_TESTS_KERNEL_KUNIT_VISIBILITY_H
#define MMUN_TESTS_KERNEL_KUNIT_VISIBILITY_H

#define VISIBLE_IF_KUNIT static
#define EXPORT_SYMBOL_IF_KUNIT(symbol)

#endif
