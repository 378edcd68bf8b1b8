/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The checker behind ranked locks; empty unless MMUN_DEBUG.
 *
 * I1  A thread's stack of held locks is touched by that thread only.
 * I2  Each take is checked before it can block, so a deadlock that the order
 *     would have prevented is reported instead of entered.
 * I3  For each pair of ranks the first legitimate nesting is remembered with
 *     its stack: a report shows the offending stack and the one it contradicts.
 * I4  Two locks of one rank are never held together, except those of mm_lock():
 *     one entry stands for all of them, and something orders them; and mmap locks, which a driver
 *     may take of several address spaces: each at a higher address than those it has.
 *
 * It does not see locks of other libraries, and a successful trylock is not
 * an inversion.  Tests: tests/unit/base/lock.c.
 */
#include "lock.h"

#ifdef MMUN_DEBUG

#include <stdlib.h>
#include <string.h>

#include "bug.h"
#include "raw_syscall.h"

#define MAX_HELD 16

struct held {
	/* Of many: the one taken last, which is the highest if addresses order them. */
	const void *lock;
	enum mmun_lock_rank rank;
	/* How many locks of mm_lock() this entry stands for; 0: an ordinary lock. */
	unsigned long many;
};

struct stack {
	unsigned int depth;
	struct held held[MAX_HELD];
};

/* What was on the stack, by rank, when inner was first taken under outer. */
struct witness {
	unsigned int recorded;
	unsigned int depth;
	enum mmun_lock_rank rank[MAX_HELD + 1];
};

static __thread struct stack mine __attribute__((tls_model("initial-exec")));
static struct witness witnesses[MMUN_NR_RANKS][MMUN_NR_RANKS];

static const char *const names[] = {
#define RANK_NAME(name, text) text,
	MMUN_LOCK_RANKS(RANK_NAME)
#undef RANK_NAME
};

static char *append(char *to, const char *end, const char *text)
{
	while (*text && to < end)
		*to++ = *text++;
	*to = '\0';
	return to;
}

static char *append_held(char *to, const char *end)
{
	for (unsigned int i = 0; i < mine.depth; i++) {
		to = append(to, end, names[mine.held[i].rank]);
		to = append(to, end, " > ");
	}
	return to;
}

static char *append_witness(char *to, const char *end, const struct witness *w)
{
	for (unsigned int i = 0; i < w->depth; i++) {
		if (i)
			to = append(to, end, " > ");
		to = append(to, end, names[w->rank[i]]);
	}
	return to;
}

static char *append_order(char *to, const char *end)
{
	for (int rank = MMUN_NR_RANKS - 1; rank >= 0; rank--) {
		to = append(to, end, names[rank]);
		if (rank)
			to = append(to, end, " > ");
	}
	return to;
}

__attribute__((noreturn)) static void violation(const char *what, enum mmun_lock_rank wanted,
						enum mmun_lock_rank held)
{
	const struct witness *w = &witnesses[wanted][held];
	char line[1024];
	const char *end = line + sizeof(line) - 1;
	char *to = append(line, end, what);

	to = append(to, end, "; this thread holds and wants: ");
	to = append_held(to, end);
	to = append(to, end, names[wanted]);
	if (mmun_load_acquire(&w->recorded) == 2) {
		to = append(to, end, "; taken the other way round before: ");
		to = append_witness(to, end, w);
	} else {
		to = append(to, end, "; the order is: ");
		to = append_order(to, end);
	}
	mmun_report(line);
	abort();
}

void mmun_lock_report_held(const char *wants)
{
	char line[1024];
	const char *end = line + sizeof(line) - 1;

	append(append_held(append(line, end, "a thread holds and wants: "), end), end, wants);
	mmun_report(line);
}

/* I4 */
static bool follows(const void *lock, enum mmun_lock_rank rank, const struct held *held)
{
	if (held->rank != rank)
		return held->rank > rank;
	return rank == MMUN_RANK_MMAP && held->lock < lock;
}

void mmun_lock_check(const void *lock, enum mmun_lock_rank rank)
{
	for (unsigned int i = 0; i < mine.depth; i++) {
		if (mine.held[i].lock == lock)
			violation("a lock is taken twice by one thread", rank, rank);
	}
	for (unsigned int i = 0; i < mine.depth; i++) {
		if (!follows(lock, rank, &mine.held[i]))
			violation("lock order inversion", rank, mine.held[i].rank);
	}
}

static void record(enum mmun_lock_rank outer, enum mmun_lock_rank inner)
{
	struct witness *w = &witnesses[outer][inner];
	unsigned int expected = 0;

	if (mmun_load_relaxed(&w->recorded) || !mmun_cas_full(&w->recorded, &expected, 1))
		return;
	for (unsigned int i = 0; i < mine.depth; i++)
		w->rank[i] = mine.held[i].rank;
	w->rank[mine.depth] = inner;
	w->depth = mine.depth + 1;
	mmun_store_release(&w->recorded, 2);
}

void mmun_lock_push(const void *lock, enum mmun_lock_rank rank)
{
	MMUN_BUG_ON(mine.depth == MAX_HELD);
	for (unsigned int i = 0; i < mine.depth; i++)
		record(mine.held[i].rank, rank);
	mine.held[mine.depth++] = (struct held){ lock, rank, 0 };
}

/* @entry: counted from 1, as found from above; 0 is the caller's mistake. */
static void remove_entry(unsigned int entry)
{
	MMUN_BUG_ON(entry == 0);
	memmove(&mine.held[entry - 1], &mine.held[entry],
		(mine.depth - entry) * sizeof(mine.held[0]));
	mine.depth--;
}

void mmun_lock_pop(const void *lock)
{
	unsigned int i = mine.depth;

	while (i > 0 && (mine.held[i - 1].lock != lock || mine.held[i - 1].many))
		i--;
	remove_entry(i);
}

static unsigned int find_many(enum mmun_lock_rank rank)
{
	unsigned int i = mine.depth;

	while (i > 0 && (mine.held[i - 1].rank != rank || !mine.held[i - 1].many))
		i--;
	return i;
}

void mmun_lock_check_many(const void *lock, enum mmun_lock_rank rank, bool already,
			  const struct mmun_mutex *outer)
{
	if (already)
		violation("a lock is taken twice by one thread", rank, rank);
	if (outer && !mmun_lock_held(outer))
		violation("the lock that orders many others is not held", rank, rank);
	for (unsigned int i = 0; i < mine.depth; i++) {
		const struct held *held = &mine.held[i];

		if (held->rank < rank || (held->rank == rank && !held->many))
			violation("lock order inversion", rank, held->rank);
		if (held->rank == rank && !outer && held->lock >= lock)
			violation("many locks are not taken by ascending address", rank, rank);
	}
}

void mmun_lock_push_many(const void *lock, enum mmun_lock_rank rank)
{
	unsigned int entry = find_many(rank);

	if (!entry) {
		mmun_lock_push(lock, rank);
		entry = mine.depth;
	}
	mine.held[entry - 1].lock = lock;
	mine.held[entry - 1].many++;
}

void mmun_lock_pop_many(enum mmun_lock_rank rank)
{
	unsigned int entry = find_many(rank);

	MMUN_BUG_ON(entry == 0);
	if (--mine.held[entry - 1].many == 0)
		remove_entry(entry);
}

bool mmun_lock_held(const void *lock)
{
	for (unsigned int i = 0; i < mine.depth; i++) {
		if (mine.held[i].lock == lock && !mine.held[i].many)
			return true;
	}
	return false;
}

#else

/* ISO C wants something in a translation unit. */
typedef int mmun_lock_unchecked;

#endif
