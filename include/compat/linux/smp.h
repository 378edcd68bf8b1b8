/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processors are threads: each is number 0 to itself. */
#ifndef MMUN_COMPAT_LINUX_SMP_H
#define MMUN_COMPAT_LINUX_SMP_H

#include <linux/preempt.h>

#define get_cpu()              (preempt_disable(), 0)
#define put_cpu()              preempt_enable()
#define smp_processor_id()     0
#define raw_smp_processor_id() 0

#endif
