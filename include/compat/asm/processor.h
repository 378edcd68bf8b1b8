/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pause in a loop that waits. */
#ifndef MMUN_COMPAT_ASM_PROCESSOR_H
#define MMUN_COMPAT_ASM_PROCESSOR_H

#include <linux/compiler.h>

#define cpu_relax() __builtin_ia32_pause()

#endif
