/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the device does about changes of an address space.
 *
 * I1  A start flushes and marks the faults in flight that it covers before it
 *     returns; from then on until its end no fault of the range is begun (fault.c).
 *     So whatever was looked up before the end is not used after it.
 * I2  Ends match starts by their range: sections nest and overlap, and the same
 *     range may be open twice.  No memory is needed for it: beyond GRU_MAX_OPEN
 *     sections only their number is kept, and they count as covering everything.
 * I3  Whether a change happened, and what else the device has mapped or loses
 *     meanwhile, does not matter to the count: starts add one, ends take one.
 * I4  Nothing here waits for more than gru->lock, which nobody holds while
 *     waiting, so sections that must not block are served like all others.
 *
 * Tests: tests/contract/secondary/gru.c.
 */
#include "device.h"

#include <errno.h>

#include "alloc.h"

static void note_start(struct mmun_gru *gru, struct gru_mm *gm, const struct gru_span *span)
{
	gm->nr_active++;
	gru_count(gru, starts);
	if (gm->nr_open < GRU_MAX_OPEN)
		gm->open[gm->nr_open++] = *span;
	else
		gru_count(gru, starts_uncounted);
}

static void note_end(struct mmun_gru *gru, struct gru_mm *gm, const struct gru_span *span)
{
	gm->nr_active--;
	gru_count(gru, ends);
	for (unsigned int i = 0; i < gm->nr_open; i++) {
		if (gm->open[i].start != span->start || gm->open[i].end != span->end)
			continue;
		gm->open[i] = gm->open[--gm->nr_open];
		return;
	}
}

static int gru_range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct gru_span span = { range->start, range->end };
	struct gru_mm *gm = gru_mm_of(mn);
	struct mmun_gru *gru = gru_of(mn);

	pthread_mutex_lock(&gru->lock);
	note_start(gru, gm, &span);
	for (struct gru_fault *fault = gm->faults; fault; fault = fault->next) {
		if (gru_span_covers(&span, fault->address))
			fault->collided = true;
	}
	mmun_gru_tlb_flush(gru, gm, span.start, span.end);
	pthread_mutex_unlock(&gru->lock);
	return 0;
}

static void gru_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct gru_span span = { range->start, range->end };
	struct gru_mm *gm = gru_mm_of(mn);
	struct mmun_gru *gru = gru_of(mn);

	pthread_mutex_lock(&gru->lock);
	note_end(gru, gm, &span);
	pthread_cond_broadcast(&gm->section_ended);
	pthread_mutex_unlock(&gru->lock);
}

/* The contexts stay until their mappings are closed, and do nothing more. */
static void gru_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct gru_mm *gm = gru_mm_of(mn);
	struct mmun_gru *gru = gru_of(mn);

	pthread_mutex_lock(&gru->lock);
	gm->released = true;
	mmun_gru_tlb_forget(gru, gm);
	gru_count(gru, releases);
	pthread_cond_broadcast(&gm->section_ended);
	pthread_mutex_unlock(&gru->lock);
}

static struct mmu_notifier *gru_alloc_notifier(struct mm_struct *mm)
{
	struct gru_mm *gm = mmun_alloc(sizeof(*gm));

	if (!gm)
		return mmun_err_ptr(-ENOMEM);
	gm->mm = mm;
	pthread_cond_init(&gm->section_ended, NULL);
	return &gm->mn;
}

static void gru_free_notifier(struct mmu_notifier *mn)
{
	struct gru_mm *gm = gru_mm_of(mn);

	pthread_cond_destroy(&gm->section_ended);
	mmun_free(gm);
}

const struct mmu_notifier_ops mmun_gru_notifier_ops = {
	.release = gru_release,
	.invalidate_range_start = gru_range_start,
	.invalidate_range_end = gru_range_end,
	.alloc_notifier = gru_alloc_notifier,
	.free_notifier = gru_free_notifier,
};
