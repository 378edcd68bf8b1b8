/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A cache comes to life: at its creation, and once more in each forked child that uses it, which
 * finds zeroes.  It ends.
 * Tests: tests/contract/rcache/, tests/unit/rcache/.
 */
#include <errno.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "cache.h"
#include "futex.h"

enum {
	NOT_READY,
	BEING_MADE_READY,
	READY,
};

/* A page, spare[], state[], link[] and sample[], in one piece. */
static size_t arrays_size(const struct mmun_rcache *cache)
{
	return mmun_rc_size(MMUN_RC_PAGE + cache->limits.regions * (sizeof(struct rc_cell) +
								    2 * sizeof(uint32_t) + 1));
}

static size_t regions_size(const struct mmun_rcache *cache)
{
	return mmun_rc_size(cache->limits.regions * cache->stride);
}

static int map_arrays(struct mmun_rcache *cache, struct rc_state *state)
{
	const size_t nr = cache->limits.regions;

	if (!cache->arrays)
		cache->arrays = mmun_rc_map(arrays_size(cache), 0);
	if (!cache->arrays)
		return -ENOMEM;
	state->page = cache->arrays;
	state->spare = (struct rc_cell *)(state->page + MMUN_RC_PAGE);
	state->hot.state = (uint32_t *)(state->spare + nr);
	state->link = state->hot.state + nr;
	state->sample = (uint8_t *)(state->link + nr);
	return 0;
}

/* A child's copy has the entries of its parent only in the head, which is not zero. */
static int map_table(struct mmun_rcache *cache)
{
	if (cache->table)
		mmun_rc_table_empty(cache->table);
	else
		cache->table = mmun_rc_table_create(MMUN_RC_MIN_BITS);
	return cache->table ? 0 : -ENOMEM;
}

/* The child's address space is another one, and the copy of the notifier is of no use. */
static int subscribe(struct mmun_rcache *cache)
{
	struct mm_struct *mm = cache->mm;
	int ret;

	if (cache->registered && !mmun_mm_is_stale(cache->mm))
		return 0;
	if (cache->registered) {
		mmu_notifier_unregister(&cache->mn, cache->mm);
		cache->registered = false;
		mm = NULL;
	}
	/* Not the one that the parent of another fork was about to replace, either. */
	if (!mm || cache->is_self)
		mm = mmun_self();
	if (!mm)
		return -ENOMEM;
	cache->mn = (struct mmu_notifier){ .ops = &mmun_rc_notifier_ops };
	cache->mm = mm;
	ret = mmu_notifier_register(&cache->mn, mm);
	cache->registered = !ret;
	return ret;
}

static void fill_hot(struct mmun_rcache *cache, struct rc_hot *hot)
{
	hot->stride = cache->stride;
	/* Rounded up: right for each multiple of the stride below 2^32 of them. */
	hot->reciprocal = ~0ul / cache->stride + 1;
	hot->slot = cache->slot;
	hot->flags = mmun_rc_barrier_works() ? 0 : MMUN_RC_FENCED;
	if (cache->flags & MMUN_RCACHE_DEBUG)
		hot->flags = MMUN_RC_FENCED | MMUN_RC_CHECKED;
}

static int make_ready(struct mmun_rcache *cache, struct rc_state *state)
{
	char *regions;
	int ret;

	state->process = mmun_rc_process();
	if (!state->process || map_arrays(cache, state) || map_table(cache))
		return -ENOMEM;
	regions = mmun_alloc_pages(regions_size(cache));
	if (!regions)
		return -ENOMEM;
	mmun_mutex_init(&state->lock, MMUN_RANK_RCACHE);
	mmun_mutex_init(&state->reclaim_lock, MMUN_RANK_RCACHE_RECLAIM);
	state->owner = (unsigned int)mmun_syscall3(SYS_gettid, 0, 0, 0);
	fill_hot(cache, &state->hot);
	state->hot.regions = regions;
	/* Hooks look at it from the registration on. */
	mmun_store_full(&state->hot.table, cache->table);
	ret = subscribe(cache);
	if (ret) {
		mmun_store_full(&state->hot.table, NULL);
		mmun_free_pages(regions, regions_size(cache));
		return ret;
	}
	mmun_store_release(&state->mm, cache->mm);
	mmun_store_full(&state->hot.bytes, cache->limits.regions * cache->stride);
	mmun_rc_set_plain(cache);
	mmun_rc_list_add(cache);
	return 0;
}

/* The process has another address space, after an execve() that failed late. */
static bool may_revive(struct mmun_rcache *cache, const struct rc_state *state)
{
	return mmun_load_full(&state->ended) == MMUN_RC_MM_ENDED && cache->is_self && mmun_self() &&
	       mmun_self() != cache->mm;
}

static int revive(struct mmun_rcache *cache, struct rc_state *state)
{
	int ret;

	mmun_store_relaxed(&state->mm, NULL);
	if (cache->registered)
		mmu_notifier_unregister(&cache->mn, cache->mm);
	cache->registered = false;
	cache->mm = mmun_self();
	ret = subscribe(cache);
	if (ret)
		return ret;
	mmun_store_release(&state->mm, cache->mm);
	/* What the release has opened. */
	mmun_rc_section_close(&state->sections, (unsigned long)cache);
	mmun_store_full(&state->ended, 0);
	return 0;
}

int mmun_rc_ready(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned int ready;
	int ret;

	for (;;) {
		ready = mmun_load_full(&state->ready);
		if (mmun_likely(ready == READY)) {
			if (mmun_likely(!mmun_load_full(&state->ended)))
				return 0;
			if (!may_revive(cache, state))
				return -ESRCH;
			if (!mmun_cas_full(&state->ready, &ready, BEING_MADE_READY))
				continue;
			ret = may_revive(cache, state) ? revive(cache, state) : 0;
			mmun_store_full(&state->ready, READY);
			mmun_futex_wake_all(&state->ready);
			if (ret)
				return ret;
			continue;
		}
		if (ready == BEING_MADE_READY)
			mmun_futex_wait(&state->ready, BEING_MADE_READY);
		else if (mmun_cas_full(&state->ready, &ready, BEING_MADE_READY))
			break;
	}
	ret = make_ready(cache, state);
	mmun_store_full(&state->ready, ret ? NOT_READY : READY);
	mmun_futex_wake_all(&state->ready);
	if (!ret)
		mmun_rc_stat_ready(cache);
	return ret;
}

void mmun_rc_free(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct rc_table *table, *older;

	if (state->hot.bytes) {
		mmun_rc_list_remove(cache);
		mmun_rc_free_cells(state->process, cache->slot, cache->limits.regions);
		mmun_free_pages(state->hot.regions, regions_size(cache));
	}
	for (table = state->retired; table; table = older) {
		older = table->older;
		mmun_rc_table_free(table);
	}
	if (cache->table)
		mmun_rc_table_free(state->hot.table ? state->hot.table : cache->table);
	mmun_free_pages(cache->arrays, arrays_size(cache));
}
