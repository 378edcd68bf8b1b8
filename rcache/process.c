/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What concerns all caches of the process: the list of them, their limits, the end.
 * Tests: tests/contract/rcache/, tests/unit/rcache/policy.c.
 */
#include <stdlib.h>

#include "cache.h"
#include "clock.h"
#include "futex.h"

/* That exit() waits for a deregistration that is under way. */
#define EXIT_WAIT_MS 100

static struct {
	unsigned long regions, bytes;
	unsigned int at_exit;
} all;

/*
 * Destructors of libraries and handlers that run later may close what the backends use.  What
 * is registered still, the kernel takes back.
 */
static void stop_reapers(void)
{
	const uint64_t deadline = mmun_now() + EXIT_WAIT_MS * MMUN_NSEC_PER_MSEC;
	struct rc_process *process = mmun_rc_process();

	mmun_rc_no_reapers();
	if (!process || !mmun_mutex_lock_until(&process->list_lock, deadline))
		return;
	for (struct mmun_rcache *cache = process->caches; cache; cache = cache->next)
		mmun_rc_reaper_end(cache);
	for (struct mmun_rcache *cache = process->caches; cache; cache = cache->next)
		mmun_rc_reaper_wait(cache, deadline);
	mmun_mutex_unlock(&process->list_lock);
}

void mmun_rc_list_add(struct mmun_rcache *cache)
{
	struct rc_process *process = mmun_rc_state(cache)->process;

	if (!mmun_swap_full(&all.at_exit, 1))
		(void)atexit(stop_reapers);
	mmun_mutex_lock(&process->list_lock);
	cache->next = process->caches;
	process->caches = cache;
	mmun_mutex_unlock(&process->list_lock);
}

void mmun_rc_list_remove(struct mmun_rcache *cache)
{
	struct rc_process *process = mmun_rc_state(cache)->process;
	struct mmun_rcache **link;

	mmun_mutex_lock(&process->list_lock);
	for (link = &process->caches; *link; link = &(*link)->next) {
		if (*link == cache) {
			*link = cache->next;
			break;
		}
	}
	mmun_mutex_unlock(&process->list_lock);
}

void mmun_rcache_limit_process(unsigned long regions, unsigned long bytes)
{
	mmun_store_relaxed(&all.regions, regions);
	mmun_store_relaxed(&all.bytes, bytes);
}

bool mmun_rc_process_full(struct mmun_rcache *cache, unsigned long more)
{
	struct rc_process *process = mmun_rc_state(cache)->process;
	const unsigned long regions = mmun_load_relaxed(&all.regions);
	const unsigned long bytes = mmun_load_relaxed(&all.bytes);
	unsigned long all_regions = 1, all_bytes = more;

	if (mmun_likely(!regions && !bytes))
		return false;
	mmun_mutex_lock(&process->list_lock);
	for (cache = process->caches; cache; cache = cache->next) {
		all_regions += mmun_load_relaxed(&mmun_rc_state(cache)->reserved);
		all_bytes += mmun_load_relaxed(&mmun_rc_state(cache)->reserved_bytes);
	}
	mmun_mutex_unlock(&process->list_lock);
	return (regions && all_regions > regions) || (bytes && all_bytes > bytes);
}

long mmun_rc_evict_others(struct mmun_rcache *cache, unsigned long bytes)
{
	struct rc_process *process = mmun_rc_state(cache)->process;
	long dropped = 0;

	if (mmun_rc_left(mmun_rc_state(cache)))
		return 0;
	mmun_mutex_lock(&process->list_lock);
	for (struct mmun_rcache *other = process->caches; other && !dropped; other = other->next) {
		if (other != cache && mmun_rc_may_reclaim(other))
			dropped = mmun_rc_reclaim(other, false) + mmun_rc_evict(other, bytes);
	}
	mmun_mutex_unlock(&process->list_lock);
	return dropped;
}
