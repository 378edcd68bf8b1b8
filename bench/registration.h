/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What registering costs a process with many mappings, and what it costs the
 * other threads meanwhile.
 */
#ifndef MMUN_BENCH_REGISTRATION_H
#define MMUN_BENCH_REGISTRATION_H

/* Arguments: VMAS.  Figures: median microseconds to register, to unregister,
 * and the number of mappings. */
int bench_registration_setup(char **args, int (*in)(void), void (*out)(void));
void bench_registration_batch(double *figures);

/* Arguments: VMAS REGISTERING(0|1).  Figures: in microseconds the longest page
 * fault and the longest mmap+munmap of another thread during one second, their
 * number, the number of registrations meanwhile. */
int bench_stall_setup(char **args, int (*in)(void), void (*out)(void));
void bench_stall_batch(double *figures);

#endif
