/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* System V shared memory. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "operations.h"

#define HUGE_BYTES (2UL << 20)

static const char *segment(struct region *r)
{
	r->shm = shmget(IPC_PRIVATE, AREA_BYTES, IPC_CREAT | 0600);
	return r->shm < 0 ? "no System V shared memory" : NULL;
}

/* The segment must not outlive the test, whatever happens. */
static void forget_segment(struct region *r)
{
	shmctl(r->shm, IPC_RMID, NULL);
}

static const char *anon_and_segment(struct region *r)
{
	const char *why = segment(r);

	if (why)
		return why;
	/* A first attachment keeps the removed segment alive until exit. */
	r->other = shmat(r->shm, NULL, 0);
	/* Where no huge page can lie the segment is not taken for one of those. */
	do {
		why = region_anon(r);
	} while (!why && !((unsigned long)r->base % HUGE_BYTES));
	if (!why)
		region_expect(r, 0, AREA_PAGES);
	return why;
}

static long attach_over(struct region *r)
{
	void *got = r->c->shmat(r->shm, r->base, SHM_REMAP);

	forget_segment(r);
	return got == (void *)-1 ? -1 : 0;
}

static const char *anon_and_segment_quiet(struct region *r)
{
	const char *why = anon_and_segment(r);

	r->nr_expect = 0;
	return why;
}

static long attach_occupied(struct region *r)
{
	void *got = r->c->shmat(r->shm, r->base, 0);
	int error = *r->c->errno_at();

	forget_segment(r);
	*r->c->errno_at() = error;
	return got == (void *)-1 ? -1 : 0;
}

static long attach_anywhere(struct region *r)
{
	void *got = r->c->shmat(r->shm, NULL, 0);

	forget_segment(r);
	return got == (void *)-1 ? -1 : 0;
}

static long attach_unknown(struct region *r)
{
	return r->c->shmat(-1, r->base, SHM_REMAP) == (void *)-1 ? -1 : 0;
}

/* Where the kernel places nothing of its own: one case makes a hole in it. */
static const char *attached(struct region *r)
{
	const char *why = segment(r);
	char *room = region_room(AREA_BYTES, PAGE_BYTES);

	if (why || !room)
		return why ? why : "no room";
	r->base = shmat(r->shm, room, 0);
	forget_segment(r);
	if (r->base == (void *)-1)
		return "shmat failed";
	r->size = AREA_BYTES;
	region_fill(r->base, r->size, 23);
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 0, AREA_PAGES);
	return NULL;
}

static const char *attached_with_hole(struct region *r)
{
	const char *why = attached(r);

	if (!why && munmap(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES))
		why = "cannot make a hole";
	r->nr_expect = 0;
	region_expect(r, 0, 4);
	region_expect(r, 8, AREA_PAGES - 8);
	return why;
}

static long detach(struct region *r)
{
	return r->c->shmdt(r->base);
}

static const char *attached_and_lower(struct region *r)
{
	const char *why = segment(r);
	char *room = region_room(4 * AREA_BYTES, PAGE_BYTES);

	if (why || !room)
		return why ? why : "no room";
	/* Another segment right below ours. */
	r->other = shmat(r->shm, room, 0);
	forget_segment(r);
	if (r->other == (void *)-1)
		return "shmat failed";
	why = segment(r);
	if (why)
		return why;
	r->base = shmat(r->shm, room + AREA_BYTES, 0);
	forget_segment(r);
	if (r->base == (void *)-1)
		return "shmat failed";
	r->size = AREA_BYTES;
	region_fill(r->base, r->size, 29);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static long detach_lower(struct region *r)
{
	return r->c->shmdt(r->other);
}

static long detach_unattached(struct region *r)
{
	return r->c->shmdt(r->base);
}

static long detach_inside(struct region *r)
{
	return r->c->shmdt(r->base + PAGE_BYTES);
}

static const char *attached_quiet(struct region *r)
{
	const char *why = attached(r);

	r->nr_expect = 0;
	return why;
}

#define SHM(name_, op_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_##op_, MMU_NOTIFY_UNMAP, flags_, prepare_, act_ \
	}

const struct operation operations_shm[] = {
	SHM("shmat SHM_REMAP over", SHMAT, 0, anon_and_segment, attach_over),
	SHM("shmat over something without SHM_REMAP: EINVAL", SHMAT, OP_QUIET | OP_FAILS,
	    anon_and_segment_quiet, attach_occupied),
	SHM("shmat anywhere", SHMAT, OP_QUIET, anon_and_segment_quiet, attach_anywhere),
	SHM("shmat SHM_REMAP of no segment: EINVAL", SHMAT, OP_QUIET | OP_FAILS, region_anon,
	    attach_unknown),
	SHM("shmdt", SHMDT, 0, attached, detach),
	SHM("shmdt with a hole in the attachment", SHMDT, OP_LOOSE, attached_with_hole, detach),
	SHM("shmdt of the segment below", SHMDT, OP_QUIET, attached_and_lower, detach_lower),
	SHM("shmdt of memory that is not attached: EINVAL", SHMDT, OP_QUIET | OP_FAILS, region_anon,
	    detach_unattached),
	SHM("shmdt inside an attachment: EINVAL", SHMDT, OP_QUIET | OP_FAILS, attached_quiet,
	    detach_inside),
	{ 0 },
};
