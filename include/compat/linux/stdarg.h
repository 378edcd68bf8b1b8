/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The compiler's. */
#ifndef MMUN_COMPAT_LINUX_STDARG_H
#define MMUN_COMPAT_LINUX_STDARG_H

#include <stdarg.h>

#endif
