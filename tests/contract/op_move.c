/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* mremap in every form, and remap_file_pages. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "operations.h"

#define RW (PROT_READ | PROT_WRITE)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static const char *anon_tail(struct region *r)
{
	const char *why = region_anon(r);

	if (!why)
		region_expect(r, 4, AREA_PAGES - 4);
	return why;
}

static const char *anon_whole(struct region *r)
{
	const char *why = region_anon(r);

	if (!why)
		region_expect(r, 0, AREA_PAGES);
	return why;
}

static const char *other_anon(struct region *r, bool populate)
{
	char *room = region_room(AREA_BYTES, PAGE_BYTES);

	r->other_size = AREA_BYTES;
	r->other = room;
	if (!room)
		return "no room";
	if (populate) {
		if (mmap(room, AREA_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			 -1, 0) != room)
			return "mmap failed";
		madvise(room, AREA_BYTES, MADV_NOHUGEPAGE);
		region_fill(room, AREA_BYTES, 99);
	}
	return NULL;
}

static const char *anon_to_hole(struct region *r)
{
	const char *why = anon_whole(r);

	return why ? why : other_anon(r, false);
}

static const char *anon_to_mapped(struct region *r)
{
	const char *why = anon_whole(r);

	if (!why)
		why = other_anon(r, true);
	if (!why)
		region_expect_at(r, (unsigned long)r->other, r->other_size);
	return why;
}

/* The watched area is the target; the source must be reported too. */
static const char *anon_from_mapped(struct region *r)
{
	return anon_to_mapped(r);
}

static const char *anon_blocked(struct region *r)
{
	const char *why = anon_whole(r);

	/* Something right behind it, so that growing means moving. */
	if (!why && mmap(r->base + r->size, PAGE_BYTES, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		why = "no room";
	return why;
}

static const char *anon_blocked_quiet(struct region *r)
{
	const char *why = anon_blocked(r);

	r->nr_expect = 0;
	return why;
}

/* No more than @r in the way: the room behind is free. */
static const char *anon_with_room(struct region *r)
{
	char *room = region_room(3 * AREA_BYTES, PAGE_BYTES);

	if (!room)
		return "no room";
	r->size = AREA_BYTES;
	r->base = mmap(room, r->size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	region_fill(r->base, r->size, 11);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static const char *memfd_shared(struct region *r)
{
	r->fd = memfd_create("contract", MFD_CLOEXEC);
	r->size = AREA_BYTES;
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->size))
		return "no memfd";
	r->base = mmap(NULL, r->size, RW, MAP_SHARED, r->fd, 0);
	if (r->base == MAP_FAILED)
		return "mmap failed";
	region_fill(r->base, r->size, 13);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static const char *memfd_for_nonlinear(struct region *r)
{
	const char *why = memfd_shared(r);

	if (!why)
		region_expect(r, 0, 8);
	return why;
}

static long done(const void *got)
{
	return got == MAP_FAILED ? -1 : 0;
}

static long shrink(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, 4 * PAGE_BYTES, 0, NULL));
}

static long shrink_may_move(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, 4 * PAGE_BYTES, MREMAP_MAYMOVE, NULL));
}

static long grow(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, 2 * r->size, 0, NULL));
}

static long grow_may_move(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, 2 * r->size, MREMAP_MAYMOVE, NULL));
}

static long same_size(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, r->size, MREMAP_MAYMOVE, NULL));
}

static long move_away(struct region *r)
{
	return done(
		r->c->mremap(r->base, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED, r->other));
}

static long move_away_shrinking(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, 4 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
				 r->other));
}

static long move_onto(struct region *r)
{
	return done(r->c->mremap(r->other, r->other_size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				 r->base));
}

static long move_keeping(struct region *r)
{
	return done(
		r->c->mremap(r->base, r->size, r->size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
}

static long duplicate(struct region *r)
{
	return done(r->c->mremap(r->base, 0, r->size, MREMAP_MAYMOVE, NULL));
}

static long move_misaligned(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				 r->other + 1));
}

static long move_bad_flags(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, r->size, MREMAP_FIXED, r->other));
}

/* The source is a hole; the target is what we watch. */
static long move_hole_onto(struct region *r)
{
	return done(r->c->mremap(r->other, r->size, 2 * r->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				 r->base));
}

static long move_overlapping(struct region *r)
{
	return done(r->c->mremap(r->base, r->size, r->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				 r->base + PAGE_BYTES));
}

static const char *anon_and_empty_source(struct region *r)
{
	const char *why = region_anon(r);

	return why ? why : other_anon(r, false);
}

static long nonlinear(struct region *r)
{
	return r->c->remap_file_pages(r->base, 8 * PAGE_BYTES, 0, 8, 0);
}

static long nonlinear_anon(struct region *r)
{
	return r->c->remap_file_pages(r->base, 8 * PAGE_BYTES, 0, 8, 0);
}

#define MOVE(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_MREMAP, MMU_NOTIFY_UNMAP, flags_, prepare_, act_ \
	}

const struct operation operations_move[] = {
	MOVE("mremap, shrink", 0, anon_tail, shrink),
	MOVE("mremap, shrink with MAYMOVE", 0, anon_tail, shrink_may_move),
	MOVE("mremap, grow in place", OP_QUIET, anon_with_room, grow),
	MOVE("mremap, grow in place with MAYMOVE", OP_QUIET, anon_with_room, grow_may_move),
	MOVE("mremap, same size", OP_QUIET, region_anon, same_size),
	MOVE("mremap, grow by moving", 0, anon_blocked, grow_may_move),
	MOVE("mremap, cannot grow: ENOMEM", OP_QUIET | OP_FAILS, anon_blocked_quiet, grow),
	MOVE("mremap MREMAP_FIXED away to a hole", 0, anon_to_hole, move_away),
	MOVE("mremap MREMAP_FIXED away, shrinking", 0, anon_to_hole, move_away_shrinking),
	MOVE("mremap MREMAP_FIXED away onto another mapping", 0, anon_to_mapped, move_away),
	MOVE("mremap MREMAP_FIXED onto the watched range", 0, anon_from_mapped, move_onto),
	MOVE("mremap MREMAP_DONTUNMAP", 0, anon_whole, move_keeping),
	MOVE("mremap, old size 0", OP_QUIET, memfd_shared, duplicate),
	MOVE("mremap, target misaligned: EINVAL", OP_QUIET | OP_FAILS, anon_and_empty_source,
	     move_misaligned),
	MOVE("mremap, FIXED without MAYMOVE: EINVAL", OP_QUIET | OP_FAILS, anon_and_empty_source,
	     move_bad_flags),
	MOVE("mremap, overlapping target: EINVAL", OP_QUIET | OP_FAILS, region_anon,
	     move_overlapping),
	MOVE("mremap, a hole onto the watched range: EFAULT", OP_FAILS | OP_LOOSE | OP_UNSURE,
	     anon_and_empty_source, move_hole_onto),
	{ "remap_file_pages", MMUN_OP_REMAP_FILE_PAGES, MMU_NOTIFY_UNMAP, 0, memfd_for_nonlinear,
	  nonlinear },
	{ "remap_file_pages of private memory: EINVAL", MMUN_OP_REMAP_FILE_PAGES, MMU_NOTIFY_UNMAP,
	  OP_QUIET | OP_FAILS, region_anon, nonlinear_anon },
	{ 0 },
};
