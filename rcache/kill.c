/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of registrations: what a change of memory does to them, inside of the change.
 * Nothing here allocates, waits, takes a lock or calls the backend.
 * Tests: tests/torture/rcache.c, tests/model/rcache_use.pml.
 */
#include "cache.h"
#include "futex.h"
#include "list.h"
#include "probes.h"

unsigned long mmun_rc_late_bytes(const struct rc_state *state)
{
	/* In this order, so that it is not below zero. */
	const unsigned long gone = mmun_load_acquire(&state->deregistered_bytes);

	return mmun_load_relaxed(&state->killed_bytes) - gone;
}

static void bury(struct rc_state *state, uint32_t id)
{
	unsigned int dead = mmun_load_relaxed(&state->dead);

	/* Taken off as a whole, so that its top may come back unnoticed. */
	do {
		mmun_store_relaxed(&state->link[id], dead);
	} while (!mmun_cas_full(&state->dead, &dead, MMUN_RC_LINK(id)));
}

static void too_late(struct mmun_rcache *cache, struct rc_state *state)
{
	if (!mmun_load_relaxed(&state->reaper)) {
		if (!(mmun_load_relaxed(&state->hot.flags) & MMUN_RC_LATE))
			(void)__atomic_fetch_or(&state->hot.flags, MMUN_RC_LATE, __ATOMIC_SEQ_CST);
		mmun_store_full(&state->hot.plain_table, NULL);
		mmun_store_full(&state->hot.plain_bytes, 0);
		return;
	}
	if (!mmun_load_relaxed(&state->urgent) && !mmun_swap_full(&state->urgent, 1))
		mmun_futex_wake(&state->urgent, 1);
}

void mmun_rc_wake(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);

	if (!mmun_load_full(&state->work) && !mmun_swap_full(&state->work, 1) &&
	    mmun_load_relaxed(&state->reaper))
		mmun_futex_wake(&state->work, 1);
}

void mmun_rc_unused(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);

	if (mmun_load_full(&state->hot.state[id]))
		return;
	/* The count was a plain addition: the reaper has to see it, or we that it will look. */
	(void)mmun_add_full(&state->work, 0);
	mmun_rc_wake(cache);
}

void mmun_rc_bury(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);

	bury(state, id);
	if (mmun_rc_late_bytes(state) > cache->late_bytes)
		too_late(cache, state);
	mmun_rc_wake(cache);
}

bool mmun_rc_kill(struct mmun_rcache *cache, uint32_t id, uint32_t was)
{
	struct rc_state *state = mmun_rc_state(cache);
	uint32_t now = mmun_load_relaxed(&state->hot.state[id]);

	do {
		if (!was || (now & ~MMUN_RC_UNBORN) != was)
			return false;
	} while (!mmun_cas_full(&state->hot.state[id], &now, 0));
	(void)mmun_add_relaxed(&state->killed, 1);
	/* Nobody but the one that has killed it has a right to what it is. */
	(void)mmun_add_relaxed(&state->killed_bytes,
			       mmun_rc_length(mmun_rc_region(&state->hot, id)));
	mmun_sched_point("killed", state);
	return true;
}

static void invalidate(const struct rc_entry *entry, void *arg)
{
	struct mmun_rcache *cache = arg;
	struct rc_state *state = mmun_rc_state(cache);

	/* In a large cache they are far away: fetched while the state is waited for. */
	__builtin_prefetch(&state->link[entry->id], 1);
	__builtin_prefetch(mmun_rc_region(&state->hot, entry->id));
	if (!mmun_rc_kill(cache, entry->id, entry->state))
		return;
	mmun_rc_probe4(invalidate, cache, mmun_rc_region(&mmun_rc_state(cache)->hot, entry->id),
		       entry->first << MMUN_RC_PAGE_SHIFT,
		       (entry->first + entry->pages) << MMUN_RC_PAGE_SHIFT);
	(void)mmun_add_relaxed(&mmun_rc_state(cache)->invalidations, 1);
	mmun_rc_bury(cache, entry->id);
}

void mmun_rc_kill_range(struct mmun_rcache *cache, unsigned long start, unsigned long end)
{
	if (start < end)
		mmun_rc_walk(cache, start >> MMUN_RC_PAGE_SHIFT, (end - 1) >> MMUN_RC_PAGE_SHIFT,
			     invalidate, cache);
}

static void drop(const struct rc_entry *entry, void *arg)
{
	struct mmun_rcache *cache = arg;

	if (mmun_rc_kill(cache, entry->id, entry->state))
		mmun_rc_bury(cache, entry->id);
}

void mmun_rc_kill_all(struct mmun_rcache *cache)
{
	mmun_rc_walk(cache, 0, ~0ul >> MMUN_RC_PAGE_SHIFT, drop, cache);
}

static bool matters(const struct mmun_rcache *cache, const struct mmu_notifier_range *range)
{
	return !(range->flags & MMUN_RANGE_PINNED_SAFE) || cache->flags & MMUN_RCACHE_NOT_PINNED;
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mmun_rcache *cache = mmun_container_of(mn, struct mmun_rcache, mn);

	if (!matters(cache, range))
		return 0;
	mmun_rc_section_open(&mmun_rc_state(cache)->sections, (unsigned long)range, range->start,
			     range->end);
	mmun_rc_kill_range(cache, range->start, range->end);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mmun_rcache *cache = mmun_container_of(mn, struct mmun_rcache, mn);

	if (matters(cache, range))
		mmun_rc_section_close(&mmun_rc_state(cache)->sections, (unsigned long)range);
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mmun_rcache *cache = mmun_container_of(mn, struct mmun_rcache, mn);

	(void)__atomic_fetch_or(&mmun_rc_state(cache)->ended, MMUN_RC_MM_ENDED, __ATOMIC_SEQ_CST);
	/* A section that does not end, for who registers meanwhile. */
	mmun_rc_section_open(&mmun_rc_state(cache)->sections, (unsigned long)cache, 0, ~0ul);
	mmun_rc_kill_all(cache);
}

const struct mmu_notifier_ops mmun_rc_notifier_ops = {
	.release = release,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
};

void mmun_rcache_invalidate(struct mmun_rcache *cache, unsigned long start, unsigned long end)
{
	struct rc_sections *sections = &mmun_rc_state(cache)->sections;
	const unsigned long owner = (unsigned long)&sections;

	if (start >= end)
		return;
	mmun_rc_section_open(sections, owner, start, end);
	mmun_rc_kill_range(cache, start, end);
	mmun_rc_section_close(sections, owner);
}
