/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There is no security module to ask; capabilities are granted. */
#ifndef MMUN_COMPAT_LINUX_SECURITY_H
#define MMUN_COMPAT_LINUX_SECURITY_H

#include <linux/capability.h>
#include <linux/kernel.h>

#endif
