/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache as its files see it.
 *
 * Life of an id, the index of a registration:
 *
 *     free --reserve--> reserved --publish--> unborn --> live --kill--> dead --deregister--> free
 *                           |                   |                        ^
 *                           |                   +--------- kill ---------+
 *                           +---------------- (uncached) ----------------+
 *
 * I1  state[id] is generation << 8 | access while the id is live, with MMUN_RC_UNBORN when it is
 *     in the table and may not be had yet, else 0.  The one that changes it to 0 has killed
 *     it, alone, and puts it on the stack of the dead.
 * I2  A get counts its use in its cell, then looks at the state; what deregisters looks at the
 *     cells a barrier after the state became 0.  So one sees the other.
 * I3  A put uncounts, then looks at the state, and so does a get that found another state: a
 *     use that the one who deregisters has still seen is followed by a look at the dead
 *     by the one whose turn it is (mmun_rc_unused()).
 * I4  What changes is in memory that a forked child finds zero: there the cache has no
 *     table and no cells, and a get begins anew (mmun_rc_ready()).  Only the
 *     registrations themselves are not zero, since the child may still look at those it holds.
 * I5  Hooks take no lock.  The lock is never held while the backend is called; the reclaim lock
 *     is.
 *
 * Floors: memory, cells, sections, table; region, walk, kill; room, reclaim; reaper; state (create,
 * child); get; rcache.
 */
#ifndef MMUN_RCACHE_CACHE_H
#define MMUN_RCACHE_CACHE_H

#include <pthread.h>

#include <mmunotify/primary.h>
#include <mmunotify/rcache.h>
#include <mmunotify/stat.h>

#include "cells.h"
#include "memory.h"
#include "sections.h"
#include "table.h"

/* A registration's private words. */
enum {
	MMUN_RC_GENERATION,
	/* Debug: uses, exactly. */
	MMUN_RC_EXACT,
	MMUN_RC_NR_WORDS = 5,
};

#define MMUN_RC_GENERATIONS 0x7fffffu

/* rc_hot.flags: gets and puts that are not plain. */
enum {
	/* Cells are changed by locked instructions. */
	MMUN_RC_FENCED = 1,
	MMUN_RC_CHECKED = 2,
	/* Too much waits for deregistration, and no reaper does it. */
	MMUN_RC_LATE = 4,
};

/* What every get and put reads and hardly anybody writes. */
struct rc_hot {
	/* Those of below, or NULL and 0: not ready in this process, or some flag is set. */
	struct rc_table *plain_table;
	size_t plain_bytes;
	uint32_t *state;
	/* nr registrations of stride bytes; (pointer - regions) * reciprocal >> 64 is the id. */
	char *regions;
	size_t stride;
	unsigned long reciprocal;
	/* Tables that there have been: see rebuild(). */
	unsigned long seq;
	unsigned int slot;

	/* NULL: not ready in this process. */
	struct rc_table *table;
	size_t bytes;
	unsigned int flags;
} __attribute__((aligned(64)));

/* An id or none, in lists. */
#define MMUN_RC_NONE     0u
#define MMUN_RC_LINK(id) ((id) + 1)

/* rc_state.ended: gets fail. */
enum {
	MMUN_RC_MM_ENDED = 1,
	MMUN_RC_CACHE_ENDED = 2,
};

/* Zero in a forked child. */
struct rc_state {
	struct rc_hot hot;

	/* What hooks write. */
	unsigned int dead __attribute__((aligned(2 * MMUN_CACHE_LINE)));
	/* Futex word of the reaper: something is dead. */
	unsigned int work;
	/* Too much is: now. */
	unsigned int urgent;
	unsigned long killed, killed_bytes, invalidations;

	struct rc_sections sections;

	/* Of the child's copy: 0, being made ready, ready; a futex word. */
	unsigned int ready __attribute__((aligned(2 * MMUN_CACHE_LINE)));
	/* MMUN_RC_*_ENDED, or 0. */
	unsigned int ended;
	unsigned int owner;
	/* As long as the cache is subscribed to it. */
	struct mm_struct *mm;
	struct rc_process *process;
	/* Raised before a walker can miss what is in the table. */
	unsigned long table_seq;
	/* For threads without memory for cells. */
	struct rc_cell *spare;
	uint32_t *link;
	uint8_t *sample;
	char *page;

	/* lock protects the table and the rest, down to reclaim_lock. */
	struct mmun_mutex lock;
	struct rc_table *retired;
	/* Ids: those below nr have been used; free ones, first in, first out. */
	uint32_t nr, free, last_free, nr_free;
	uint32_t hand;
	unsigned long reserved, reserved_bytes;
	/* Since the creation: made, not counting those that are gone at once; gone again. */
	unsigned long published, published_bytes, deregistered, deregistered_bytes;
	unsigned long count[24];

	/* Protects the dead that were taken from the stack. */
	struct mmun_mutex reclaim_lock;
	uint32_t dying;
	unsigned long in_use;
	/* Calls of deregister_memory(). */
	unsigned long calls;

	/* Of the reaper (reaper.c). */
	unsigned int reaper, reaper_stop;
	pthread_t reaper_thread;
	unsigned int no_thread;
};

struct mmun_rcache {
	const struct mmun_rcache_ops *ops;
	void *arg;
	struct mm_struct *mm;
	bool is_self;
	unsigned int slot;
	unsigned int flags;
	size_t stride;
	unsigned long alignment, merge, late_bytes;
	struct mmun_rcache_limits limits;
	struct mmu_notifier mn;
	bool registered;
	/* The process that created it. */
	int pid;
	/* For a child: the arrays, and the table, are its own copy, and zero. */
	void *arrays;
	struct rc_table *table;
	struct mmun_stat *stat;
	char name[32];
	/* All caches of the process; under the list's lock. */
	struct mmun_rcache *next;
	struct rc_state state[];
};

#define MMUN_RC_HEAD MMUN_RC_PAGE

static inline struct rc_state *mmun_rc_state(struct mmun_rcache *cache)
{
	return (struct rc_state *)((char *)cache + MMUN_RC_HEAD);
}

/*
 * A fork while the backend was called, by it or by a signal handler, and this is the child: what
 * the caller has begun is the parent's.  To be asked whenever the backend returns.
 */
static inline bool mmun_rc_left(const struct rc_state *state)
{
	return !mmun_load_relaxed(&state->hot.bytes);
}

static inline struct mmun_registration *mmun_rc_region(const struct rc_hot *hot, uint32_t id)
{
	return (struct mmun_registration *)(hot->regions + id * hot->stride);
}

static inline uint32_t mmun_rc_id_of(const struct rc_hot *hot, const void *reg)
{
	const size_t offset = (size_t)((const char *)reg - hot->regions);

	return (uint32_t)((unsigned __int128)offset * hot->reciprocal >> 64);
}

static inline unsigned long mmun_rc_length(const struct mmun_registration *reg)
{
	return reg->end - reg->start;
}

/* With the lock held, or of a counter that only one thread changes. */
#define mmun_rc_add(word, n) mmun_store_relaxed((word), mmun_load_relaxed(word) + (n))

/* Indices of rc_state.count: those of mmun_rcache_stats that are counted under the lock. */
enum {
#define MMUN_RC_COUNT(name, text) MMUN_RC_##name,
	MMUN_RCACHE_STATS(MMUN_RC_COUNT)
#undef MMUN_RC_COUNT
};

#define mmun_rc_stat_inc(state, name) mmun_rc_add(&(state)->count[MMUN_RC_##name], 1)

/* region.c: ids, and the table of them.  With the lock held, but for the last. */

/* A free id whose registration is zero but for its generation; -1: none. */
long mmun_rc_id_get(struct mmun_rcache *cache);
void mmun_rc_id_free(struct mmun_rcache *cache, uint32_t id);
/* Into the table, unborn: sections find it, gets do not.  A full barrier.  -ENOMEM: it is not there. */
int mmun_rc_publish(struct mmun_rcache *cache, uint32_t id);
/* Gets find it from now on.  False: a section was faster, and it is dead. */
bool mmun_rc_let_live(struct mmun_rcache *cache, uint32_t id);
/* A live one that covers pages [@first, @last] with @access; -1: none.  No use is counted. */
long mmun_rc_lookup(struct mmun_rcache *cache, unsigned long first, unsigned long last,
		    unsigned int access);

/* Gets and puts are plain, or they are not. */
void mmun_rc_set_plain(struct mmun_rcache *cache);

/* walk.c */

/*
 * mmun_rc_walk() - each registration that may overlap pages [@first, @last]; live or not, once
 * or more often.
 * Context: any, with the lock or without.  What is live at the beginning and stays so is visited.
 */
void mmun_rc_walk(struct mmun_rcache *cache, unsigned long first, unsigned long last,
		  void (*visit)(const struct rc_entry *entry, void *arg), void *arg);

/* kill.c: the end of registrations.  Context: any. */

/* False: somebody else has done it, or the state is not @was. */
bool mmun_rc_kill(struct mmun_rcache *cache, uint32_t id, uint32_t was);
/* Onto the stack of the dead; ->killed counts it already. */
void mmun_rc_bury(struct mmun_rcache *cache, uint32_t id);
/* Something is dead: the reaper, or what stands for it, is to look. */
void mmun_rc_wake(struct mmun_rcache *cache);
/* The calling thread has taken a use of @id back, of whatever generation: if it is dead, its use
 * may have been seen, and is to be looked at again. */
void mmun_rc_unused(struct mmun_rcache *cache, uint32_t id);
void mmun_rc_kill_range(struct mmun_rcache *cache, unsigned long start, unsigned long end);
void mmun_rc_kill_all(struct mmun_rcache *cache);
/* Bytes that are dead and registered. */
unsigned long mmun_rc_late_bytes(const struct rc_state *state);
extern const struct mmu_notifier_ops mmun_rc_notifier_ops;

/* reclaim.c: deregistration.  Inside (mmun_rc_enter()), no lock held. */

/* What is dead and not in use.  @wait: for another thread that does the same.  Return: how many. */
long mmun_rc_reclaim(struct mmun_rcache *cache, bool wait);
/* Of @nr ids that the caller has killed and not buried.  Return: of how many; of less than all if
 * the caller is a reaper that is to end. */
unsigned int mmun_rc_deregister(struct mmun_rcache *cache, const uint32_t *ids, unsigned int nr);
/* Drops registrations that nobody uses, those first that nobody has used for long.  At least
 * @bytes, if there are.  Return: how many. */
long mmun_rc_evict(struct mmun_rcache *cache, unsigned long bytes);
/* Drops what lies in [@start, @end), and deregisters it.  Return: how many of all kinds were
 * deregistered; -EADDRINUSE: one of them is in use, and none was dropped. */
long mmun_rc_evict_range(struct mmun_rcache *cache, unsigned long start, unsigned long end);

/* reaper.c */
void mmun_rc_reaper_start(struct mmun_rcache *cache);
/* None is started any more. */
void mmun_rc_no_reapers(void);
/* And wait for its end; or only ask for it, and wait for a time. */
void mmun_rc_reaper_stop(struct mmun_rcache *cache);
void mmun_rc_reaper_end(struct mmun_rcache *cache);
void mmun_rc_reaper_wait(struct mmun_rcache *cache, uint64_t deadline);

/* stats.c */
void mmun_rc_show(struct mmun_rcache *cache, bool now);
int mmun_rc_stat_create(struct mmun_rcache *cache);
/* It hears of changes, in this process. */
void mmun_rc_stat_ready(struct mmun_rcache *cache);
void mmun_rc_stat_destroy(struct mmun_rcache *cache);

/* process.c: all caches. */
void mmun_rc_list_add(struct mmun_rcache *cache);
void mmun_rc_list_remove(struct mmun_rcache *cache);
/* Are the limits of the process reached, with so much more? */
bool mmun_rc_process_full(struct mmun_rcache *cache, unsigned long bytes);
/* Makes room in other caches.  Return: how many were dropped. */
long mmun_rc_evict_others(struct mmun_rcache *cache, unsigned long bytes);

/* state.c */
int mmun_rc_prepare(struct mmun_rcache *cache);
/* The cache works in this process; a child makes it so.  0 or -errno. */
int mmun_rc_ready(struct mmun_rcache *cache);
void mmun_rc_free(struct mmun_rcache *cache);

/* miss.c */
struct mmun_registration *mmun_rc_miss(struct mmun_rcache *cache, unsigned long first,
				       unsigned long last, unsigned int access);

/* Only the owner calls the backend, if the cache has one. */
static inline bool mmun_rc_may_reclaim(struct mmun_rcache *cache)
{
	unsigned int owner;

	if (!(cache->flags & MMUN_RCACHE_OWNED))
		return true;
	/* 0: of a child that has not used it yet. */
	owner = mmun_load_relaxed(&mmun_rc_state(cache)->owner);
	return !owner || owner == (unsigned int)mmun_syscall3(SYS_gettid, 0, 0, 0);
}

/* What may not be entered by the backend, nor by a callback or a signal handler that interrupts
 * it or a change of memory, with whatever locks the program holds there: -EDEADLK then. */
static inline int mmun_rc_enter(struct mmun_rcache *cache, int *cancel)
{
	struct mm_struct *mm = mmun_load_acquire(&mmun_rc_state(cache)->mm);

	if (mmun_rc_task.inside || (mm && mmun_mm_is_inside(mm)))
		return -1;
	mmun_rc_task.inside = 1;
	__asm__ volatile("" ::: "memory");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel);
	return 0;
}

static inline void mmun_rc_leave(int cancel)
{
	int ignored;

	pthread_setcancelstate(cancel, &ignored);
	__asm__ volatile("" ::: "memory");
	mmun_rc_task.inside = 0;
}

#endif
