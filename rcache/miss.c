/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration is made.  What it must not be, stale, and how that is seen: sections.h.
 * Tests: tests/unit/rcache/policy.c, tests/torture/rcache.c, tests/model/rcache_miss.pml.
 */
#include <errno.h>

#include "cache.h"
#include "clock.h"
#include "probes.h"

/* Looks at a section that is open where memory is to be registered, before it is registered
 * for one use: the first ones in turn, later ones after longer and longer sleeps, 20 ms in all. */
#define SPINS     32
#define LOOKS     (SPINS + 10)
#define FIRST_NAP (20 * 1000ul)
/* Where no overlap is allowed: sleeps while what lies there is being deregistered; rounds after
 * them; and sleeps while another get registers there: seconds, for that may be large. */
#define NAPS     3
#define OVERLAPS 3
#define WAITS    2000
#define WAIT_NAP MMUN_NSEC_PER_MSEC
/* Rounds of growth by what lies beside. */
#define GROWTHS 16

/* What is to be registered, and what was asked for, in bytes and in pages. */
struct request {
	unsigned long start, end;
	unsigned long first, last;
	unsigned int access;
};

static bool is_pressure(int ret)
{
	return ret == -ENOMEM || ret == -EAGAIN || ret == -ENOSPC || ret == -EDQUOT ||
	       ret == -ENFILE;
}

/* Anything that may help others to so many bytes.  False: there is nothing. */
static bool make_room(struct mmun_rcache *cache, unsigned long bytes)
{
	return mmun_rc_reclaim(cache, true) > 0 || mmun_rc_evict(cache, bytes) > 0;
}

static bool fits(struct mmun_rcache *cache, const struct rc_state *state, unsigned long bytes)
{
	return state->reserved < cache->limits.regions &&
	       (!cache->limits.bytes || state->reserved_bytes + bytes <= cache->limits.bytes);
}

/* An id, within all limits, or -errno. */
static long reserve(struct mmun_rcache *cache, unsigned long bytes)
{
	struct rc_state *state = mmun_rc_state(cache);
	bool process_full;
	long id;

	for (;;) {
		if (mmun_rc_left(state))
			return -ECHILD;
		process_full = mmun_rc_process_full(cache, bytes);
		id = -1;
		mmun_mutex_lock(&state->lock);
		if (!process_full && fits(cache, state, bytes))
			id = mmun_rc_id_get(cache);
		if (id >= 0) {
			mmun_rc_add(&state->reserved, 1);
			mmun_rc_add(&state->reserved_bytes, bytes);
		}
		mmun_mutex_unlock(&state->lock);
		if (id >= 0)
			break;
		if (!make_room(cache, bytes) &&
		    !(process_full && mmun_rc_evict_others(cache, bytes)))
			return -EAGAIN;
	}
	return id;
}

static void unreserve(struct mmun_rcache *cache, uint32_t id, unsigned long bytes)
{
	struct rc_state *state = mmun_rc_state(cache);

	mmun_mutex_lock(&state->lock);
	mmun_rc_id_free(cache, id);
	mmun_rc_add(&state->reserved, -1ul);
	mmun_rc_add(&state->reserved_bytes, -bytes);
	mmun_mutex_unlock(&state->lock);
}

/* Nobody has seen it but the caller. */
static void undo(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg = mmun_rc_region(&state->hot, id);
	const unsigned long bytes = mmun_rc_length(reg);

	(void)mmun_add_relaxed(&state->calls, 1);
	mmun_rc_probe4(deregister, cache, reg, reg->start, reg->end);
	cache->ops->deregister_memory(cache->arg, reg);
	if (mmun_rc_left(state))
		return;
	unreserve(cache, id, bytes);
}

static bool is_there(struct mmun_rcache *cache, const struct request *request)
{
	struct rc_state *state = mmun_rc_state(cache);
	bool found;

	mmun_mutex_lock(&state->lock);
	found = mmun_rc_lookup(cache, request->first, request->last, request->access) >= 0;
	mmun_mutex_unlock(&state->lock);
	return found;
}

/*
 * Asks the backend until it agrees or nothing is left that might change its mind.  Where it
 * allows no overlap another thread may just be deregistering what lies there, or have registered
 * what is wanted.
 */
static int ask(struct mmun_rcache *cache, const struct request *request,
	       struct mmun_registration *reg)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned long room = mmun_rc_length(reg);
	unsigned int overlaps = 0, naps = 0;
	long dropped;
	int ret = 0;

	while (!mmun_rc_left(state) && (ret = cache->ops->register_memory(cache->arg, reg))) {
		if (mmun_rc_left(state))
			break;
		(void)mmun_add_relaxed(&state->count[MMUN_RC_failed], 1);
		mmun_rc_probe4(fail, cache, reg->start, reg->end, ret);
		if (ret == -EADDRINUSE) {
			if (is_there(cache, request))
				break;
			dropped = mmun_rc_evict_range(cache, reg->start, reg->end);
			if (dropped < 0 || ++overlaps > MMUN_RCACHE_ROUNDS)
				break;
			if (!dropped && ++naps > NAPS)
				break;
			if (!dropped)
				mmun_nap(FIRST_NAP << naps);
			continue;
		}
		if (!is_pressure(ret) ||
		    (!make_room(cache, room) && !mmun_rc_evict_others(cache, room)))
			break;
		room *= 2;
	}
	return mmun_rc_left(state) ? -ECHILD : ret;
}

/* An id whose memory the backend has registered, or -errno. */
static long make(struct mmun_rcache *cache, const struct request *request)
{
	struct rc_state *state = mmun_rc_state(cache);
	const unsigned long bytes = request->end - request->start;
	struct mmun_registration *reg;
	long id = reserve(cache, bytes);
	int ret;

	if (id < 0)
		return id;
	reg = mmun_rc_region(&state->hot, (uint32_t)id);
	mmun_store_relaxed(&reg->start, request->start);
	mmun_store_relaxed(&reg->end, request->end);
	reg->access = request->access;
	ret = ask(cache, request, reg);
	if (mmun_rc_left(state))
		return ret;
	if (ret) {
		unreserve(cache, (uint32_t)id, bytes);
		return ret;
	}
	mmun_rc_probe4(register, cache, reg, reg->start, reg->end);
	(void)mmun_add_relaxed(&state->count[MMUN_RC_registered], 1);
	/* The backend may raise it. */
	reg->access &= MMUN_RCACHE_ACCESS;
	return id;
}

static struct rc_cell *own_cell(struct rc_state *state, uint32_t id)
{
	return &mmun_rc_task.thread->cells[state->hot.slot]->cell[id];
}

static void use(struct rc_state *state, uint32_t id)
{
	mmun_rc_count(&own_cell(state, id)->begun,
		      mmun_load_relaxed(&state->hot.flags) & MMUN_RC_FENCED);
	if (mmun_load_relaxed(&state->hot.flags) & MMUN_RC_CHECKED)
		(void)mmun_add_full(&mmun_rc_region(&state->hot, id)->reserved[MMUN_RC_EXACT], 1);
}

static void unuse(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);

	if (mmun_load_relaxed(&state->hot.flags) & MMUN_RC_CHECKED)
		(void)mmun_sub_full(&mmun_rc_region(&state->hot, id)->reserved[MMUN_RC_EXACT], 1);
	mmun_rc_count(&own_cell(state, id)->ended,
		      mmun_load_relaxed(&state->hot.flags) & MMUN_RC_FENCED);
	mmun_rc_unused(cache, id);
}

/* It is in no table and dead already; its user's put is what ends it. */
static struct mmun_registration *born_dead(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg = mmun_rc_region(&state->hot, id);

	use(state, id);
	mmun_rc_probe4(uncached, cache, reg, reg->start, reg->end);
	mmun_mutex_lock(&state->lock);
	mmun_rc_add(&state->published, 1);
	mmun_rc_add(&state->published_bytes, mmun_rc_length(reg));
	mmun_rc_stat_inc(state, uncached);
	mmun_mutex_unlock(&state->lock);
	(void)mmun_add_relaxed(&state->killed, 1);
	(void)mmun_add_relaxed(&state->killed_bytes, mmun_rc_length(reg));
	mmun_rc_bury(cache, id);
	return reg;
}

/* With the lock held: one that another thread has made, with a use. */
static struct mmun_registration *find(struct mmun_rcache *cache, const struct request *request)
{
	struct rc_state *state = mmun_rc_state(cache);
	long id;

	while ((id = mmun_rc_lookup(cache, request->first, request->last, request->access)) >= 0) {
		use(state, (uint32_t)id);
		if (mmun_load_full(&state->hot.state[id]))
			return mmun_rc_region(&state->hot, (uint32_t)id);
		unuse(cache, (uint32_t)id);
	}
	return NULL;
}

/* What is not used from the start goes first. */
static void take_sample(struct rc_state *state, uint32_t id)
{
	state->sample[id] =
		(uint8_t)mmun_rc_sum(state->process, state->hot.slot, id, state->spare).begun;
}

enum outcome {
	KEPT,
	/* Another thread's is *reg. */
	DUPLICATE,
	/* Memory has changed, or may have, before anybody could get it. */
	COLLIDED,
	/* No memory for the table. */
	UNKEPT,
};

/* With the lock held.  COLLIDED with *@killed: it is in the table, and dead. */
static enum outcome keep(struct mmun_rcache *cache, const struct request *request,
			 const struct rc_place *place, uint32_t id, struct mmun_registration **reg,
			 bool *killed)
{
	struct rc_state *state = mmun_rc_state(cache);
	const struct mmun_registration *own = mmun_rc_region(&state->hot, id);
	const uint32_t word = own->reserved[MMUN_RC_GENERATION] << 8 | own->access;

	*killed = false;
	*reg = find(cache, request);
	if (*reg)
		return DUPLICATE;
	if (mmun_rc_collided(&state->sections, place))
		return COLLIDED;
	use(state, id);
	if (mmun_rc_publish(cache, id)) {
		unuse(cache, id);
		return UNKEPT;
	}
	take_sample(state, id);
	*reg = mmun_rc_region(&state->hot, id);
	if (!mmun_rc_collided(&state->sections, place) && mmun_rc_let_live(cache, id)) {
		mmun_rc_stat_inc(state, misses);
		return KEPT;
	}
	*killed = true;
	if (mmun_rc_kill(cache, id, word))
		mmun_rc_bury(cache, id);
	unuse(cache, id);
	return COLLIDED;
}

/* A place where no section is open; NULL: there is none, or one is open for long. */
static struct rc_place *begin(struct rc_state *state, const struct request *request)
{
	struct rc_place *place;

	for (unsigned int i = 0; i < LOOKS; i++) {
		place = mmun_rc_pending(&state->sections, request->start, request->end);
		if (!place || !mmun_rc_collided(&state->sections, place))
			return place;
		mmun_rc_pending_done(&state->sections, place);
		mmun_sched_point("section", state);
		if (i < SPINS)
			mmun_cpu_relax();
		else
			mmun_nap(FIRST_NAP << (i - SPINS));
	}
	return NULL;
}

/* What lies beside a request, while it grows. */
struct growth {
	struct mmun_rcache *cache;
	struct request *request;
	bool grown;
};

static void grow(const struct rc_entry *entry, void *arg)
{
	struct growth *growth = arg;
	struct request *request = growth->request;
	struct rc_state *state = mmun_rc_state(growth->cache);
	const unsigned long entry_start = entry->first << MMUN_RC_PAGE_SHIFT;
	const unsigned long entry_end = (entry->first + entry->pages) << MMUN_RC_PAGE_SHIFT;
	const unsigned long start = entry_start < request->start ? entry_start : request->start;
	const unsigned long end = entry_end > request->end ? entry_end : request->end;
	const unsigned int access = request->access | (entry->state & MMUN_RCACHE_ACCESS);

	if (!entry->state || mmun_load_full(&state->hot.state[entry->id]) != entry->state ||
	    end - start > growth->cache->merge ||
	    (growth->cache->limits.length && end - start > growth->cache->limits.length) ||
	    (growth->cache->limits.bytes && end - start > growth->cache->limits.bytes) ||
	    (start == request->start && end == request->end && access == request->access))
		return;
	request->start = start;
	request->end = end;
	request->access = access;
	growth->grown = true;
}

/* The request with all that it overlaps or touches. */
static bool merge(struct mmun_rcache *cache, struct request *request)
{
	struct growth growth = { .cache = cache, .request = request };
	bool merged = false;

	for (int i = 0; cache->merge && i < GROWTHS; i++) {
		growth.grown = false;
		mmun_rc_walk(cache, (request->start - 1) >> MMUN_RC_PAGE_SHIFT,
			     request->end >> MMUN_RC_PAGE_SHIFT, grow, &growth);
		if (!growth.grown)
			break;
		merged = true;
	}
	return merged;
}

struct replacement {
	struct mmun_rcache *cache;
	const struct mmun_registration *reg;
	uint32_t id;
};

static void replace(const struct rc_entry *entry, void *arg)
{
	const struct replacement *by = arg;
	struct rc_state *state = mmun_rc_state(by->cache);

	if (entry->id == by->id || entry->first < by->reg->start >> MMUN_RC_PAGE_SHIFT ||
	    entry->first + entry->pages > by->reg->end >> MMUN_RC_PAGE_SHIFT ||
	    (entry->state & MMUN_RCACHE_ACCESS & ~by->reg->access) ||
	    !mmun_rc_kill(by->cache, entry->id, entry->state))
		return;
	(void)mmun_add_relaxed(&state->count[MMUN_RC_merged], 1);
	mmun_rc_bury(by->cache, entry->id);
}

static void replace_merged(struct mmun_rcache *cache, const struct mmun_registration *reg)
{
	const struct replacement by = { cache, reg,
					mmun_rc_id_of(&mmun_rc_state(cache)->hot, reg) };

	mmun_rc_walk(cache, reg->start >> MMUN_RC_PAGE_SHIFT, (reg->end - 1) >> MMUN_RC_PAGE_SHIFT,
		     replace, (void *)(uintptr_t)&by);
}

/* One round.  NULL: once more. */
static struct mmun_registration *attempt(struct mmun_rcache *cache, const struct request *wanted,
					 struct rc_place *place, bool *again)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg;
	enum outcome outcome;
	bool killed;
	long id = make(cache, wanted);

	*again = false;
	if (id == -EADDRINUSE && place) {
		mmun_mutex_lock(&state->lock);
		reg = find(cache, wanted);
		mmun_mutex_unlock(&state->lock);
		if (reg)
			return reg;
	}
	if (id < 0)
		return mmun_err_ptr(id);
	if (!place)
		return born_dead(cache, (uint32_t)id);
	mmun_mutex_lock(&state->lock);
	outcome = keep(cache, wanted, place, (uint32_t)id, &reg, &killed);
	if (outcome == COLLIDED)
		mmun_rc_stat_inc(state, retries);
	else if (outcome == DUPLICATE)
		mmun_rc_stat_inc(state, duplicates);
	mmun_mutex_unlock(&state->lock);
	switch (outcome) {
	case KEPT:
		return reg;
	case UNKEPT:
		return born_dead(cache, (uint32_t)id);
	case COLLIDED:
		mmun_rc_probe3(retry, cache, wanted->start, wanted->end);
		if (!killed)
			undo(cache, (uint32_t)id);
		*again = true;
		return NULL;
	case DUPLICATE:
		undo(cache, (uint32_t)id);
		return reg;
	}
	return NULL;
}

static struct mmun_registration *rounds(struct mmun_rcache *cache, const struct request *asked)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg;
	bool again, merged, may_merge = true;
	unsigned int waits = 0;

	for (int i = 0; i < MMUN_RCACHE_ROUNDS; i++) {
		struct request request = *asked;
		struct rc_place *place;

		merged = may_merge && merge(cache, &request);
		place = begin(state, &request);
		if (!place)
			break;
		reg = attempt(cache, &request, place, &again);
		mmun_rc_pending_done(&state->sections, place);
		if (merged && !again && mmun_is_err(reg)) {
			/* Not all of it can be registered together. */
			may_merge = false;
			continue;
		}
		/* The device allows no overlap, and other gets register and drop what is there. */
		if (!again && mmun_ptr_err(reg) == -EADDRINUSE) {
			if (!mmun_rc_is_pending(&state->sections, request.start, request.end))
				waits += WAITS / OVERLAPS;
			else
				mmun_nap(WAIT_NAP);
			if (++waits >= WAITS)
				return reg;
			i--;
			continue;
		}
		if (merged && !again)
			replace_merged(cache, reg);
		if (!again)
			return reg;
	}
	return attempt(cache, asked, NULL, &again);
}

struct mmun_registration *mmun_rc_miss(struct mmun_rcache *cache, unsigned long first,
				       unsigned long last, unsigned int access)
{
	struct rc_state *state = mmun_rc_state(cache);
	const unsigned long mask = cache->alignment - 1;
	struct request request = {
		.start = (first << MMUN_RC_PAGE_SHIFT) & ~mask,
		.end = ((last << MMUN_RC_PAGE_SHIFT) + MMUN_RC_PAGE + mask) & ~mask,
		.first = first,
		.last = last,
		.access = access & MMUN_RCACHE_ACCESS,
	};
	struct mmun_registration *reg;
	unsigned long bytes = request.end - request.start;
	bool again;

	/* Up to the last byte there is: nothing can be mapped there. */
	if (request.end <= request.start)
		return mmun_err_ptr(-EFAULT);
	if ((cache->limits.length && bytes > cache->limits.length) ||
	    (cache->limits.bytes && bytes > cache->limits.bytes))
		return mmun_err_ptr(-EMSGSIZE);
	mmun_rc_reaper_start(cache);
	mmun_rc_probe4(miss, cache, request.start, request.end, access);
	if (access & MMUN_RCACHE_UNCACHED || last >= MMUN_RC_PAGES)
		reg = attempt(cache, &request, NULL, &again);
	else
		reg = rounds(cache, &request);
	if (mmun_rc_late_bytes(state) > cache->late_bytes)
		mmun_rc_reclaim(cache, false);
	return reg;
}
