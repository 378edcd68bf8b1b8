/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Everybody may everything; CAP_IPC_LOCK goes by mmun_compat_limit_locked(). */
#ifndef MMUN_COMPAT_LINUX_CAPABILITY_H
#define MMUN_COMPAT_LINUX_CAPABILITY_H

#include <stdbool.h>

#define CAP_IPC_LOCK  14
#define CAP_SYS_RAWIO 17
#define CAP_SYS_ADMIN 21
bool capable(int cap);

#endif
