/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each processor has is each thread's. */
#ifndef MMUN_KERNEL_KVM_PERCPU_H
#define MMUN_KERNEL_KVM_PERCPU_H

#define DEFINE_PER_CPU(type, name)   __thread __typeof__(type) name
#define __this_cpu_write(name, what) ((name) = (what))
#define __this_cpu_read(name)        (name)
#define per_cpu(name, cpu)           (name)
#define __percpu

#endif
