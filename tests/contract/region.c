/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The memory that operations are done to; see operations.h. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "operations.h"

void region_watch(struct region *r, unsigned int first, unsigned int pages)
{
	r->area.start = (unsigned long)r->base + first * PAGE_BYTES;
	r->area.stride = PAGE_BYTES;
	r->area.pages = pages;
}

void region_expect_at(struct region *r, unsigned long from, unsigned long size)
{
	r->expect[r->nr_expect++] = (struct expectation){ from, from + size };
}

void region_expect(struct region *r, unsigned int first, unsigned int pages)
{
	region_expect_at(r, (unsigned long)r->base + first * PAGE_BYTES, pages * PAGE_BYTES);
}

void region_fill(char *base, size_t size, unsigned char seed)
{
	for (size_t at = 0; at < size; at += PAGE_BYTES)
		memset(base + at, (int)(seed + at / PAGE_BYTES) | 1, 64);
}

/*
 * The kernel places new mappings at the top of the free space, so room far
 * below stays free until it is asked for, whatever threads and libraries map.
 */
char *region_room(size_t size, size_t align)
{
	static unsigned long cursor;
	size_t span = size + 2 * PAGE_BYTES;
	unsigned long start;
	void *at;

	if (!cursor) {
		at = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		cursor = (unsigned long)at - (64UL << 30);
		munmap(at, PAGE_BYTES);
	}
	start = (cursor - span) & ~(align - 1);
	cursor = start - span;
	at = mmap((void *)start, size, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (void *)start)
		return NULL;
	munmap(at, size);
	return at;
}

const char *region_anon(struct region *r)
{
	char *room = region_room(AREA_BYTES, PAGE_BYTES);

	if (!room)
		return "no room";
	r->size = AREA_BYTES;
	r->base = mmap(room, r->size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	/* One page per frame: huge pages are the subject of cases of their own. */
	madvise(r->base, r->size, MADV_NOHUGEPAGE);
	region_fill(r->base, r->size, 1);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

void region_clean_up(const struct region *r)
{
	if (!strncmp(r->path, REGION_FILE, strlen(REGION_FILE)))
		unlink(r->path);
}
