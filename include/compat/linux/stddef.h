/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* offsetof and its relatives, beside what user space has under this name. */
#ifndef MMUN_COMPAT_LINUX_STDDEF_H
#define MMUN_COMPAT_LINUX_STDDEF_H

#include_next <linux/stddef.h>

#include <stdbool.h>
#include <stddef.h>

#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define offsetofend(type, member)  (offsetof(type, member) + sizeof_field(type, member))

#endif
