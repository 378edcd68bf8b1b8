/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A notifier of a software address space that records its sections, and is as young as wished. */
#ifndef MMUN_TESTS_UNIT_SOFT_RECORDER_H
#define MMUN_TESTS_UNIT_SOFT_RECORDER_H

#include <mmunotify/mmu_notifier.h>

#include "soft.h"

#define MAX_EVENTS 4096

struct event {
	unsigned long start, end;
	enum mmu_notifier_event class;
	enum mmun_op op;
	unsigned int flags;
	bool blockable;
	/* Filled at the end. */
	bool ended, unchanged;
};

struct recorder {
	struct mmu_notifier mn;
	pthread_mutex_t lock;
	struct event event[MAX_EVENTS];
	int nr;
	/* Callbacks that were not called as a section has to call them. */
	int out_of_order, cancellable;
	/* Sections open now. */
	int open;
	/* clear_flush_young: how often asked, what to answer. */
	int asked, young;
	/* change_pte: how often called, and how often inside a section. */
	int changed, changed_inside;
	/* Sections that must not sleep are refused. */
	bool refuse;
	/* In the start callback; may be NULL. */
	void (*in_start)(struct recorder *recorder, const struct mmu_notifier_range *range);
};

static UNUSED struct recorder *recorder_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct recorder, mn);
}

static UNUSED void note_context(struct recorder *r)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	r->cancellable += state != PTHREAD_CANCEL_DISABLE;
}

static UNUSED int recorder_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct recorder *r = recorder_of(mn);

	if (r->refuse && !mmu_notifier_range_blockable(range))
		return -EAGAIN;
	pthread_mutex_lock(&r->lock);
	note_context(r);
	if (r->nr < MAX_EVENTS)
		r->event[r->nr] = (struct event){
			.start = range->start,
			.end = range->end,
			.class = range->event,
			.op = range->origin ? range->origin->op : MMUN_OP_NONE,
			.flags = range->flags,
			.blockable = mmu_notifier_range_blockable(range),
		};
	r->nr++;
	r->open++;
	pthread_mutex_unlock(&r->lock);
	if (r->in_start)
		r->in_start(r, range);
	return 0;
}

static UNUSED bool ends(const struct event *event, const struct mmu_notifier_range *range)
{
	return !event->ended && event->start == range->start && event->end == range->end;
}

static UNUSED void recorder_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct recorder *r = recorder_of(mn);
	int i;

	pthread_mutex_lock(&r->lock);
	note_context(r);
	for (i = (r->nr < MAX_EVENTS ? r->nr : MAX_EVENTS) - 1; i >= 0; i--)
		if (ends(&r->event[i], range))
			break;
	if (i >= 0) {
		r->event[i].ended = true;
		r->event[i].unchanged = range->flags & MMUN_RANGE_UNCHANGED;
	} else if (r->nr <= MAX_EVENTS) {
		r->out_of_order++;
	}
	r->open--;
	pthread_mutex_unlock(&r->lock);
}

static UNUSED int recorder_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					     unsigned long start, unsigned long end)
{
	recorder_of(mn)->asked++;
	return recorder_of(mn)->young;
}

static UNUSED void recorder_change_pte(struct mmu_notifier *mn, struct mm_struct *mm,
				       unsigned long address, unsigned long pte)
{
	recorder_of(mn)->changed++;
	recorder_of(mn)->changed_inside += recorder_of(mn)->open > 0;
}

static UNUSED const struct mmu_notifier_ops recorder_ops = {
	.invalidate_range_start = recorder_start,
	.invalidate_range_end = recorder_end,
	.clear_flush_young = recorder_clear_flush_young,
	.change_pte = recorder_change_pte,
};

static UNUSED void record(struct recorder *r, struct mm_struct *mm)
{
	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	r->mn.ops = &recorder_ops;
	if (mmu_notifier_register(&r->mn, mm))
		bail_out("cannot register");
}

/* What was recorded is forgotten; how many there were. */
static UNUSED int forget(struct recorder *r)
{
	int nr = r->nr;

	r->nr = r->asked = r->changed = r->changed_inside = 0;
	return nr;
}

/* Was it one section of this kind, over @pages from @start, which has ended? */
static UNUSED bool just_one(struct recorder *r, enum mmu_notifier_event class, enum mmun_op op,
			    unsigned long start, unsigned long pages)
{
	const struct event *event = &r->event[0];
	bool right = r->nr == 1 && event->class == class && event->op == op &&
		     event->start == start && event->end == start + pages * PAGE && event->ended;

	if (!right) {
		diag("%d sections", r->nr);
		for (int i = 0; i < r->nr && i < 8; i++)
			diag("  %s class %d %lx-%lx flags %x ended %d",
			     mmun_op_name(r->event[i].op), r->event[i].class, r->event[i].start,
			     r->event[i].end, r->event[i].flags, r->event[i].ended);
	}
	forget(r);
	return right;
}

/* How many sections are exactly one page with this cause. */
static UNUSED int single_pages(const struct recorder *r, enum mmun_op op,
			       enum mmu_notifier_event class)
{
	int n = 0;

	for (int i = 0; i < r->nr && i < MAX_EVENTS; i++)
		n += r->event[i].op == op && r->event[i].class == class &&
		     r->event[i].end - r->event[i].start == PAGE;
	return n;
}

static UNUSED void stop_recording(struct recorder *r, struct mm_struct *mm)
{
	mmu_notifier_unregister(&r->mn, mm);
	is(r->out_of_order + r->cancellable, 0,
	   "every end had its start, and no thread could be cancelled in between");
}

#endif
