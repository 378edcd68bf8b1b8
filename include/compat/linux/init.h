/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Initialisers run by mmun_compat_load(), module_exit() ones by mmun_compat_unload(). */
#ifndef MMUN_COMPAT_LINUX_INIT_H
#define MMUN_COMPAT_LINUX_INIT_H

#include <linux/compiler.h>

#define __init
#define __exit
#define __initdata
#define __exitdata

#endif
