/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A macro's value as a string. */
#ifndef MMUN_COMPAT_LINUX_STRINGIFY_H
#define MMUN_COMPAT_LINUX_STRINGIFY_H

#define __stringify_1(x...) #x
#define __stringify(x...)   __stringify_1(x)

#endif
