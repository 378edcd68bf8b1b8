/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists of pieces of pages.  A table is one array: no chains, no pools. */
#ifndef MMUN_COMPAT_LINUX_SCATTERLIST_H
#define MMUN_COMPAT_LINUX_SCATTERLIST_H

#include <asm/io.h>
#include <linux/bug.h>
#include <linux/mm.h>
#include <linux/string.h>

struct device;

/* In the lower bits of page_link, which is read by the functions below only. */
#define SG_CHAIN          1ul
#define SG_END            2ul
#define SG_PAGE_LINK_MASK 3ul
/* Entries in one page. */
#define SG_MAX_SINGLE_ALLOC (PAGE_SIZE / sizeof(struct scatterlist))

struct scatterlist {
	unsigned long page_link;
	unsigned int offset, length;
	dma_addr_t dma_address;
	unsigned int dma_length;
};

struct sg_table {
	struct scatterlist *sgl;
	/* What is mapped for DMA, and what there is. */
	unsigned int nents, orig_nents;
};

/* A table that grows.  Its entries move as it does: keep none over an append. */
struct sg_append_table {
	struct sg_table sgt;
	struct scatterlist *prv;
	unsigned int total_nents;
};

#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg)     ((sg)->dma_length)

static inline bool sg_is_chain(struct scatterlist *sg)
{
	return sg->page_link & SG_CHAIN;
}

static inline bool sg_is_last(struct scatterlist *sg)
{
	return sg->page_link & SG_END;
}

static inline struct scatterlist *sg_chain_ptr(struct scatterlist *sg)
{
	return (struct scatterlist *)(sg->page_link & ~SG_PAGE_LINK_MASK);
}

static inline struct page *sg_page(struct scatterlist *sg)
{
	return (struct page *)(sg->page_link & ~SG_PAGE_LINK_MASK);
}

static inline void sg_assign_page(struct scatterlist *sg, struct page *page)
{
	sg->page_link = (sg->page_link & SG_PAGE_LINK_MASK) | (unsigned long)page;
}

static inline void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int length,
			       unsigned int offset)
{
	sg_assign_page(sg, page);
	sg->offset = offset;
	sg->length = length;
}

static inline void sg_mark_end(struct scatterlist *sg)
{
	sg->page_link = (sg->page_link & ~SG_CHAIN) | SG_END;
}

static inline void sg_unmark_end(struct scatterlist *sg)
{
	sg->page_link &= ~SG_END;
}

static inline struct scatterlist *sg_next(struct scatterlist *sg)
{
	return sg_is_last(sg) ? NULL : sg + 1;
}

static inline phys_addr_t sg_phys(struct scatterlist *sg)
{
	return page_to_phys(sg_page(sg)) + sg->offset;
}

static inline void *sg_virt(struct scatterlist *sg)
{
	return (char *)page_address(sg_page(sg)) + sg->offset;
}

static inline void sg_init_table(struct scatterlist *sgl, unsigned int nents)
{
	memset(sgl, 0, sizeof(*sgl) * nents);
	sg_mark_end(&sgl[nents - 1]);
}

static inline void sg_set_buf(struct scatterlist *sg, const void *buf, unsigned int length)
{
	sg_set_page(sg, virt_to_page(buf), length, (unsigned int)offset_in_page(buf));
}

static inline void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int length)
{
	sg_init_table(sg, 1);
	sg_set_buf(sg, buf, length);
}

int sg_nents(struct scatterlist *sg);
struct scatterlist *sg_last(struct scatterlist *sg, unsigned int nents);
int sg_alloc_table(struct sg_table *table, unsigned int nents, gfp_t gfp);
void sg_free_table(struct sg_table *table);
/* One entry for each run of neighbouring frames, of @max_segment bytes at most. */
int sg_alloc_table_from_pages_segment(struct sg_table *table, struct page **pages, unsigned int nr,
				      unsigned int offset, unsigned long size,
				      unsigned int max_segment, gfp_t gfp);
#define sg_alloc_table_from_pages(table, pages, nr, offset, size, gfp) \
	sg_alloc_table_from_pages_segment(table, pages, nr, offset, size, UINT_MAX, gfp)

/* One more piece of the table, which ends there: 0 or -ENOMEM with what was there unchanged.
 * @left_pages are still to come.  A run that goes on where the last one ended goes into its entry. */
int sg_alloc_append_table_from_pages(struct sg_append_table *table, struct page **pages,
				     unsigned int nr, unsigned int offset, unsigned long size,
				     unsigned int max_segment, unsigned int left_pages, gfp_t gfp);
void sg_free_append_table(struct sg_append_table *table);

/* Bytes copied: from @skip on, @buflen or what there is. */
size_t sg_pcopy_to_buffer(struct scatterlist *sgl, unsigned int nents, void *buf, size_t buflen,
			  off_t skip);
size_t sg_pcopy_from_buffer(struct scatterlist *sgl, unsigned int nents, const void *buf,
			    size_t buflen, off_t skip);
#define sg_copy_to_buffer(sgl, nents, buf, buflen) sg_pcopy_to_buffer(sgl, nents, buf, buflen, 0)
#define sg_copy_from_buffer(sgl, nents, buf, buflen) \
	sg_pcopy_from_buffer(sgl, nents, buf, buflen, 0)

#define for_each_sg(sglist, sg, nr, i) \
	for ((i) = 0, (sg) = (sglist); (i) < (nr); (i)++, (sg) = sg_next(sg))
#define for_each_sgtable_sg(table, sg, i)     for_each_sg((table)->sgl, sg, (table)->orig_nents, i)
#define for_each_sgtable_dma_sg(table, sg, i) for_each_sg((table)->sgl, sg, (table)->nents, i)

/* Page by page. */
struct sg_page_iter {
	struct scatterlist *sg;
	unsigned int sg_pgoffset;
	/* private: */
	unsigned int nents, step;
};

struct sg_dma_page_iter {
	struct sg_page_iter base;
};

void __sg_page_iter_start(struct sg_page_iter *iter, struct scatterlist *sgl, unsigned int nents,
			  unsigned long pgoffset);
bool __sg_page_iter_next(struct sg_page_iter *iter);
bool __sg_page_iter_dma_next(struct sg_dma_page_iter *iter);
struct page *sg_page_iter_page(struct sg_page_iter *iter);
dma_addr_t sg_page_iter_dma_address(struct sg_dma_page_iter *iter);

#define for_each_sg_page(sglist, iter, nr, pgoffset) \
	for (__sg_page_iter_start(iter, sglist, nr, pgoffset); __sg_page_iter_next(iter);)
#define for_each_sg_dma_page(sglist, iter, nr, pgoffset) \
	for (__sg_page_iter_start(&(iter)->base, sglist, nr, pgoffset); \
	     __sg_page_iter_dma_next(iter);)
#define for_each_sgtable_page(table, iter, pgoffset) \
	for_each_sg_page((table)->sgl, iter, (table)->orig_nents, pgoffset)
#define for_each_sgtable_dma_page(table, iter, pgoffset) \
	for_each_sg_dma_page((table)->sgl, iter, (table)->nents, pgoffset)

#endif
