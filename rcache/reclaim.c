/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Deregistration of what is dead, and the choice of what is to die for others.
 *
 * One barrier serves a batch.  After it no get can succeed for what was dead before, so the uses
 * only become fewer: they are never 0 too early, although they are read cell by cell.
 * Tests: tests/unit/rcache/policy.c, tests/torture/rcache.c, tests/model/rcache_use.pml.
 */
#include <errno.h>
#include <string.h>

#include "cache.h"
#include "probes.h"

/* Registrations that one eviction drops at most, and ids that it looks at before it lets others
 * have the lock. */
#define BATCH 32u
#define LOOKS 1024ul

static uint32_t uses(struct rc_state *state, uint32_t id)
{
	const struct rc_cell sum = mmun_rc_sum(state->process, state->hot.slot, id, state->spare);

	return sum.begun - sum.ended;
}

static void barrier(struct rc_state *state)
{
	mmun_rc_add(&state->count[MMUN_RC_batches], 1);
	if (mmun_load_relaxed(&state->hot.flags) & MMUN_RC_FENCED)
		(void)mmun_add_full(&state->count[MMUN_RC_batches], 0);
	else
		mmun_rc_barrier(state->page);
}

/* At exit the backend may be gone soon: not one call more than the one that is under way. */
static bool is_to_end(void)
{
	return mmun_unlikely(mmun_rc_task.stop && mmun_load_full(mmun_rc_task.stop));
}

unsigned int mmun_rc_deregister(struct mmun_rcache *cache, const uint32_t *ids, unsigned int nr)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg;
	unsigned long bytes = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (is_to_end()) {
			nr = i;
			break;
		}
		reg = mmun_rc_region(&state->hot, ids[i]);
		bytes += mmun_rc_length(reg);
		mmun_rc_probe4(deregister, cache, reg, reg->start, reg->end);
		cache->ops->deregister_memory(cache->arg, reg);
		if (mmun_rc_left(state))
			return nr;
		if (cache->flags & MMUN_RCACHE_POISON)
			memset((char *)reg + sizeof(*reg), 0xdb, cache->stride - sizeof(*reg));
	}
	(void)mmun_add_relaxed(&state->calls, nr);
	mmun_mutex_lock(&state->lock);
	for (unsigned int i = 0; i < nr; i++)
		mmun_rc_id_free(cache, ids[i]);
	mmun_rc_add(&state->reserved, -(unsigned long)nr);
	mmun_rc_add(&state->reserved_bytes, -bytes);
	mmun_rc_add(&state->deregistered, nr);
	mmun_store_release(&state->deregistered_bytes, state->deregistered_bytes + bytes);
	mmun_mutex_unlock(&state->lock);
	return nr;
}

/* The stack of the dead, on top of those that were in use when they were last looked at. */
static bool take_dead(struct rc_state *state)
{
	uint32_t dead = mmun_swap_full(&state->dead, MMUN_RC_NONE), last = dead;

	if (!dead)
		return false;
	while (state->link[last - 1])
		last = state->link[last - 1];
	mmun_store_relaxed(&state->link[last - 1], state->dying);
	mmun_store_relaxed(&state->dying, dead);
	return true;
}

/* Those that a reaper leaves are for others.  With the reclaim lock held. */
static unsigned int deregister(struct mmun_rcache *cache, const uint32_t *ids, unsigned int nr)
{
	struct rc_state *state = mmun_rc_state(cache);
	const unsigned int done = mmun_rc_deregister(cache, ids, nr);

	for (unsigned int i = done; i < nr; i++) {
		mmun_store_relaxed(&state->link[ids[i]], state->dying);
		mmun_store_relaxed(&state->dying, MMUN_RC_LINK(ids[i]));
	}
	return done;
}

/* With the reclaim lock held. */
static long reclaim(struct mmun_rcache *cache, struct rc_state *state)
{
	uint32_t *link = &state->dying, ids[BATCH];
	unsigned int nr = 0;
	long done = 0;

	mmun_store_full(&state->urgent, 0);
	if (take_dead(state))
		barrier(state);
	mmun_store_relaxed(&state->in_use, 0);
	while (*link && !is_to_end()) {
		const uint32_t id = *link - 1;

		if (uses(state, id)) {
			link = &state->link[id];
			mmun_rc_add(&state->in_use, 1);
			continue;
		}
		mmun_store_relaxed(link, state->link[id]);
		ids[nr++] = id;
		if (nr == BATCH) {
			done += deregister(cache, ids, nr);
			nr = 0;
		}
	}
	return done + (nr ? deregister(cache, ids, nr) : 0);
}

long mmun_rc_reclaim(struct mmun_rcache *cache, bool wait)
{
	struct rc_state *state = mmun_rc_state(cache);
	long done;

	/* What another thread has taken is in neither, and registered yet. */
	if (!wait && !mmun_load_full(&state->dead) && !mmun_load_relaxed(&state->dying))
		return 0;
	if (wait)
		mmun_mutex_lock(&state->reclaim_lock);
	else if (!mmun_mutex_trylock(&state->reclaim_lock))
		return 0;
	done = reclaim(cache, state);
	if (mmun_load_relaxed(&state->hot.flags) & MMUN_RC_LATE) {
		(void)__atomic_fetch_and(&state->hot.flags, ~(unsigned int)MMUN_RC_LATE,
					 __ATOMIC_SEQ_CST);
		mmun_mutex_lock(&state->lock);
		mmun_rc_set_plain(cache);
		mmun_mutex_unlock(&state->lock);
	}
	mmun_mutex_unlock(&state->reclaim_lock);
	return done;
}

/* Has it been got since the hand was there last? */
static bool is_young(struct rc_state *state, uint32_t id, uint32_t begun)
{
	const uint8_t sample = (uint8_t)begun;
	const bool young = state->sample[id] != sample;

	state->sample[id] = sample;
	return young;
}

/*
 * Kills up to @most live ones, at least one and @bytes, whose cells say that nobody uses them;
 * the barrier has yet to show that.  Young ones get
 * another round, and where all are young they go too: @looks
 * are what is left of three rounds.  With the lock held.
 */
static unsigned int choose(struct mmun_rcache *cache, struct rc_state *state, unsigned long bytes,
			   unsigned int most, unsigned long *looks, uint32_t *ids)
{
	const unsigned long end = *looks > LOOKS ? *looks - LOOKS : 0;
	unsigned long freed = 0;
	unsigned int nr = 0;

	for (; *looks > end && nr < BATCH && (nr < most || freed < bytes); --*looks) {
		const uint32_t id = state->hand++ % state->nr;
		const uint32_t word = mmun_load_full(&state->hot.state[id]);
		struct rc_cell sum;

		if (!word)
			continue;
		sum = mmun_rc_sum(state->process, state->hot.slot, id, state->spare);
		if (sum.begun != sum.ended ||
		    (is_young(state, id, sum.begun) && *looks > state->nr))
			continue;
		if (!mmun_rc_kill(cache, id, word))
			continue;
		freed += mmun_rc_length(mmun_rc_region(&state->hot, id));
		ids[nr++] = id;
	}
	(void)mmun_add_relaxed(&state->count[MMUN_RC_evictions], nr);
	return nr;
}

long mmun_rc_evict(struct mmun_rcache *cache, unsigned long bytes)
{
	struct rc_state *state = mmun_rc_state(cache);
	uint32_t ids[BATCH];
	unsigned long looks = 3ul * mmun_load_full(&state->nr);
	unsigned int nr = 0, unused = 0, most;

	while (!nr && looks) {
		mmun_mutex_lock(&state->lock);
		/* One barrier for many, but not much of what a small cache has. */
		most = (unsigned int)(state->reserved / 16);
		nr = choose(cache, state, bytes,
			    most < 1       ? 1
			    : most < BATCH ? most
					   : BATCH,
			    &looks, ids);
		mmun_mutex_unlock(&state->lock);
	}
	if (!nr)
		return 0;
	mmun_rc_probe2(evict, cache, nr);
	barrier(state);
	for (unsigned int i = 0; i < nr; i++) {
		if (uses(state, ids[i]))
			mmun_rc_bury(cache, ids[i]);
		else
			ids[unused++] = ids[i];
	}
	mmun_rc_deregister(cache, ids, unused);
	return unused;
}

struct eviction {
	struct mmun_rcache *cache;
	unsigned long in_use, killed;
};

static void count_in_use(const struct rc_entry *entry, void *arg)
{
	struct eviction *eviction = arg;
	struct rc_state *state = mmun_rc_state(eviction->cache);

	if (mmun_load_full(&state->hot.state[entry->id]) == entry->state && uses(state, entry->id))
		eviction->in_use++;
}

static void evict_one(const struct rc_entry *entry, void *arg)
{
	struct eviction *eviction = arg;

	if (!mmun_rc_kill(eviction->cache, entry->id, entry->state))
		return;
	mmun_rc_bury(eviction->cache, entry->id);
	eviction->killed++;
}

long mmun_rc_evict_range(struct mmun_rcache *cache, unsigned long start, unsigned long end)
{
	struct eviction eviction = { .cache = cache };
	struct rc_state *state = mmun_rc_state(cache);
	const unsigned long first = start >> MMUN_RC_PAGE_SHIFT;
	const unsigned long last = (end - 1) >> MMUN_RC_PAGE_SHIFT;

	mmun_rc_walk(cache, first, last, count_in_use, &eviction);
	if (eviction.in_use)
		return -EADDRINUSE;
	mmun_rc_walk(cache, first, last, evict_one, &eviction);
	(void)mmun_add_relaxed(&state->count[MMUN_RC_evictions], eviction.killed);
	return mmun_rc_reclaim(cache, true);
}
