/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames of the machine that mmun_compat_start() was given; orders above 0 are outside. */
#ifndef MMUN_COMPAT_LINUX_GFP_H
#define MMUN_COMPAT_LINUX_GFP_H

#include <linux/gfp_types.h>
#include <linux/types.h>

struct page;

static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return gfp & __GFP_DIRECT_RECLAIM;
}

/* Zeroed in any case.  NULL when memory ran out. */
struct page *alloc_page(gfp_t gfp);
void __free_page(struct page *page);
#define __free_pages(page, order) ((void)(order), __free_page(page))
unsigned long get_zeroed_page(gfp_t gfp);
unsigned long __get_free_page(gfp_t gfp);
void free_page(unsigned long address);
#define alloc_page_vma(gfp, vma, address) ((void)(vma), (void)(address), alloc_page(gfp))
/* NULL above order 0 too: callers go on with single pages. */
#define folio_alloc(gfp, order) ((struct folio *)((order) ? NULL : alloc_page(gfp)))
#define vma_alloc_folio(gfp, order, vma, address) \
	((void)(vma), (void)(address), folio_alloc(gfp, order))
struct page *alloc_pages(gfp_t gfp, unsigned int order)
	MMUN_COMPAT_OUTSIDE("blocks of pages are not there; use alloc_page()");

#endif
