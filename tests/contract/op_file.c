/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that the process maps: truncated and punched through a descriptor or a
 * name.  Each on a memfd and on a disk file, mapped shared and private, from
 * the start of the file and from its middle.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "operations.h"

#define RW         (PROT_READ | PROT_WRITE)
#define FILE_PAGES (3 * AREA_PAGES)

static int memory_file(struct region *r)
{
	r->fd = memfd_create("contract", MFD_CLOEXEC);
	snprintf(r->path, sizeof(r->path), "/proc/self/fd/%d", r->fd);
	return r->fd;
}

static int disk_file(struct region *r)
{
	strcpy(r->path, REGION_FILE "XXXXXX");
	r->fd = mkstemp(r->path);
	return r->fd;
}

static const char *map_it(struct region *r, int (*file)(struct region *), int sharing,
			  unsigned int offset_pages)
{
	if (file(r) < 0 || ftruncate(r->fd, FILE_PAGES * PAGE_BYTES))
		return "no such file here";
	for (unsigned int i = 0; i < FILE_PAGES; i++)
		if (pwrite(r->fd, "some contents", 13, (off_t)(i * PAGE_BYTES)) != 13)
			return "cannot write the file";
	/* fallocate on disk wants real blocks and clean pages to be quick. */
	fsync(r->fd);
	r->size = AREA_BYTES;
	r->base = mmap(NULL, r->size, RW, sharing, r->fd, (off_t)(offset_pages * PAGE_BYTES));
	if (r->base == MAP_FAILED)
		return "mmap failed";
	region_fill(r->base, r->size, 31);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static const char *tail(struct region *r, const char *why)
{
	if (!why)
		region_expect(r, 8, AREA_PAGES - 8);
	return why;
}

static const char *hole(struct region *r, const char *why)
{
	if (!why)
		region_expect(r, 4, 4);
	return why;
}

static const char *memory_shared(struct region *r)
{
	return map_it(r, memory_file, MAP_SHARED, AREA_PAGES);
}

static const char *disk_shared(struct region *r)
{
	return map_it(r, disk_file, MAP_SHARED, AREA_PAGES);
}

static const char *memory_shared_tail(struct region *r)
{
	return tail(r, map_it(r, memory_file, MAP_SHARED, AREA_PAGES));
}

static const char *memory_private_tail(struct region *r)
{
	return tail(r, map_it(r, memory_file, MAP_PRIVATE, AREA_PAGES));
}

static const char *disk_shared_tail(struct region *r)
{
	return tail(r, map_it(r, disk_file, MAP_SHARED, AREA_PAGES));
}

static const char *disk_private_tail(struct region *r)
{
	return tail(r, map_it(r, disk_file, MAP_PRIVATE, AREA_PAGES));
}

static const char *memory_first_tail(struct region *r)
{
	return tail(r, map_it(r, memory_file, MAP_SHARED, 0));
}

static const char *memory_hole(struct region *r)
{
	return hole(r, map_it(r, memory_file, MAP_SHARED, AREA_PAGES));
}

static const char *disk_hole(struct region *r)
{
	return hole(r, map_it(r, disk_file, MAP_SHARED, AREA_PAGES));
}

/* Everything from the hole on moves to other places of the file. */
static const char *disk_from_hole(struct region *r)
{
	const char *why = map_it(r, disk_file, MAP_SHARED, AREA_PAGES);

	if (!why)
		region_expect(r, 4, AREA_PAGES - 4);
	return why;
}

/* The descriptor that is truncated is not the one that was mapped. */
static const char *disk_other_name(struct region *r)
{
	const char *why = disk_shared_tail(r);
	char name[sizeof(r->path) + 8];

	if (why)
		return why;
	snprintf(name, sizeof(name), "%s.link", r->path);
	if (link(r->path, name))
		return "no hard links";
	close(r->fd);
	unlink(r->path);
	r->fd = open(name, O_RDWR | O_CLOEXEC);
	unlink(name);
	r->path[0] = 0;
	return NULL;
}

/* The same file twice: the second place is the one we watch. */
static const char *memory_twice(struct region *r)
{
	const char *why = memory_shared_tail(r);

	if (!why && mmap(NULL, FILE_PAGES * PAGE_BYTES, RW, MAP_SHARED, r->fd, 0) == MAP_FAILED)
		why = "mmap failed";
	return why;
}

static const char *memory_in_pieces(struct region *r)
{
	const char *why = memory_shared_tail(r);

	if (!why && mprotect(r->base + 10 * PAGE_BYTES, 2 * PAGE_BYTES, PROT_READ))
		why = "cannot split";
	return why;
}

static const char *memory_and_stranger(struct region *r)
{
	const char *why = memory_shared(r);

	if (why)
		return why;
	r->fd = memfd_create("stranger", MFD_CLOEXEC);
	return ftruncate(r->fd, FILE_PAGES * PAGE_BYTES) ? "no memfd" : NULL;
}

static off_t keep_half(void)
{
	return (AREA_PAGES + 8) * PAGE_BYTES;
}

static long cut(struct region *r)
{
	return r->c->ftruncate(r->fd, keep_half());
}

static long cut_first(struct region *r)
{
	return r->c->ftruncate(r->fd, 8 * PAGE_BYTES);
}

/* The page with the new end is cleared behind it and stays. */
static long cut_inside_page(struct region *r)
{
	return r->c->ftruncate(r->fd, keep_half() - 100);
}

static long cut_by_name(struct region *r)
{
	return r->c->truncate(r->path, keep_half());
}

static long cut_to_same(struct region *r)
{
	return r->c->ftruncate(r->fd, FILE_PAGES * PAGE_BYTES);
}

static long grow(struct region *r)
{
	return r->c->ftruncate(r->fd, 2 * FILE_PAGES * PAGE_BYTES);
}

static long cut_behind(struct region *r)
{
	return r->c->ftruncate(r->fd, 2 * AREA_PAGES * PAGE_BYTES);
}

static long cut_bad_fd(struct region *r)
{
	return r->c->ftruncate(-1, 0);
}

static long cut_negative(struct region *r)
{
	return r->c->ftruncate(r->fd, -1);
}

static long cut_missing(struct region *r)
{
	return r->c->truncate("/no/such/file", 0);
}

static const char *memory_no_shrink(struct region *r)
{
	r->fd = memfd_create("contract", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r->size = AREA_BYTES;
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->size) ||
	    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return "no sealed memfd";
	r->base = mmap(NULL, r->size, RW, MAP_SHARED, r->fd, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	region_fill(r->base, r->size, 37);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static long reshape(struct region *r, int mode)
{
	return r->c->fallocate(r->fd, mode, (AREA_PAGES + 4) * PAGE_BYTES, 4 * PAGE_BYTES);
}

static long punch(struct region *r)
{
	return reshape(r, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

static long zero(struct region *r)
{
	return reshape(r, FALLOC_FL_ZERO_RANGE);
}

static long collapse(struct region *r)
{
	return reshape(r, FALLOC_FL_COLLAPSE_RANGE);
}

static long insert(struct region *r)
{
	return reshape(r, FALLOC_FL_INSERT_RANGE);
}

static long reserve(struct region *r)
{
	return reshape(r, 0);
}

static long punch_elsewhere(struct region *r)
{
	return r->c->fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       AREA_PAGES * PAGE_BYTES);
}

static long punch_bad_mode(struct region *r)
{
	return r->c->fallocate(r->fd, FALLOC_FL_PUNCH_HOLE, 0, AREA_PAGES * PAGE_BYTES);
}

#define CUT(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_TRUNCATE, MMU_NOTIFY_CLEAR, flags_, prepare_, act_ \
	}
#define ALLOC(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_FALLOCATE, MMU_NOTIFY_CLEAR, flags_, prepare_, act_ \
	}

const struct operation operations_file[] = {
	CUT("ftruncate of a memfd, shared", 0, memory_shared_tail, cut),
	CUT("ftruncate of a memfd, private", 0, memory_private_tail, cut),
	CUT("ftruncate of a memfd mapped from its start", 0, memory_first_tail, cut_first),
	CUT("ftruncate of a memfd to inside a page", OP_LOOSE, memory_shared_tail, cut_inside_page),
	CUT("ftruncate of a memfd that is mapped twice", OP_LOOSE, memory_twice, cut),
	CUT("ftruncate of a memfd mapped in pieces", OP_LOOSE, memory_in_pieces, cut),
	CUT("ftruncate of a disk file, shared", 0, disk_shared_tail, cut),
	CUT("ftruncate of a disk file, private", 0, disk_private_tail, cut),
	CUT("ftruncate of a disk file by another, unlinked name", 0, disk_other_name, cut),
	CUT("truncate of a memfd by name", 0, memory_shared_tail, cut_by_name),
	CUT("truncate of a disk file by name", 0, disk_shared_tail, cut_by_name),
	CUT("ftruncate to the same size", OP_QUIET, memory_shared, cut_to_same),
	CUT("ftruncate, grow", OP_QUIET, memory_shared, grow),
	CUT("ftruncate behind the mapped part", OP_QUIET, disk_shared, cut_behind),
	CUT("ftruncate of another file", OP_QUIET, memory_and_stranger, cut_first),
	CUT("ftruncate, bad fd: EBADF", OP_QUIET | OP_FAILS, memory_shared, cut_bad_fd),
	CUT("ftruncate, negative: EINVAL", OP_QUIET | OP_FAILS, memory_shared, cut_negative),
	CUT("ftruncate of a sealed memfd: EPERM", OP_QUIET | OP_FAILS, memory_no_shrink, cut_first),
	CUT("truncate of no file: ENOENT", OP_QUIET | OP_FAILS, memory_shared, cut_missing),
	ALLOC("fallocate PUNCH_HOLE in a memfd", 0, memory_hole, punch),
	ALLOC("fallocate PUNCH_HOLE in a disk file", 0, disk_hole, punch),
	ALLOC("fallocate ZERO_RANGE in a disk file", 0, disk_hole, zero),
	ALLOC("fallocate COLLAPSE_RANGE in a disk file", OP_LOOSE, disk_from_hole, collapse),
	ALLOC("fallocate INSERT_RANGE in a disk file", OP_LOOSE, disk_from_hole, insert),
	ALLOC("fallocate, reserve", OP_QUIET, memory_shared, reserve),
	ALLOC("fallocate PUNCH_HOLE outside the mapped part", OP_QUIET, memory_shared,
	      punch_elsewhere),
	ALLOC("fallocate PUNCH_HOLE without KEEP_SIZE: EOPNOTSUPP", OP_QUIET | OP_FAILS,
	      memory_shared, punch_bad_mode),
	{ 0 },
};
