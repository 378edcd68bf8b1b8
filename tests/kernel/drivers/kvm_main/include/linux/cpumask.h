/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of processors there is one, which is interrupted by nobody. */
#ifndef MMUN_KERNEL_KVM_CPUMASK_H
#define MMUN_KERNEL_KVM_CPUMASK_H

#include <linux/types.h>

struct cpumask {
	unsigned long bits;
};

typedef struct cpumask cpumask_var_t[1];

#define nr_cpu_ids                           1
#define for_each_possible_cpu(cpu)           for ((cpu) = 0; (cpu) < 1; (cpu)++)
#define cpu_to_node(cpu)                     0
#define cpu_online(cpu)                      true
#define alloc_cpumask_var_node(mask, gfp, n) ((void)(mask), true)
#define free_cpumask_var(mask)               ((void)(mask))
#define this_cpu_cpumask_var_ptr(mask)       (mask)
#define cpumask_clear(mask)                  ((mask)->bits = 0)
#define cpumask_empty(mask)                  (!(mask)->bits)
#define __cpumask_set_cpu(cpu, mask)         ((mask)->bits |= 1ul << (cpu))
#define smp_call_function_many(mask, ...)    ((void)(mask))
#define smp_send_reschedule(cpu)             ((void)(cpu))

#endif
