/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libc's numbers, and those that stay inside the kernel. */
#ifndef MMUN_COMPAT_LINUX_ERRNO_H
#define MMUN_COMPAT_LINUX_ERRNO_H

#include_next <linux/errno.h>

#define ERESTARTSYS    512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ENOIOCTLCMD    515
#define EPROBE_DEFER   517
#define ENOTSUPP       524

#endif
