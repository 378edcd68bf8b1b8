/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Invalidations that the device has been asked for and are not done yet. */
#ifndef MMUN_KERNEL_XE_TLB_INVAL_TYPES_H
#define MMUN_KERNEL_XE_TLB_INVAL_TYPES_H

struct xe_tlb_inval_batch {
	unsigned int pending;
};

void xe_tlb_inval_batch_wait(struct xe_tlb_inval_batch *batch);

#endif
