/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The recording notifier of the contract tests; see watch.h.
 *
 * I1: a record is complete before nr_records counts it.
 * I2: the callbacks use only system calls that change no memory map and
 *     disturb no page (pagemap.h).
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mmunotify/self.h>

#include "watch.h"

unsigned long watch_page_at(const struct watch_area *area, unsigned int i)
{
	return area->start + i * area->stride;
}

uint64_t watch_moved(const struct watch *w)
{
	uint64_t moved = 0;

	for (unsigned int i = 0; i < w->area.pages; i++)
		if (page_state(watch_page_at(&w->area, i), w->area.flags) != w->baseline[i])
			moved |= 1ULL << i;
	return moved;
}

/* The newest start of the same section in the same thread that has no end yet. */
static int open_start(const struct watch *w, const struct watch_record *r, unsigned int nr)
{
	for (int i = (int)nr - 1; i >= 0; i--) {
		const struct watch_record *s = &w->records[i];

		if (!s->end && s->peer < 0 && s->tid == r->tid && s->from == r->from &&
		    s->to == r->to && s->event == r->event)
			return i;
	}
	return -1;
}

static void write_down(struct watch *w, const struct mmu_notifier_range *range, bool end)
{
	unsigned int slot = __atomic_fetch_add(&w->nr_records, 1, __ATOMIC_SEQ_CST);
	struct watch_record *r;

	if (slot >= WATCH_RECORDS)
		return;
	r = &w->records[slot];
	*r = (struct watch_record){
		.end = end,
		.peer = -1,
		.from = range->start,
		.to = range->end,
		.event = range->event,
		.flags = range->flags,
		.op = range->origin ? range->origin->op : MMUN_OP_NONE,
		.nr = range->origin ? range->origin->nr : -1,
		.result = range->origin ? range->origin->result : 0,
		.tid = (pid_t)syscall(SYS_gettid),
		.moved = watch_moved(w),
	};
	if (end) {
		r->peer = open_start(w, r, slot);
		if (r->peer >= 0)
			w->records[r->peer].peer = (int)slot;
	}
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct watch *w = (struct watch *)mn;

	if (__atomic_load_n(&w->armed, __ATOMIC_ACQUIRE)) {
		write_down(w, range, false);
		if (w->edge)
			w->edge(w, range, false);
	}
	/* The program's errno is not ours to change; provoke the question. */
	errno = EXDEV;
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct watch *w = (struct watch *)mn;

	if (__atomic_load_n(&w->armed, __ATOMIC_ACQUIRE)) {
		write_down(w, range, true);
		if (w->edge)
			w->edge(w, range, true);
	}
	errno = EXDEV;
}

static void on_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct watch *w = (struct watch *)mn;

	__atomic_add_fetch(&w->released, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops ops = {
	.release = on_release,
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};

int watch_register(struct watch *w)
{
	struct mm_struct *mm = mmun_self();

	if (!mm)
		return -ENOMEM;
	w->mn.ops = &ops;
	return mmu_notifier_register(&w->mn, mm);
}

void watch_unregister(struct watch *w)
{
	mmu_notifier_unregister(&w->mn, mmun_self());
}

void watch_arm(struct watch *w, const struct watch_area *area)
{
	w->area = *area;
	w->nr_records = 0;
	for (unsigned int i = 0; i < area->pages; i++)
		w->baseline[i] = page_state(watch_page_at(area, i), area->flags);
	__atomic_store_n(&w->armed, true, __ATOMIC_RELEASE);
}

void watch_disarm(struct watch *w)
{
	__atomic_store_n(&w->armed, false, __ATOMIC_RELEASE);
	if (w->nr_records > WATCH_RECORDS)
		w->nr_records = WATCH_RECORDS;
}

bool watch_acts(const struct watch *w, unsigned int i)
{
	const struct watch_record *r = &w->records[i];

	return !r->end && r->peer >= 0 && !(w->records[r->peer].flags & MMUN_RANGE_UNCHANGED);
}

unsigned int watch_sections(const struct watch *w, unsigned long from, unsigned long to)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < w->nr_records && i < WATCH_RECORDS; i++)
		if (watch_acts(w, i) && w->records[i].from < to && from < w->records[i].to)
			count++;
	return count;
}

int watch_find(const struct watch *w, unsigned long from, unsigned long to)
{
	for (unsigned int i = 0; i < w->nr_records && i < WATCH_RECORDS; i++)
		if (watch_acts(w, i) && w->records[i].from <= from && to <= w->records[i].to)
			return (int)i;
	return -1;
}

bool watch_sees_unmap(struct watch *w)
{
	size_t size = 3 * PAGE_BYTES;
	void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct watch_area area = { (unsigned long)at, PAGE_BYTES, 3, 0 };

	watch_arm(w, &area);
	munmap(at, size);
	watch_disarm(w);
	return watch_find(w, area.start, area.start + size) >= 0;
}
