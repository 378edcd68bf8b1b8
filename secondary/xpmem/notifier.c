/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an exporter does about changes of its memory.
 *
 * I1  When a start has returned no importer has a page of the range, and none gets
 *     one before the end: faults that were under way are marked, later ones
 *     find the section open.
 * I2  A start that would have to sleep and must not says -EAGAIN, and only then:
 *     nothing to take back in the range, nothing to refuse.  It gets no end, so
 *     it leaves no trace.
 * I3  Sections that leave pinned pages alone are none of ours.  That keeps those
 *     that hold locks of the reverse map away from importers' mmap locks.  What is
 *     exported is private memory, so no others hold such a lock.
 * I4  The exporter's end is the end of its segments.  Each puts the notifier, which
 *     is legal inside ->release.
 *
 * Tests: tests/contract/secondary/xpmem.c.
 */
#include "segment.h"

#include <errno.h>

#include "alloc.h"

bool mmun_xpmem_section_open(const struct xp_exporter *exporter, unsigned long address)
{
	if (exporter->nr_active > exporter->nr_open)
		return true;
	for (unsigned int i = 0; i < exporter->nr_open; i++) {
		if (xp_covers(&exporter->open[i], address))
			return true;
	}
	return false;
}

static void note_start(struct xp_exporter *exporter, const struct xp_span *span)
{
	exporter->nr_active++;
	if (exporter->nr_open < XP_MAX_OPEN)
		exporter->open[exporter->nr_open++] = *span;
	for (struct xp_fault *fault = exporter->faults; fault; fault = fault->next) {
		if (xp_covers(span, fault->address))
			fault->collided = true;
	}
}

static void note_end(struct xp_exporter *exporter, const struct xp_span *span)
{
	exporter->nr_active--;
	for (unsigned int i = 0; i < exporter->nr_open; i++) {
		if (exporter->open[i].start != span->start || exporter->open[i].end != span->end)
			continue;
		exporter->open[i] = exporter->open[--exporter->nr_open];
		return;
	}
}

/* The attachment's pages [*first, *last) that are [start, end) of the exporter, if one is pinned. */
static bool pages_in(const struct xp_attachment *attachment, unsigned long start, unsigned long end,
		     unsigned long *first, unsigned long *last)
{
	unsigned long limit = attachment->address + (attachment->nr_pages << MMUN_SOFT_PAGE_SHIFT);

	if (start < attachment->address)
		start = attachment->address;
	if (end > limit)
		end = limit;
	if (start >= end || attachment->leaving)
		return false;
	*first = (start - attachment->address) >> MMUN_SOFT_PAGE_SHIFT;
	*last = (end - attachment->address + MMUN_SOFT_PAGE_SIZE - 1) >> MMUN_SOFT_PAGE_SHIFT;
	for (unsigned long i = *first; i < *last; i++) {
		if (attachment->pages[i])
			return true;
	}
	return false;
}

bool mmun_xpmem_has_pages(const struct xp_segment *segment, unsigned long start, unsigned long end)
{
	unsigned long first, last;

	for (const struct xp_attachment *a = segment->attachments; a; a = a->next) {
		if (pages_in(a, start, end, &first, &last))
			return true;
	}
	return false;
}

/* The list may be another one after each: so from its head until nothing is left. */
void mmun_xpmem_take_back(struct xp_segment *segment, unsigned long start, unsigned long end)
{
	struct xp_attachment *a = segment->attachments;
	unsigned long first, last;

	segment->refcount++;
	while (a) {
		if (!pages_in(a, start, end, &first, &last)) {
			a = a->next;
			continue;
		}
		a->refcount++;
		mmun_xpmem_worker_zap(segment->x, a, first, last);
		mmun_xpmem_attachment_put(a);
		a = segment->attachments;
	}
	mmun_xpmem_segment_put(segment);
}

static struct xp_segment *first_with_pages(const struct xp_exporter *exporter,
					   const struct xp_span *span)
{
	struct xp_segment *segment = exporter->segments;

	while (segment && !mmun_xpmem_has_pages(segment, span->start, span->end))
		segment = segment->next_of_owner;
	return segment;
}

static struct xp_segment *first_alive(const struct xp_exporter *exporter)
{
	struct xp_segment *segment = exporter->segments;

	while (segment && !segment->exporter)
		segment = segment->next_of_owner;
	return segment;
}

static int xp_range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct xp_span span = { range->start, range->end };
	struct xp_exporter *exporter = xp_exporter_of(mn);
	struct mmun_xpmem *x = xp_of(mn);
	struct xp_segment *segment;
	int ret = 0;

	pthread_mutex_lock(&x->lock);
	if (range->flags & MMUN_RANGE_PINNED_SAFE) {
		xp_count(x, starts_pinned_safe);
		goto unlock;
	}
	if (!mmu_notifier_range_blockable(range) && first_with_pages(exporter, &span)) {
		xp_count(x, refused);
		ret = -EAGAIN;
		goto unlock;
	}
	xp_count(x, starts);
	note_start(exporter, &span);
	while ((segment = first_with_pages(exporter, &span)))
		mmun_xpmem_take_back(segment, span.start, span.end);
unlock:
	pthread_mutex_unlock(&x->lock);
	return ret;
}

static void xp_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct xp_span span = { range->start, range->end };
	struct mmun_xpmem *x = xp_of(mn);

	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		return;
	pthread_mutex_lock(&x->lock);
	note_end(xp_exporter_of(mn), &span);
	pthread_mutex_unlock(&x->lock);
}

static void xp_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	const struct xp_span everything = { 0, ~0ul };
	struct xp_exporter *exporter = xp_exporter_of(mn);
	struct mmun_xpmem *x = xp_of(mn);
	struct xp_segment *segment;

	pthread_mutex_lock(&x->lock);
	exporter->released = true;
	xp_count(x, releases);
	while ((segment = first_alive(exporter))) {
		mmun_xpmem_segment_end(segment);
		xp_count(x, segments_ended);
	}
	/* Those that somebody else is ending: their pages must go before ours do. */
	while ((segment = first_with_pages(exporter, &everything)))
		mmun_xpmem_take_back(segment, everything.start, everything.end);
	pthread_mutex_unlock(&x->lock);
}

static struct mmu_notifier *xp_alloc_notifier(struct mm_struct *mm)
{
	struct xp_exporter *exporter = mmun_alloc(sizeof(*exporter));

	if (!exporter)
		return mmun_err_ptr(-ENOMEM);
	exporter->mm = mm;
	return &exporter->mn;
}

static void xp_free_notifier(struct mmu_notifier *mn)
{
	mmun_free(xp_exporter_of(mn));
}

const struct mmu_notifier_ops mmun_xpmem_notifier_ops = {
	.release = xp_release,
	.invalidate_range_start = xp_range_start,
	.invalidate_range_end = xp_range_end,
	.alloc_notifier = xp_alloc_notifier,
	.free_notifier = xp_free_notifier,
};
