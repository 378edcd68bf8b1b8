/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a driver shows to its tests alone: everything, here. */
#ifndef MMUN_COMPAT_KUNIT_VISIBILITY_H
#define MMUN_COMPAT_KUNIT_VISIBILITY_H

#include <linux/export.h>

#define VISIBLE_IF_KUNIT
#define EXPORT_SYMBOL_IF_KUNIT(symbol) EXPORT_SYMBOL(symbol)

#endif
