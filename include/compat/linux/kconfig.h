/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options that a driver may ask for: MMU notifiers and HMM are on.  Define others
 * on the command line. */
#ifndef MMUN_COMPAT_LINUX_KCONFIG_H
#define MMUN_COMPAT_LINUX_KCONFIG_H

/* As a kernel is compiled: what is not declared here is not called. */
#ifndef __cplusplus
#pragma GCC diagnostic error "-Wimplicit-function-declaration"
#endif

#ifndef CONFIG_MMU_NOTIFIER
#define CONFIG_MMU_NOTIFIER 1
#endif
#ifndef CONFIG_HMM_MIRROR
#define CONFIG_HMM_MIRROR 1
#endif
#ifndef CONFIG_MMU
#define CONFIG_MMU 1
#endif
#ifndef CONFIG_X86_64
#define CONFIG_X86_64 1
#endif
#ifndef CONFIG_SMP
#define CONFIG_SMP 1
#endif
#ifndef CONFIG_64BIT
#define CONFIG_64BIT 1
#endif

#define MMUN_COMPAT_SECOND(ignored, value, ...) value
#define MMUN_COMPAT_IS_1_1                      0,
#define MMUN_COMPAT_IS_2(hit)                   MMUN_COMPAT_SECOND(hit 1, 0, 0)
#define MMUN_COMPAT_IS_1(value)                 MMUN_COMPAT_IS_2(MMUN_COMPAT_IS_1_##value)
#define MMUN_COMPAT_IS(option)                  MMUN_COMPAT_IS_1(option)
#define IS_BUILTIN(option)                      MMUN_COMPAT_IS(option)
#define IS_MODULE(option)                       MMUN_COMPAT_IS(MMUN_COMPAT_PASTE(option, _MODULE))
#define IS_ENABLED(option)                      (IS_BUILTIN(option))
#define IS_REACHABLE(option)                    IS_ENABLED(option)

#include <linux/compiler.h>

#endif
