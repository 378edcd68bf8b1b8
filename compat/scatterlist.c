/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lists of pieces of pages.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/highmem.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

int sg_nents(struct scatterlist *sg)
{
	int nents = 0;

	for (; sg; sg = sg_next(sg))
		nents++;
	return nents;
}

struct scatterlist *sg_last(struct scatterlist *sg, unsigned int nents)
{
	BUG_ON(!sg_is_last(&sg[nents - 1]));
	return &sg[nents - 1];
}

int sg_alloc_table(struct sg_table *table, unsigned int nents, gfp_t gfp)
{
	memset(table, 0, sizeof(*table));
	if (!nents)
		return -EINVAL;
	table->sgl = (struct scatterlist *)kmalloc_array(nents, sizeof(*table->sgl), gfp);
	if (!table->sgl)
		return -ENOMEM;
	sg_init_table(table->sgl, nents);
	table->nents = nents;
	table->orig_nents = nents;
	return 0;
}

void sg_free_table(struct sg_table *table)
{
	kfree(table->sgl);
	memset(table, 0, sizeof(*table));
}

/* How many of @pages one entry takes. */
static unsigned int adjacent_run(struct page **pages, unsigned int nr, unsigned int max)
{
	unsigned int length = 1;

	while (length < nr && length < max &&
	       page_to_pfn(pages[length]) == page_to_pfn(pages[0]) + length)
		length++;
	return length;
}

int sg_alloc_table_from_pages_segment(struct sg_table *table, struct page **pages, unsigned int nr,
				      unsigned int offset, unsigned long size,
				      unsigned int max_segment, gfp_t gfp)
{
	unsigned int max = max_segment >> PAGE_SHIFT, entries = 0;
	struct scatterlist *sg;
	int ret;

	if (WARN_ON(!max || !nr || offset >= PAGE_SIZE))
		return -EINVAL;
	for (unsigned int i = 0; i < nr; i += adjacent_run(pages + i, nr - i, max))
		entries++;
	ret = sg_alloc_table(table, entries, gfp);
	if (ret)
		return ret;
	sg = table->sgl;
	for (unsigned int i = 0, pieces; i < nr; i += pieces, sg++) {
		unsigned long length;

		pieces = adjacent_run(pages + i, nr - i, max);
		length = min(size, pieces * PAGE_SIZE - offset);
		sg_set_page(sg, pages[i], (unsigned int)length, offset);
		size -= length;
		offset = 0;
	}
	return 0;
}

/* How many of @pages go on where the last entry of @table ends, and go into it. */
static unsigned int continued(struct sg_append_table *table, struct page **pages, unsigned int nr,
			      unsigned int offset, unsigned int max_segment)
{
	struct scatterlist *last = table->prv;
	unsigned long end = last ? last->offset + (unsigned long)last->length : 0;
	unsigned int room;

	if (!last || offset || offset_in_page(end) ||
	    page_to_pfn(pages[0]) != page_to_pfn(sg_page(last)) + (end >> PAGE_SHIFT))
		return 0;
	room = (max_segment - last->length) >> PAGE_SHIFT;
	return room ? adjacent_run(pages, nr, room) : 0;
}

int sg_alloc_append_table_from_pages(struct sg_append_table *table, struct page **pages,
				     unsigned int nr, unsigned int offset, unsigned long size,
				     unsigned int max_segment, unsigned int left_pages, gfp_t gfp)
{
	unsigned int old = table->sgt.orig_nents, total, more;
	struct scatterlist *sgl;
	struct sg_table added;
	int ret;

	more = continued(table, pages, nr, offset, max_segment);
	if (more < nr) {
		ret = sg_alloc_table_from_pages_segment(&added, pages + more, nr - more, offset,
							size - more * PAGE_SIZE, max_segment, gfp);
		if (ret)
			return ret;
		total = old + added.nents;
		sgl = (struct scatterlist *)krealloc_array(table->sgt.sgl, total, sizeof(*sgl),
							   gfp);
		if (!sgl) {
			sg_free_table(&added);
			return -ENOMEM;
		}
		memcpy(sgl + old, added.sgl, added.nents * sizeof(*sgl));
		sg_free_table(&added);
		if (old)
			sg_unmark_end(&sgl[old - 1]);
		table->sgt.sgl = sgl;
		table->sgt.nents = table->sgt.orig_nents = table->total_nents = total;
	}
	if (more)
		table->sgt.sgl[old - 1].length += (unsigned int)min(size, more * PAGE_SIZE);
	table->prv = &table->sgt.sgl[table->sgt.orig_nents - 1];
	return 0;
}

void sg_free_append_table(struct sg_append_table *table)
{
	sg_free_table(&table->sgt);
	table->prv = NULL;
	table->total_nents = 0;
}

static size_t copy(struct scatterlist *sgl, unsigned int nents, char *buf, size_t buflen,
		   off_t skip, bool to_buffer)
{
	size_t done = 0, before = (size_t)skip;

	for (; nents && sgl && done < buflen; nents--, sgl = sg_next(sgl)) {
		for (size_t at = min(before, (size_t)sgl->length), length;
		     at < sgl->length && done < buflen; at += length, done += length) {
			size_t offset = sgl->offset + at;
			struct page *page = nth_page(sg_page(sgl), offset >> PAGE_SHIFT);

			offset = offset_in_page(offset);
			length = min3(PAGE_SIZE - offset, sgl->length - at, buflen - done);
			if (to_buffer)
				memcpy_from_page(buf + done, page, offset, length);
			else
				memcpy_to_page(page, offset, buf + done, length);
		}
		before -= min(before, (size_t)sgl->length);
	}
	return done;
}

size_t sg_pcopy_to_buffer(struct scatterlist *sgl, unsigned int nents, void *buf, size_t buflen,
			  off_t skip)
{
	return copy(sgl, nents, (char *)buf, buflen, skip, true);
}

size_t sg_pcopy_from_buffer(struct scatterlist *sgl, unsigned int nents, const void *buf,
			    size_t buflen, off_t skip)
{
	return copy(sgl, nents, (char *)(uintptr_t)buf, buflen, skip, false);
}

void __sg_page_iter_start(struct sg_page_iter *iter, struct scatterlist *sgl, unsigned int nents,
			  unsigned long pgoffset)
{
	*iter = (struct sg_page_iter){ .sg = sgl,
				       .sg_pgoffset = (unsigned int)pgoffset,
				       .nents = nents };
}

/* @dma: the entries' lengths are those that were mapped. */
static bool next(struct sg_page_iter *iter, bool dma)
{
	iter->sg_pgoffset += iter->step;
	iter->step = 1;
	while (iter->nents && iter->sg) {
		struct scatterlist *sg = iter->sg;
		unsigned int pages =
			(unsigned int)PFN_UP(dma ? offset_in_page(sg->dma_address) + sg->dma_length
						 : sg->offset + (unsigned long)sg->length);

		if (iter->sg_pgoffset < pages)
			return true;
		iter->sg_pgoffset -= pages;
		iter->nents--;
		iter->sg = sg_next(sg);
	}
	return false;
}

bool __sg_page_iter_next(struct sg_page_iter *iter)
{
	return next(iter, false);
}

bool __sg_page_iter_dma_next(struct sg_dma_page_iter *iter)
{
	return next(&iter->base, true);
}

struct page *sg_page_iter_page(struct sg_page_iter *iter)
{
	return nth_page(sg_page(iter->sg), iter->sg_pgoffset);
}

dma_addr_t sg_page_iter_dma_address(struct sg_dma_page_iter *iter)
{
	return sg_dma_address(iter->base.sg) + ((dma_addr_t)iter->base.sg_pgoffset << PAGE_SHIFT);
}
