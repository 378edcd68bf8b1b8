/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A notifier of a software address space that records the sections it sees. */
#ifndef MMUN_TESTS_UNIT_SOFT_EVENTS_H
#define MMUN_TESTS_UNIT_SOFT_EVENTS_H

#include <mmunotify/mmu_notifier.h>

#include "soft.h"

#define MAX_EVENTS 1024

struct event {
	unsigned long start, end;
	enum mmu_notifier_event class;
	enum mmun_op op;
	unsigned int flags;
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

	pthread_mutex_lock(&r->lock);
	note_context(r);
	if (r->nr < MAX_EVENTS)
		r->event[r->nr] = (struct event){
			.start = range->start,
			.end = range->end,
			.class = range->event,
			.op = range->origin ? range->origin->op : MMUN_OP_NONE,
			.flags = range->flags,
		};
	r->nr++;
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
	pthread_mutex_unlock(&r->lock);
}

static UNUSED const struct mmu_notifier_ops recorder_ops = {
	.invalidate_range_start = recorder_start,
	.invalidate_range_end = recorder_end,
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

	r->nr = 0;
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

static UNUSED void stop_recording(struct recorder *r, struct mm_struct *mm)
{
	mmu_notifier_unregister(&r->mn, mm);
	is(r->out_of_order + r->cancellable, 0,
	   "every end had its start, and no thread could be cancelled in between");
}

#endif
