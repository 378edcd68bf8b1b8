/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flags of open(): libc's. */
#ifndef MMUN_COMPAT_LINUX_FCNTL_H
#define MMUN_COMPAT_LINUX_FCNTL_H

#include <fcntl.h>

#endif
