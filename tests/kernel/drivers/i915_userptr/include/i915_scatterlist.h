/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_KERNEL_I915_SCATTERLIST_H
#define MMUN_KERNEL_I915_SCATTERLIST_H

#include <linux/scatterlist.h>

struct device;

struct sgt_iter {
	struct sg_page_iter pages;
};

#define for_each_sgt_page(page, iter, table) \
	for (__sg_page_iter_start(&(iter).pages, (table)->sgl, (table)->orig_nents, 0); \
	     __sg_page_iter_next(&(iter).pages) && ((page) = sg_page_iter_page(&(iter).pages));)

static inline unsigned int i915_sg_segment_size(struct device *dev)
{
	return 4 * PAGE_SIZE;
}

#endif
