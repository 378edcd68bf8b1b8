/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changing the size of a file, and punching holes into it.
 *
 * I1  From before the first unmapping until the last page is gone invalidate_lock
 *     is held for write, so no fault maps a page that is about to be dropped.
 * I2  Pages are unmapped, then dropped.  Truncate unmaps a second time: an entry
 *     that a migration was just putting back is caught then, and private copies go
 *     that a fault begun earlier has made.
 * I3  What can fail comes first: the pages that lose only a part of their bytes
 *     are in memory, with a reference, before anything changes.
 *
 * Which bytes become zero when is Linux's: shmem keeps what a mapping has
 * written behind the end when the file grows over it, a file on a disk does not.
 *
 * Tests: tests/unit/soft/file.c.
 */
#include <errno.h>
#include <limits.h>

#include "call/call.h"
#include "frame/page.h"
#include "rmap/rmap.h"

/* The parts of pages at the edges of a range of bytes that goes. */
struct edge {
	struct page *page;
	size_t from, to;
};

/* Holds the page that [from, to) is in, for zeroing; nothing if there is a hole. */
static int edge_get(struct address_space *mapping, struct edge *edge, uint64_t from, uint64_t to)
{
	const unsigned long index = from >> MMUN_SOFT_PAGE_SHIFT;

	*edge = (struct edge){ .page = NULL };
	if (from >= to || !mmun_soft_cache_holds(mapping, index))
		return 0;
	edge->page = mmun_soft_cache_make(mapping, index);
	if (!edge->page)
		return -ENOMEM;
	edge->from = from & ~MMUN_SOFT_PAGE_MASK;
	edge->to = edge->from + (to - from);
	return 0;
}

static void edge_zero(const struct edge *edge)
{
	static const char zeros[MMUN_SOFT_PAGE_SIZE];

	if (!edge->page)
		return;
	mmun_soft_copy_in((char *)mmun_soft_page_address(edge->page) + edge->from, zeros,
			  edge->to - edge->from);
	soft_page_set(edge->page, SOFT_PAGE_DIRTY);
}

static void edge_put(const struct edge *edge)
{
	if (edge->page)
		mmun_soft_put_page(edge->page);
}

static inline uint64_t round_up(uint64_t bytes)
{
	return (bytes + MMUN_SOFT_PAGE_SIZE - 1) & MMUN_SOFT_PAGE_MASK;
}

static inline uint64_t round_down(uint64_t bytes)
{
	return bytes & MMUN_SOFT_PAGE_MASK;
}

/* A store in progress zeroes what is behind the old end: it is over before the size changes. */
static void set_size(struct address_space *mapping, uint64_t size)
{
	mmun_mutex_lock(&mapping->pages_lock);
	mmun_store_relaxed(&mapping->file->size, size);
	mmun_mutex_unlock(&mapping->pages_lock);
}

static void cut(struct address_space *mapping, uint64_t size, const struct edge *edge)
{
	const unsigned long first = round_up(size) >> MMUN_SOFT_PAGE_SHIFT;
	const uint64_t old_size = mapping->file->size;
	/* A regular file's mappings have their sections whatever its new size is. */
	const bool unmap = mapping->file->kind == MMUN_SOFT_FILE_REGULAR ||
			   old_size > round_up(size);

	mmun_rwlock_write_lock(&mapping->invalidate_lock);
	set_size(mapping, size);
	if (unmap)
		mmun_soft_unmap_mapping(mapping, first, ULONG_MAX, true, MMUN_OP_TRUNCATE);
	edge_zero(edge);
	mmun_soft_cache_drop_range(mapping, first, ULONG_MAX);
	if (unmap)
		mmun_soft_unmap_mapping(mapping, first, ULONG_MAX, true, MMUN_OP_TRUNCATE);
	mmun_rwlock_write_unlock(&mapping->invalidate_lock);
}

static int shrink_file(struct soft_file *file, uint64_t size)
{
	struct edge edge;
	int ret = edge_get(file->mapping, &edge, size, round_up(size));

	if (ret)
		return ret;
	cut(file->mapping, size, &edge);
	edge_put(&edge);
	return 0;
}

static int extend_file(struct soft_file *file, uint64_t size)
{
	const struct edge none = { .page = NULL };
	int ret;

	if (file->kind == MMUN_SOFT_FILE_SHMEM) {
		mmun_store_relaxed(&file->size, size);
		return 0;
	}
	ret = mmun_soft_file_clear_gap(file, round_up(file->size));
	if (!ret)
		cut(file->mapping, size, &none);
	return ret;
}

int mmun_soft_ftruncate(struct file *f, uint64_t size)
{
	struct soft_file *file = soft_file(f);
	int ret;

	if (file->device || size > INT64_MAX)
		return -EINVAL;
	mmun_rwlock_write_lock(&file->io_lock);
	ret = size > file->size ? extend_file(file, size) : shrink_file(file, size);
	mmun_rwlock_write_unlock(&file->io_lock);
	return ret;
}

/* Whole pages go, and lose their mappings but for private copies; parts become zero. */
static void punch(struct address_space *mapping, uint64_t start, uint64_t end,
		  const struct edge *head, const struct edge *tail, enum mmun_op op)
{
	const unsigned long first = round_up(start) >> MMUN_SOFT_PAGE_SHIFT;
	const unsigned long beyond = round_down(end) >> MMUN_SOFT_PAGE_SHIFT;

	mmun_rwlock_write_lock(&mapping->invalidate_lock);
	if (first < beyond)
		mmun_soft_unmap_mapping(mapping, first, beyond - 1, false, op);
	edge_zero(head);
	edge_zero(tail);
	if (first < beyond)
		mmun_soft_cache_drop_range(mapping, first, beyond - 1);
	mmun_rwlock_write_unlock(&mapping->invalidate_lock);
}

static int punch_locked(struct soft_file *file, uint64_t start, uint64_t end, enum mmun_op op)
{
	const bool one_page = round_down(start) == round_down(end);
	struct address_space *mapping = file->mapping;
	struct edge head, tail;
	int ret;

	ret = edge_get(mapping, &head, start, one_page ? end : round_up(start));
	if (ret)
		return ret;
	ret = edge_get(mapping, &tail, one_page ? end : round_down(end), end);
	if (!ret) {
		punch(mapping, start, end, &head, &tail, op);
		edge_put(&tail);
	}
	edge_put(&head);
	return ret;
}

int mmun_soft_file_punch(struct file *f, uint64_t offset, uint64_t length, enum mmun_op op)
{
	struct soft_file *file = soft_file(f);
	uint64_t end = offset + length;
	int ret = 0;

	if (file->device)
		return -ENODEV;
	if (!length || offset > INT64_MAX || length > INT64_MAX)
		return -EINVAL;
	if (end > INT64_MAX)
		return -EFBIG;
	mmun_rwlock_write_lock(&file->io_lock);
	/* On a disk nothing is behind the end, and the last page goes as a whole. */
	if (file->kind == MMUN_SOFT_FILE_REGULAR && end > file->size)
		end = round_up(file->size);
	if (offset < end)
		ret = punch_locked(file, offset, end, op);
	mmun_rwlock_write_unlock(&file->io_lock);
	return ret;
}

int mmun_soft_punch_hole(struct file *f, uint64_t offset, uint64_t length)
{
	return mmun_soft_file_punch(f, offset, length, MMUN_OP_FALLOCATE);
}
