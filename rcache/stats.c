/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a cache counts: for its program, and for the statistics page of the process.
 * Tests: tests/contract/rcache/, tests/unit/rcache/, tests/system/.
 */
#include <errno.h>
#include <string.h>

#include "cache.h"

/* By the way, after so many misses; a power of two. */
#define SHOW_MISSES 256

static const char *const labels[] = {
#define LABEL(name, text) #name,
	MMUN_RCACHE_STATS(LABEL)
#undef LABEL
		"regions",
	"bytes",
	"late_regions",
	"late_bytes",
	"late_in_use",
	"memory",
};
#define NR_LABELS (sizeof(labels) / sizeof(labels[0]))

_Static_assert(NR_LABELS <= MMUN_STAT_COUNTERS, "they fit in the page");

/* Users of the page are for ever, caches are not: those that nobody has are used again.  The
 * lock is in memory that a forked child finds free, whoever held it. */
static struct {
	struct {
		struct mmun_stat *stat;
		char name[32];
		bool used;
	} entry[MMUN_STAT_SLOTS];
} users;

static void lock_users(struct rc_process *process)
{
	mmun_lock_set_rank(&process->stat_lock, MMUN_RANK_RCACHE_LIST);
	mmun_mutex_lock(&process->stat_lock);
}

static void reset(struct mmun_stat *stat)
{
	for (unsigned int i = 0; i < NR_LABELS; i++)
		mmun_stat_set(stat, i, 0);
}

int mmun_rc_stat_create(struct mmun_rcache *cache)
{
	struct rc_process *process = mmun_rc_process();
	int ret = 0;

	if (!process)
		return -ENOMEM;
	lock_users(process);
	for (unsigned int i = 0; i < MMUN_STAT_SLOTS && !cache->stat; i++) {
		if (users.entry[i].stat &&
		    (users.entry[i].used || strcmp(users.entry[i].name, cache->name)))
			continue;
		if (!users.entry[i].stat) {
			ret = mmun_stat_create(cache->name, labels, NR_LABELS,
					       &users.entry[i].stat);
			if (ret)
				break;
			memcpy(users.entry[i].name, cache->name, sizeof(cache->name));
		}
		reset(users.entry[i].stat);
		users.entry[i].used = true;
		cache->stat = users.entry[i].stat;
	}
	mmun_mutex_unlock(&process->stat_lock);
	return ret;
}

void mmun_rc_stat_ready(struct mmun_rcache *cache)
{
	mmun_stat_state(cache->stat, true, NULL);
	mmun_rc_show(cache, true);
}

void mmun_rc_stat_destroy(struct mmun_rcache *cache)
{
	struct rc_process *process = mmun_rc_process();

	if (!cache->stat || !process)
		return;
	reset(cache->stat);
	mmun_stat_state(cache->stat, false, "destroyed");
	lock_users(process);
	for (unsigned int i = 0; i < MMUN_STAT_SLOTS; i++) {
		if (users.entry[i].stat == cache->stat)
			users.entry[i].used = false;
	}
	mmun_mutex_unlock(&process->stat_lock);
	cache->stat = NULL;
}

static unsigned long difference(unsigned long more, unsigned long less)
{
	return more > less ? more - less : 0;
}

static unsigned long memory(struct mmun_rcache *cache, unsigned int threads)
{
	const struct rc_state *state = mmun_rc_state(cache);
	const struct rc_table *table = mmun_load_acquire(&state->hot.table);
	const unsigned long nr = mmun_load_relaxed(&state->nr);

	return MMUN_RC_HEAD + sizeof(*state) + (table ? mmun_rc_table_size(table->bits) : 0) +
	       nr * (cache->stride + 2 * sizeof(uint32_t) + 1) +
	       threads * (sizeof(struct rc_thread) + sizeof(struct rc_cells) +
			  nr * sizeof(struct rc_cell));
}

void mmun_rcache_stats(struct mmun_rcache *cache, struct mmun_rcache_stats *out)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned int threads = 0;
	unsigned long gone, gone_bytes, killed, killed_bytes;

	*out = (struct mmun_rcache_stats){ 0 };
#define COPY(name, text) out->name = mmun_load_relaxed(&state->count[MMUN_RC_##name]);
	MMUN_RCACHE_STATS(COPY)
#undef COPY
	/* Each is behind the next: differences are not below zero but for a moment. */
	gone = mmun_load_acquire(&state->deregistered);
	gone_bytes = mmun_load_acquire(&state->deregistered_bytes);
	killed = mmun_load_acquire(&state->killed);
	killed_bytes = mmun_load_acquire(&state->killed_bytes);
	out->regions = difference(mmun_load_relaxed(&state->published), killed);
	out->bytes = difference(mmun_load_relaxed(&state->published_bytes), killed_bytes);
	out->late_regions = difference(killed, gone);
	out->late_bytes = difference(killed_bytes, gone_bytes);
	out->late_in_use = mmun_load_relaxed(&state->in_use);
	out->sections = mmun_rc_sections(&state->sections);
	out->invalidations = mmun_load_relaxed(&state->invalidations);
	out->deregistered = mmun_load_relaxed(&state->calls);
	if (state->process)
		out->hits = mmun_rc_hits(state->process, cache->slot, &threads);
	out->memory = memory(cache, threads);
	out->reaper = mmun_load_relaxed(&state->reaper);
}

void mmun_rc_show(struct mmun_rcache *cache, bool now)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_rcache_stats stats;
	unsigned int i = 0;

	if (!cache->stat ||
	    (!now && mmun_load_relaxed(&state->count[MMUN_RC_misses]) % SHOW_MISSES))
		return;
	mmun_rcache_stats(cache, &stats);
#define SHOW(name, text) mmun_stat_set(cache->stat, i++, stats.name);
	MMUN_RCACHE_STATS(SHOW)
#undef SHOW
	mmun_stat_set(cache->stat, i++, stats.regions);
	mmun_stat_set(cache->stat, i++, stats.bytes);
	mmun_stat_set(cache->stat, i++, stats.late_regions);
	mmun_stat_set(cache->stat, i++, stats.late_bytes);
	mmun_stat_set(cache->stat, i++, stats.late_in_use);
	mmun_stat_set(cache->stat, i, stats.memory);
}
