/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The processor executes nothing ahead of this. */
#ifndef MMUN_COMPAT_LINUX_SYNC_CORE_H
#define MMUN_COMPAT_LINUX_SYNC_CORE_H

#define sync_core() __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
