/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The numbered edges and the list of open sections; the rules and who tests them are in
 * history.h.
 *
 * A: the number of an edge is a full read-modify-write: a reader that has seen it sees what
 *    its writer did before, and memory changes after it.
 * B: a place of the ring is claimed by a compare-and-swap, so one writer at a time has it.
 *    Each store of the range is a release: a reader that sees any of it (by acquire) sees
 *    the claim in its second look at the number.
 * C: an open section is published before A of its start, and unlisted after A of its end.
 */
#include "history.h"

#include "atomic.h"

#define BUSY     (1ull << 63)
#define PATIENCE 64

static uint64_t publish(struct lf_history *history, unsigned long start, unsigned long end)
{
	const uint64_t number = mmun_add_full(&history->last, 1); /* A */
	struct lf_edge *edge = &history->edges[number % LF_EDGES];
	uint64_t old = mmun_load_relaxed(&edge->number);

	/* Another writer was stopped there, or was faster by a whole round. */
	if (old & BUSY || old > number || !mmun_cas_full(&edge->number, &old, number | BUSY))
		return number;
	mmun_store_release(&edge->start, start); /* B */
	mmun_store_release(&edge->end, end);
	mmun_store_release(&edge->number, number);
	return number;
}

static unsigned int first_place(unsigned long owner)
{
	return (unsigned int)(owner * 0x9e3779b97f4a7c15ul >> 40);
}

uint64_t lf_history_start(struct lf_history *history, unsigned long owner, unsigned long start,
			  unsigned long end)
{
	const unsigned int first = first_place(owner);
	unsigned int i;

	for (i = 0; i < LF_PLACES; i++) {
		struct lf_place *place = &history->places[(first + i) % LF_PLACES];
		unsigned long free = 0;

		if (mmun_load_relaxed(&place->owner) ||
		    !mmun_cas_full(&place->owner, &free, owner | 1))
			continue;
		mmun_store_release(&place->start, start);
		mmun_store_release(&place->end, end);
		mmun_store_release(&place->owner, owner); /* C */
		break;
	}
	if (i == LF_PLACES)
		mmun_add_full(&history->unlisted, 1);
	return publish(history, start, end);
}

void lf_history_end(struct lf_history *history, unsigned long owner, unsigned long start,
		    unsigned long end, bool changed)
{
	const unsigned int first = first_place(owner);
	unsigned int i;

	if (changed)
		publish(history, start, end);
	for (i = 0; i < LF_PLACES; i++) {
		struct lf_place *place = &history->places[(first + i) % LF_PLACES];

		if (mmun_load_relaxed(&place->owner) == owner) {
			mmun_store_release(&place->owner, 0ul); /* C */
			return;
		}
	}
	mmun_sub_full(&history->unlisted, 1);
}

uint64_t lf_history_now(const struct lf_history *history)
{
	return mmun_load_full(&history->last);
}

uint64_t lf_history_take(struct lf_history *history)
{
	return publish(history, 0, 0);
}

/* False: not readable.  A writer that is on its way gets a moment. */
static bool read_edge(const struct lf_history *history, uint64_t number, unsigned long *start,
		      unsigned long *end)
{
	const struct lf_edge *edge = &history->edges[number % LF_EDGES];
	unsigned int i;

	for (i = 0; mmun_load_acquire(&edge->number) != number; i++) {
		if (i == PATIENCE || (mmun_load_relaxed(&edge->number) & ~BUSY) > number)
			return false;
		mmun_cpu_relax();
	}
	*start = mmun_load_acquire(&edge->start);
	*end = mmun_load_acquire(&edge->end);
	return mmun_load_relaxed(&edge->number) == number; /* B */
}

bool lf_history_changed(const struct lf_history *history, unsigned long start, unsigned long end,
			uint64_t since, uint64_t now)
{
	unsigned long edge_start, edge_end;
	uint64_t number;

	/* Also when @since is above @now. */
	if (now - since > LF_EDGES)
		return true;
	for (number = since + 1; number <= now; number++) {
		if (!read_edge(history, number, &edge_start, &edge_end) ||
		    (edge_start < end && edge_end > start))
			return true;
	}
	return false;
}

/*
 * A place that is being written, or changes hands while it is read, needs no second look:
 * the section that leaves has an end, and the one that comes a start, and each is an edge in
 * the reader's numbers or above them (H3).
 */
bool lf_history_open(const struct lf_history *history, unsigned long start, unsigned long end)
{
	unsigned int i;

	if (mmun_load_full(&history->unlisted))
		return true;
	for (i = 0; i < LF_PLACES; i++) {
		const struct lf_place *place = &history->places[i];
		const unsigned long owner = mmun_load_acquire(&place->owner);

		if (owner && !(owner & 1) && mmun_load_acquire(&place->start) < end &&
		    mmun_load_acquire(&place->end) > start)
			return true;
	}
	return false;
}

/* The first range that it meets grows, or a new one is begun; the last one if there is no room. */
static void widen(struct lf_hull *hull, unsigned long start, unsigned long end)
{
	unsigned int i;

	for (i = 0; i < hull->nr; i++) {
		if (start <= hull->end[i] && end >= hull->start[i])
			break;
	}
	if (i == LF_HULL)
		i--;
	if (i == hull->nr) {
		hull->start[i] = start;
		hull->end[i] = end;
		hull->nr++;
		return;
	}
	if (start < hull->start[i])
		hull->start[i] = start;
	if (end > hull->end[i])
		hull->end[i] = end;
}

bool lf_history_hull(const struct lf_history *history, uint64_t since, uint64_t now,
		     struct lf_hull *hull)
{
	unsigned long start, end;
	uint64_t number;

	hull->nr = 0;
	if (since > now || since + LF_EDGES < now)
		return false;
	for (number = since + 1; number <= now; number++) {
		if (!read_edge(history, number, &start, &end))
			return false;
		/* Not those of nothing. */
		if (end)
			widen(hull, start, end);
	}
	return true;
}

bool lf_hull_overlaps(const struct lf_hull *hull, unsigned long start, unsigned long end)
{
	unsigned int i;

	for (i = 0; i < hull->nr; i++) {
		if (hull->start[i] < end && hull->end[i] > start)
			return true;
	}
	return false;
}
