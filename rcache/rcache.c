/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gets and puts, and what is called seldom.
 *
 * Tests: tests/contract/rcache/, tests/unit/rcache/, tests/torture/rcache.c,
 * tests/model/rcache_use.pml.
 */
#include "mmunotify/rcache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/self.h>

#include "bug.h"
#include "cache.h"
#include "number.h"

/*
 * The use of what a look-up has found, which makes it stay.  It may have died meanwhile: its
 * state is looked at behind the count (I2), and if it is another one the count is taken back.
 */
static inline __attribute__((always_inline)) struct mmun_registration *
use(struct mmun_rcache *cache, struct rc_cells *cells, uint64_t w1, unsigned long seq, bool fenced)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	const uint32_t id = mmun_rc_id(w1);

	mmun_rc_count(&cells->cell[id].begun, fenced);
	mmun_sched_point("begun", cells);
	if (mmun_likely(mmun_load_full(&hot->state[id]) == (uint32_t)w1 &&
			mmun_load_relaxed(&hot->seq) == seq))
		return (void *)(hot->regions + id * hot->stride);
	mmun_rc_count(&cells->cell[id].ended, fenced);
	mmun_rc_unused(cache, id);
	return NULL;
}

/* From bucket @at to the end of the probe. */
static struct mmun_registration *find_from(struct mmun_rcache *cache, const struct rc_table *table,
					   unsigned long seq, struct rc_cells *cells, size_t at,
					   unsigned long first, unsigned long last,
					   unsigned int access)
{
	const bool fenced = mmun_load_relaxed(&mmun_rc_state(cache)->hot.flags) & MMUN_RC_FENCED;
	uint64_t w1;

	for (; (w1 = mmun_load_acquire(&mmun_rc_bucket(table, at)->w1));
	     at = mmun_rc_next(table, at)) {
		struct mmun_registration *reg;
		unsigned long pages, start;
		uint64_t w0;

		mmun_sched_point("bucket", table);
		w0 = mmun_load_relaxed(&mmun_rc_bucket(table, at)->w0);
		pages = mmun_rc_pages(w0, w1);
		start = w0 >> 28;
		if (first - start >= pages || last - start >= pages || (w1 & access) != access)
			continue;
		reg = use(cache, cells, w1, seq, fenced);
		if (reg)
			return reg;
	}
	return NULL;
}

/* All buckets where it may stand. */
static struct mmun_registration *find(struct mmun_rcache *cache, struct rc_cells *cells,
				      unsigned long first, unsigned long last, unsigned int access)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	const unsigned long seq = mmun_load_acquire(&hot->seq);
	const struct rc_table *table = mmun_load_acquire(&hot->table);
	struct mmun_registration *reg = NULL;
	uint32_t shifts;

	if (!table)
		return NULL;
	for (shifts = mmun_rc_shifts_for(table, first, last); shifts && !reg;
	     shifts &= shifts - 1) {
		const unsigned int shift = 2 * (unsigned int)__builtin_ctz(shifts);

		reg = find_from(cache, table, seq, cells, mmun_rc_home(table, first, shift), first,
				last, access);
		if (!reg)
			reg = find_from(cache, table, seq, cells,
					mmun_rc_second_home(table, first, shift), first, last,
					access);
	}
	return reg;
}

static struct mmun_registration *find_carefully(struct mmun_rcache *cache, unsigned long first,
						unsigned long last, unsigned int access)
{
	const struct rc_state *state = mmun_rc_state(cache);
	const struct rc_hot *hot = &state->hot;
	struct rc_thread *thread = mmun_rc_task.thread;
	struct mmun_registration *reg;
	struct rc_cells *cells;

	if (!mmun_load_relaxed(&thread->owner) || !(cells = thread->cells[cache->slot]))
		return NULL;
	reg = find(cache, cells, first, last, access);
	if (!reg)
		return NULL;
	if (mmun_load_relaxed(&hot->flags) & MMUN_RC_CHECKED)
		(void)mmun_add_full(&reg->reserved[MMUN_RC_EXACT], 1);
	mmun_rc_add(&cells->hits, 1);
	return reg;
}

/* Everything is there that the calling thread needs.  0 or -errno. */
static int prepare(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	int ret = mmun_rc_ready(cache);

	if (ret)
		return ret;
	return mmun_rc_cells(state->process, cache->slot, cache->limits.regions) ? 0 : -ENOMEM;
}

/* A hook sets the flag and then makes gets unusual; if what is late has gone in between, the
 * latter is undone here. */
static void drain_late(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	const unsigned int flags = mmun_load_full(&state->hot.flags);
	int cancel;

	if (mmun_likely(!(flags & MMUN_RC_LATE) &&
			(flags || mmun_load_relaxed(&state->hot.plain_table))))
		return;
	if (!mmun_rc_may_reclaim(cache) || mmun_rc_enter(cache, &cancel))
		return;
	if (flags & MMUN_RC_LATE) {
		mmun_rc_reclaim(cache, false);
	} else {
		mmun_mutex_lock(&state->lock);
		mmun_rc_set_plain(cache);
		mmun_mutex_unlock(&state->lock);
	}
	mmun_rc_leave(cancel);
}

static struct mmun_registration *get_inside(struct mmun_rcache *cache, unsigned long first,
					    unsigned long last, unsigned int access)
{
	struct mmun_registration *reg;
	int ret = prepare(cache);

	if (ret)
		return mmun_err_ptr(ret);
	reg = access & MMUN_RCACHE_UNCACHED
		      ? NULL
		      : find_carefully(cache, first, last, access & MMUN_RCACHE_ACCESS);
	if (reg)
		return reg;
	if (!mmun_rc_may_reclaim(cache))
		return mmun_err_ptr(-EPERM);
	reg = mmun_rc_miss(cache, first, last, access);
	/* The child of a fork in the middle of it begins anew. */
	return mmun_is_err(reg) && mmun_rc_left(mmun_rc_state(cache))
		       ? get_inside(cache, first, last, access)
		       : reg;
}

/* What is unusual: nothing is found where most are, or the thread is new, or the cache is. */
static __attribute__((noinline)) struct mmun_registration *get_slowly(struct mmun_rcache *cache,
								      unsigned long address,
								      unsigned long last,
								      unsigned int access)
{
	const unsigned int once = MMUN_RCACHE_CACHED | MMUN_RCACHE_UNCACHED;
	const unsigned long first_page = address >> MMUN_RC_PAGE_SHIFT;
	const unsigned long last_page = last >> MMUN_RC_PAGE_SHIFT;
	struct mmun_registration *reg;
	int cancel;

	/* Also of no bytes, of which the last is -1. */
	if (access & ~(MMUN_RCACHE_ACCESS | once) || (access & once) == once || last < address ||
	    last - address == -1ul)
		return mmun_err_ptr(-EINVAL);
	if (!(access & MMUN_RCACHE_UNCACHED)) {
		reg = find_carefully(cache, first_page, last_page, access & MMUN_RCACHE_ACCESS);
		if (reg && !(access & MMUN_RCACHE_CACHED))
			drain_late(cache);
		if (reg)
			return reg;
		if (access & MMUN_RCACHE_CACHED)
			return mmun_err_ptr(-ENOENT);
	}
	if (mmun_rc_enter(cache, &cancel))
		return mmun_err_ptr(-EDEADLK);
	reg = get_inside(cache, first_page, last_page, access);
	mmun_rc_show(cache, false);
	if (mmun_is_err(reg))
		(void)mmun_add_relaxed(&mmun_rc_state(cache)->count[MMUN_RC_refused], 1);
	mmun_rc_leave(cancel);
	return reg;
}

/* @id, whose use was counted, is dead, or it is not certain what it covers. */
static __attribute__((noinline)) struct mmun_registration *
get_instead(struct mmun_rcache *cache, unsigned long address, unsigned long last,
	    unsigned int access, uint32_t id)
{
	mmun_rc_count(&mmun_rc_task.thread->cells[cache->slot]->cell[id].ended, false);
	mmun_rc_unused(cache, id);
	return get_slowly(cache, address, last, access);
}

/* Does the registration of a bucket cover [@address, @last]?  Of a giant only some pages count. */
static inline __attribute__((always_inline)) bool covers(uint64_t w0, unsigned long address,
							 unsigned long last)
{
	/* In bytes, so that the caller's values need not be shifted. */
	const unsigned long start = w0 >> 16 & ~(MMUN_RC_PAGE - 1);

	return address >= start && (last - start) >> MMUN_RC_PAGE_SHIFT < (w0 & 0xffffffful);
}

/* All of @access, and nothing that is no access to memory. */
static inline __attribute__((always_inline)) bool permits(uint64_t w1, unsigned int access)
{
	return !(access & ~(unsigned int)(w1 & MMUN_RCACHE_ACCESS));
}

/* It is not in @bucket: the next one has it where two begin in one granule. */
static __attribute__((noinline)) struct mmun_registration *
get_beside(struct mmun_rcache *cache, unsigned long address, unsigned long last,
	   unsigned int access, const struct rc_bucket *bucket, unsigned long seq)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	struct rc_cells *cells = mmun_rc_task.thread->cells[hot->slot];
	const uint64_t w1 = mmun_load_acquire(&bucket[1].w1);
	struct mmun_registration *reg;

	if (!cells || !covers(mmun_load_relaxed(&bucket[1].w0), address, last) ||
	    !permits(w1, access))
		return get_slowly(cache, address, last, access);
	reg = use(cache, cells, w1, seq, false);
	if (!reg)
		return get_slowly(cache, address, last, access);
	mmun_rc_count_hit(cells);
	return reg;
}

/*
 * The first bucket of what begins there in the size that is asked for, or in the smallest
 * that occurs there; whatever is unusual is for others.  An empty bucket covers nothing.
 */
struct mmun_registration *mmun_rcache_get(struct mmun_rcache *cache, unsigned long address,
					  size_t length, unsigned int access)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	const unsigned long seq = mmun_load_acquire(&hot->seq);
	const struct rc_table *table = mmun_load_acquire(&hot->plain_table);
	const unsigned long last = address + length - 1;
	const struct rc_bucket *bucket;
	struct rc_cells *cells;
	uint64_t w1;
	uint32_t id;

	/* One test each, so that the compiler makes a jump of it and nothing else. */
	if (mmun_unlikely(last < address))
		return get_slowly(cache, address, last, access);
	if (mmun_unlikely(!table))
		return get_slowly(cache, address, last, access);
	bucket = mmun_rc_first_bucket(table, address >> MMUN_RC_PAGE_SHIFT,
				      (length - 1) >> MMUN_RC_PAGE_SHIFT);
	w1 = mmun_load_acquire(&bucket->w1);
	if (mmun_unlikely(!covers(mmun_load_relaxed(&bucket->w0), address, last)))
		return get_beside(cache, address, last, access, bucket, seq);
	if (mmun_unlikely(!permits(w1, access)))
		return get_beside(cache, address, last, access, bucket, seq);
	cells = mmun_rc_task.thread->cells[hot->slot];
	if (mmun_unlikely(!cells))
		return get_slowly(cache, address, last, access);
	id = mmun_rc_id(w1);
	mmun_rc_count(&cells->cell[id].begun, false);
	if (mmun_unlikely(mmun_load_full(&hot->state[id]) != (uint32_t)w1))
		return get_instead(cache, address, last, access, id);
	if (mmun_unlikely(mmun_load_relaxed(&hot->seq) != seq))
		return get_instead(cache, address, last, access, id);
	mmun_rc_count_hit(cells);
	return (void *)(hot->regions + id * hot->stride);
}

/* True: it is one of this process's. */
static bool check_put(struct mmun_rcache *cache, struct mmun_registration *reg)
{
	const struct rc_state *state = mmun_rc_state(cache);
	const size_t offset = (size_t)((const char *)reg - state->hot.regions);
	unsigned int *exact = &reg->reserved[MMUN_RC_EXACT], uses;

	if (!state->hot.bytes || offset >= state->hot.bytes || offset % cache->stride) {
		/* A child's copy of its parent's is none, and there is nothing to do. */
		if (cache->pid != (int)mmun_syscall3(SYS_getpid, 0, 0, 0))
			return false;
		mmun_misuse(cache->flags & MMUN_RCACHE_DEBUG && !state->hot.bytes
				    ? "mmun_rcache_put() after mmun_rcache_destroy()"
				    : "mmun_rcache_put() of what is no registration of the cache");
		return false;
	}
	if (!(mmun_load_relaxed(&state->hot.flags) & MMUN_RC_CHECKED))
		return true;
	uses = mmun_load_full(exact);
	do {
		if (!uses) {
			mmun_misuse("mmun_rcache_put() of a registration that is not in use");
			return false;
		}
	} while (!mmun_cas_full(exact, &uses, uses - 1));
	return true;
}

static __attribute__((noinline)) void put_slowly(struct mmun_rcache *cache,
						 struct mmun_registration *reg)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct rc_cells *cells;
	uint32_t id;

	if (!check_put(cache, reg))
		return;
	id = mmun_rc_id_of(&state->hot, reg);
	cells = mmun_rc_cells(state->process, cache->slot, cache->limits.regions);
	if (cells)
		mmun_rc_count(&cells->cell[id].ended,
			      mmun_load_relaxed(&state->hot.flags) & MMUN_RC_FENCED);
	else
		(void)mmun_add_full(&state->spare[id].ended, 1);
	mmun_sched_point("ended", state);
	mmun_rc_unused(cache, id);
	drain_late(cache);
}

void mmun_rcache_put(struct mmun_rcache *cache, struct mmun_registration *reg)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	const size_t offset = (size_t)((char *)reg - hot->regions);
	struct rc_cells *cells = mmun_rc_task.thread->cells[hot->slot];
	uint32_t id;

	if (mmun_unlikely(offset >= mmun_load_relaxed(&hot->plain_bytes) || !cells)) {
		put_slowly(cache, reg);
		return;
	}
	id = (uint32_t)((unsigned __int128)offset * hot->reciprocal >> 64);
	mmun_rc_count(&cells->cell[id].ended, false);
	/* Dead: what deregisters may have seen the use. */
	if (mmun_unlikely(!mmun_load_full(&hot->state[id])))
		mmun_rc_unused(cache, id);
}

bool mmun_rcache_is_current(struct mmun_rcache *cache, const struct mmun_registration *reg)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;

	if ((size_t)((const char *)reg - hot->regions) >= hot->bytes)
		return false;
	return mmun_load_full(&hot->state[mmun_rc_id_of(hot, reg)]);
}

void mmun_rcache_own(struct mmun_rcache *cache)
{
	mmun_store_full(&mmun_rc_state(cache)->owner,
			(unsigned int)mmun_syscall3(SYS_gettid, 0, 0, 0));
}

/* Enters a part that calls the backend. */
static long enter_backend(struct mmun_rcache *cache, int *cancel)
{
	if (!mmun_rc_may_reclaim(cache))
		return -EPERM;
	return mmun_rc_enter(cache, cancel) ? -EDEADLK : 0;
}

long mmun_rcache_progress(struct mmun_rcache *cache)
{
	const struct rc_state *state = mmun_rc_state(cache);
	int cancel;
	long done;

	if (!mmun_load_full(&state->dead) && !mmun_load_relaxed(&state->dying))
		return 0;
	done = enter_backend(cache, &cancel);
	if (done)
		return done;
	done = mmun_rc_reclaim(cache, true);
	mmun_rc_show(cache, true);
	mmun_rc_leave(cancel);
	return done;
}

/* Return: how many are in use. */
static long flush(struct mmun_rcache *cache)
{
	mmun_rc_kill_all(cache);
	mmun_rc_reclaim(cache, true);
	mmun_rc_show(cache, true);
	return (long)mmun_load_relaxed(&mmun_rc_state(cache)->in_use);
}

long mmun_rcache_flush(struct mmun_rcache *cache)
{
	long ret;
	int cancel;

	ret = enter_backend(cache, &cancel);
	if (ret)
		return ret;
	/* A child that has not used it has nothing to drop. */
	if (mmun_load_full(&mmun_rc_state(cache)->hot.bytes))
		ret = flush(cache);
	mmun_rc_leave(cancel);
	return ret;
}

static bool is_live(const struct rc_state *state, uint32_t id)
{
	const uint32_t word = mmun_load_full(&state->hot.state[id]);

	return word && !(word & MMUN_RC_UNBORN);
}

int mmun_rcache_for_each(struct mmun_rcache *cache,
			 int (*visit)(struct mmun_registration *reg, void *arg), void *arg)
{
	struct rc_state *state = mmun_rc_state(cache);
	int cancel, ret;
	bool fenced;

	if (mmun_rc_enter(cache, &cancel))
		return -EDEADLK;
	ret = prepare(cache);
	fenced = mmun_load_relaxed(&state->hot.flags) & MMUN_RC_FENCED;
	for (uint32_t id = 0; !ret && id < mmun_load_full(&state->nr); id++) {
		struct mmun_registration *reg = mmun_rc_region(&state->hot, id);

		if (!is_live(state, id))
			continue;
		mmun_rc_count(&mmun_rc_task.thread->cells[cache->slot]->cell[id].begun, fenced);
		if (is_live(state, id))
			ret = visit(reg, arg);
		mmun_rc_count(&mmun_rc_task.thread->cells[cache->slot]->cell[id].ended, fenced);
		mmun_rc_unused(cache, id);
	}
	mmun_rc_leave(cancel);
	return ret;
}

/* Slots of caches, in a bitmap. */
static unsigned long slots[MMUN_RCACHE_MAX_CACHES / 64];

static int claim_slot(void)
{
	for (unsigned int i = 0; i < MMUN_RCACHE_MAX_CACHES; i++) {
		const unsigned long bit = 1ul << (i % 64);

		if (!(mmun_load_relaxed(&slots[i / 64]) & bit) &&
		    !(__atomic_fetch_or(&slots[i / 64], bit, __ATOMIC_SEQ_CST) & bit))
			return (int)i;
	}
	return -1;
}

static void free_slot(unsigned int slot)
{
	(void)__atomic_fetch_and(&slots[slot / 64], ~(1ul << (slot % 64)), __ATOMIC_SEQ_CST);
}

static size_t cache_size(void)
{
	return mmun_rc_size(MMUN_RC_HEAD + sizeof(struct rc_state));
}

#define ALL_FLAGS \
	(MMUN_RCACHE_NO_REAPER | MMUN_RCACHE_OWNED | MMUN_RCACHE_NOT_PINNED | MMUN_RCACHE_DEBUG | \
	 MMUN_RCACHE_POISON)

/* What the environment says of all caches. */
static unsigned int environment(void)
{
	static unsigned int seen;
	const char *mode = getenv("MMUNOTIFY_RCACHE");
	const char *regions = getenv("MMUNOTIFY_RCACHE_REGIONS");
	const char *bytes = getenv("MMUNOTIFY_RCACHE_BYTES");
	unsigned int flags = 0;

	if (!mmun_swap_full(&seen, 1) && (regions || bytes))
		mmun_rcache_limit_process(regions ? mmun_decimal(regions) : 0,
					  bytes ? mmun_decimal(bytes) : 0);
	if (mode && !strcmp(mode, "debug"))
		flags = MMUN_RCACHE_DEBUG;
	else if (mode && !strcmp(mode, "poison"))
		flags = MMUN_RCACHE_DEBUG | MMUN_RCACHE_POISON;
	else if (mode && *mode)
		mmun_report("MMUNOTIFY_RCACHE is neither \"debug\" nor \"poison\": ignored");
#ifdef MMUN_DEBUG
	flags |= MMUN_RCACHE_DEBUG;
#endif
	return flags;
}

static void lower(unsigned long *limit, unsigned long to)
{
	if (to && (!*limit || to < *limit))
		*limit = to;
}

static int configure(struct mmun_rcache *cache, const struct mmun_rcache_options *options)
{
	struct mmun_rcache_limits device = { 0, 0, 0 };
	size_t stride = options->registration_size;

	/* Nor so large that all of them exceed what there is of addresses. */
	if (stride && (stride < sizeof(struct mmun_registration) ||
		       stride > ~0ul / 4 / MMUN_RCACHE_MAX_REGIONS))
		return -EINVAL;
	if (!stride)
		stride = sizeof(struct mmun_registration);
	cache->stride = (stride + 15) & ~15ul;
	cache->flags = options->flags | environment();
	if (cache->flags & MMUN_RCACHE_POISON)
		cache->flags |= MMUN_RCACHE_DEBUG;
	cache->alignment = options->alignment > MMUN_RC_PAGE ? options->alignment : MMUN_RC_PAGE;
	cache->merge = options->merge;
	cache->late_bytes = options->late_bytes ? options->late_bytes : MMUN_RCACHE_LATE_BYTES;
	cache->limits = options->limits;
	if (!cache->limits.regions)
		cache->limits.regions = MMUN_RCACHE_REGIONS;
	if (cache->ops->limits)
		cache->ops->limits(cache->arg, &device);
	lower(&cache->limits.regions, device.regions);
	lower(&cache->limits.bytes, device.bytes);
	lower(&cache->limits.length, device.length);
	strncpy(cache->name, options->name ? options->name : "rcache", sizeof(cache->name) - 1);
	return 0;
}

static bool is_valid(const struct mmun_rcache_ops *ops, const struct mmun_rcache_options *options)
{
	return ops && ops->register_memory && ops->deregister_memory &&
	       !(options->flags & ~ALL_FLAGS) && !(options->alignment & (options->alignment - 1)) &&
	       options->limits.regions <= MMUN_RCACHE_MAX_REGIONS;
}

int mmun_rcache_create(struct mm_struct *mm, const struct mmun_rcache_ops *ops, void *arg,
		       const struct mmun_rcache_options *options, struct mmun_rcache **out)
{
	static const struct mmun_rcache_options defaults;
	struct mmun_rcache *cache;
	int ret, slot;

	if (!options)
		options = &defaults;
	if (!mm || !is_valid(ops, options))
		return -EINVAL;
	cache = mmun_rc_map(cache_size(), MMUN_RC_HEAD);
	if (!cache)
		return -ENOMEM;
	cache->mm = mm;
	cache->is_self = mm == mmun_self();
	cache->ops = ops;
	cache->arg = arg;
	cache->pid = (int)mmun_syscall3(SYS_getpid, 0, 0, 0);
	ret = configure(cache, options);
	if (ret)
		goto free_cache;
	slot = claim_slot();
	ret = -ENOSPC;
	if (slot < 0)
		goto free_cache;
	cache->slot = (unsigned int)slot;
	mmun_rc_stat_create(cache);
	ret = mmun_rc_ready(cache);
	if (ret)
		goto free_parts;
	*out = cache;
	return 0;

free_parts:
	mmun_rc_free(cache);
	mmun_rc_stat_destroy(cache);
	free_slot(cache->slot);
free_cache:
	mmun_free_pages(cache, cache_size());
	return ret;
}

int mmun_rcache_destroy(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	int cancel;
	long ret;

	if (cache->flags & MMUN_RCACHE_DEBUG && !state->hot.bytes &&
	    mmun_load_full(&state->ended) & MMUN_RC_CACHE_ENDED) {
		mmun_misuse("mmun_rcache_destroy() of what has been destroyed");
		return -ESRCH;
	}
	ret = enter_backend(cache, &cancel);
	if (ret)
		return (int)ret;
	(void)__atomic_fetch_or(&state->ended, MMUN_RC_CACHE_ENDED, __ATOMIC_SEQ_CST);
	mmun_store_relaxed(&state->mm, NULL);
	/* Its ->release kills what there is. */
	if (cache->registered)
		mmu_notifier_unregister(&cache->mn, cache->mm);
	cache->registered = false;
	mmun_rc_reaper_stop(cache);
	if (state->hot.bytes && flush(cache)) {
		mmun_rc_leave(cancel);
		return -EBUSY;
	}
	mmun_rc_free(cache);
	mmun_rc_stat_destroy(cache);
	free_slot(cache->slot);
	/* Gets and puts that come afterwards meet a cache that has ended, and nothing else. */
	if (cache->flags & MMUN_RCACHE_DEBUG)
		memset(&state->hot, 0, sizeof(state->hot));
	else
		mmun_free_pages(cache, cache_size());
	mmun_rc_leave(cancel);
	return 0;
}
