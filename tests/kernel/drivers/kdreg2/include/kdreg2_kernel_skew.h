/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the module's build finds out of the kernel's headers. */
#define KDREG2_MMU_NOTIFIER_VERSION     2
#define KDREG2_HAS_MMAP_WRITE_LOCK      1
#define KDREG2_HAS_RB_ROOT_CACHED       1
#define KDREG2_CLASS_DEVICE_CONST       1
#define KDREG2_CLASS_CREATE_WITH_MODULE 0
