/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address spaces of a machine.
 *
 * Tests: tests/unit/soft/process.c.
 */
#ifndef MMUN_SOFT_MM_H
#define MMUN_SOFT_MM_H

#include "types.h"

/* An address space without VMAs; fork fills it.  Nobody but the caller knows it
 * until mmun_soft_mm_publish(), from when mmun_soft_for_each_mm() may visit it. */
int mmun_soft_mm_alloc(struct mmun_soft *soft, struct mm_struct **out);
void mmun_soft_mm_publish(struct mm_struct *mm);
void mmun_soft_mm_unpublish(struct mm_struct *mm);
/* Frees the struct's own part. */
void mmun_soft_mm_destroy(void *priv);

/*
 * Calls @visit for each live mm of @soft, with a user of it held (mmget), no
 * lock held; stops when it returns false.  A mm made meanwhile may be missed.
 */
void mmun_soft_for_each_mm(struct mmun_soft *soft, bool (*visit)(struct mm_struct *mm, void *arg),
			   void *arg);

#endif
