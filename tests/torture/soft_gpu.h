/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two devices with memory of their own for the torture of software address spaces, one whose
 * memory processors reach and one whose they do not.  Workers move pages there and back, or
 * lend them; what a page says must survive that.
 */
#ifndef MMUN_TESTS_TORTURE_SOFT_GPU_H
#define MMUN_TESTS_TORTURE_SOFT_GPU_H

#include <stdbool.h>

#include <mmunotify/soft.h>

void gpus_create(struct mmun_soft *soft);
/** No page is there any more. */
void gpus_destroy(void);

/** Moves what it can of the pages between, to a device or back. */
void gpu_move(struct mm_struct *mm, unsigned long start, unsigned long end, bool coherent,
	      bool there);
/** Takes everything out of a device. */
void gpu_evict(bool coherent);
/** Has @word written all over a page that is lent meanwhile.  False: it could not be lent. */
bool gpu_write_lent(struct mm_struct *mm, unsigned long address, uint64_t word);

/** Did pages go both ways, by drivers and by faults, and were some lent? */
bool gpus_worked(void);

#endif
