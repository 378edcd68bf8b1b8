/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Checks at compile time. */
#ifndef MMUN_COMPAT_LINUX_BUILD_BUG_H
#define MMUN_COMPAT_LINUX_BUILD_BUG_H

#include <linux/compiler.h>

#define BUILD_BUG_ON_ZERO(e)        ((int)sizeof(struct { int : (-!!(e)); }))
#define BUILD_BUG_ON_MSG(cond, msg) _Static_assert(!(cond), msg)
#define BUILD_BUG_ON(cond)          BUILD_BUG_ON_MSG(cond, "BUILD_BUG_ON: " #cond)
#define BUILD_BUG()                 BUILD_BUG_ON_MSG(1, "BUILD_BUG")
#define static_assert(expr, ...) _Static_assert(expr, #expr)

#endif
