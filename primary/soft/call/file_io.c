/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading and writing a file by descriptor, and writing it back.
 *
 * I1  All goes through the page cache, so it is coherent with mappings; no entry
 *     changes, so no notifier is called.
 * I2  io_lock keeps the size still: read by readers, write by writers.
 *     invalidate_lock is taken besides for each page, as everybody does that
 *     looks one up to use it.
 * I3  The size grows after the bytes are there: a mapping never sees a part of
 *     the file that has not been written.  Both are one step under pages_lock, as
 *     a store of the page meanwhile zeroes what is behind the end.
 * I4  A page is cleaned in this order: its mark cleared, write-protected in all mappings,
 *     copied.  A fault that makes it writable again after the first step marks it again, so it is
 *     never writable and unmarked; the page lock keeps off what drops clean pages.
 *
 * Not here: truncate and hole punch (truncate.c).  Tests: tests/unit/soft/file.c.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "call/call.h"
#include "frame/page.h"
#include "rmap/rmap.h"

static inline unsigned long index_of(uint64_t offset)
{
	return offset >> MMUN_SOFT_PAGE_SHIFT;
}

static inline size_t offset_in_page(uint64_t offset)
{
	return offset & ~MMUN_SOFT_PAGE_MASK;
}

/* Of [offset, offset + length), what lies in the first page. */
static inline size_t part_in_page(uint64_t offset, size_t length)
{
	const size_t rest = MMUN_SOFT_PAGE_SIZE - offset_in_page(offset);

	return length < rest ? length : rest;
}

static inline char *bytes_at(const struct page *page, uint64_t offset)
{
	return (char *)mmun_soft_page_address(page) + offset_in_page(offset);
}

static int check_io(const struct soft_file *file, size_t length, uint64_t offset)
{
	if (file->device || offset > INT64_MAX || length > INT64_MAX - offset)
		return -EINVAL;
	return 0;
}

/* Reading a hole of shmem makes no page, as there is nothing to keep. */
static int read_part(struct address_space *mapping, char *buffer, size_t length, uint64_t offset)
{
	struct page *page = NULL;
	bool hole;

	mmun_rwlock_read_lock(&mapping->invalidate_lock);
	hole = mapping->file->kind == MMUN_SOFT_FILE_SHMEM &&
	       !mmun_soft_cache_holds(mapping, index_of(offset));
	if (!hole)
		page = mmun_soft_cache_make(mapping, index_of(offset));
	mmun_rwlock_read_unlock(&mapping->invalidate_lock);
	if (hole) {
		memset(buffer, 0, length);
		return 0;
	}
	if (!page)
		return -ENOMEM;
	mmun_soft_copy_out(buffer, bytes_at(page, offset), length);
	mmun_soft_put_page(page);
	return 0;
}

long mmun_soft_pread(struct file *f, void *buffer, size_t length, uint64_t offset)
{
	struct soft_file *file = soft_file(f);
	size_t done = 0, part;
	int ret = check_io(file, length, offset);

	if (ret)
		return ret;
	mmun_rwlock_read_lock(&file->io_lock);
	if (offset >= file->size)
		length = 0;
	else if (length > file->size - offset)
		length = file->size - offset;
	for (; done < length; done += part) {
		part = part_in_page(offset + done, length - done);
		ret = read_part(file->mapping, (char *)buffer + done, part, offset + done);
		if (ret)
			break;
	}
	mmun_rwlock_read_unlock(&file->io_lock);
	return done ? (long)done : ret;
}

/* I3.  Zeros fill a gap: they are no part of the file yet. */
static void put_bytes(struct address_space *mapping, struct page *page, const char *from,
		      size_t length, uint64_t offset)
{
	static const char zeros[MMUN_SOFT_PAGE_SIZE];

	mmun_mutex_lock(&mapping->pages_lock);
	mmun_soft_copy_in(bytes_at(page, offset), from ? from : zeros, length);
	soft_page_set(page, SOFT_PAGE_DIRTY);
	if (from && offset + length > mapping->file->size)
		mmun_store_relaxed(&mapping->file->size, offset + length);
	mmun_mutex_unlock(&mapping->pages_lock);
}

/* @from NULL writes zeros. */
static int write_part(struct address_space *mapping, const char *from, size_t length,
		      uint64_t offset)
{
	struct page *page;

	mmun_rwlock_read_lock(&mapping->invalidate_lock);
	page = mmun_soft_cache_make(mapping, index_of(offset));
	mmun_rwlock_read_unlock(&mapping->invalidate_lock);
	if (!page)
		return -ENOMEM;
	put_bytes(mapping, page, from, length, offset);
	mmun_soft_put_page(page);
	return 0;
}

int mmun_soft_file_clear_gap(struct soft_file *file, uint64_t offset)
{
	const uint64_t size = file->size;
	uint64_t end = (size | ~MMUN_SOFT_PAGE_MASK) + 1;

	if (file->kind == MMUN_SOFT_FILE_SHMEM || !offset_in_page(size) || offset <= size)
		return 0;
	if (end > offset)
		end = offset;
	if (!mmun_soft_cache_holds(file->mapping, index_of(size)))
		return 0;
	return write_part(file->mapping, NULL, end - size, size);
}

long mmun_soft_pwrite(struct file *f, const void *buffer, size_t length, uint64_t offset)
{
	struct soft_file *file = soft_file(f);
	size_t done = 0, part;
	int ret = check_io(file, length, offset);

	if (ret || !length)
		return ret;
	mmun_rwlock_write_lock(&file->io_lock);
	ret = mmun_soft_file_clear_gap(file, offset);
	for (; !ret && done < length; done += part) {
		part = part_in_page(offset + done, length - done);
		ret = write_part(file->mapping, (const char *)buffer + done, part, offset + done);
		if (ret)
			break;
	}
	mmun_rwlock_write_unlock(&file->io_lock);
	return done ? (long)done : ret;
}

/* Writing back. */

static void clean_page(struct address_space *mapping, struct page *page)
{
	mmun_soft_page_lock(page);
	if (page->mapping == mapping && soft_page_clear(page, SOFT_PAGE_DIRTY)) {
		(void)mmun_soft_page_mkclean(page);
		mmun_soft_store_page(page);
		soft_stat_inc(mapping->file->soft, cleaned);
	}
	mmun_soft_page_unlock(page);
}

void mmun_soft_write_back(struct address_space *mapping, unsigned long first, unsigned long last)
{
	struct page *page;

	for (; (page = mmun_soft_cache_next(mapping, &first)); first++) {
		if (first <= last)
			clean_page(mapping, page);
		mmun_soft_put_page(page);
		if (first >= last)
			break;
	}
}

/* Shmem has nowhere to go: as in Linux, nothing happens. */
int mmun_soft_fsync(struct file *f)
{
	struct soft_file *file = soft_file(f);

	if (file->device)
		return -EINVAL;
	if (file->kind == MMUN_SOFT_FILE_REGULAR)
		mmun_soft_write_back(file->mapping, 0, ULONG_MAX);
	return 0;
}
