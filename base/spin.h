/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A short busy wait before a sleep: what is waited for here mostly takes a microsecond,
 * a sleep and its wake-up fifty.
 */
#ifndef MMUN_BASE_SPIN_H
#define MMUN_BASE_SPIN_H

#include "atomic.h"

/* Looks, some tens of microseconds in all; none under a test's scheduler, which lets
 * nobody else run meanwhile. */
#ifdef MMUN_SCHED
#define MMUN_SPINS 0
#else
#define MMUN_SPINS 500
#endif

/* Does @condition become true within so many looks?  What is true already may be said to be
 * false: a caller that must not sleep then looks before. */
#define mmun_spin_for(looks, condition) \
	(MMUN_SPINS && ({ \
		 int mmun_left = (looks); \
		 while (!(condition) && --mmun_left) \
			 mmun_cpu_relax(); \
		 mmun_left; \
	 }))

#define mmun_spin_until(condition) mmun_spin_for(MMUN_SPINS, condition)

#endif
