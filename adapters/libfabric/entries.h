/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ranges that the registration caches of one libfabric have subscribed, and since which
 * number of the history their registrations are known to be good.
 *
 * libfabric asks by address and length.  Several of its caches (one for each domain) may hold
 * a registration of the same range, taken at different times, and the question does not
 * say whose it is.  So:
 *
 * E1  All registrations that any cache of this libfabric holds of the range of an entry are
 *     good as of the entry's number.  A range without an entry is held by nobody.
 * E2  A new registration of a range that has an entry is accepted if nothing has changed
 *     since the entry's number; then all are good as of now.  Otherwise it is refused, until
 *     the older ones are known to be gone.
 * E3  They are gone when as many have left as were accepted: an answer "not valid" makes the
 *     cache that asked drop its registration, and libfabric 2.1 and later say unsubscribe
 *     for every one that they drop.  Or when libfabric has been notified of the
 *     range (reaper.h): it then drops them from all its caches.
 *
 * All but the words are only touched by calls from libfabric, which come under its lock.
 * The reaper reads ranges and words, and changes words, without it:
 *
 * E4  A word is {number, state}.  It changes by compare-and-swap while the entry
 *     is in use, and numbers of new entries are taken for them alone (lf_history_take()), so
 *     that no word comes back in another entry of the same place: a change that the reaper
 *     makes is of the range that it has read.
 *
 * The memory is wiped in a forked child: there are no entries, every answer is "not valid",
 * and every subscription is refused.
 *
 * Tests: tests/unit/adapters/entries.c, tests/torture/adapter_history.c, tests/model/entries.pml.
 */
#ifndef MMUN_ADAPTERS_LIBFABRIC_ENTRIES_H
#define MMUN_ADAPTERS_LIBFABRIC_ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "history.h"

#define LF_ENTRIES    (1u << 17)
#define LF_HASH_HEADS (1u << 15)

enum lf_entry_state {
	LF_ENTRY_FREE,
	/** Good as of the number. */
	LF_ENTRY_LIVE,
	/** Has changed; libfabric is being notified. */
	LF_ENTRY_DEAD,
	/** libfabric has been notified: no cache holds it. */
	LF_ENTRY_GONE,
};

struct lf_entry {
	uint64_t word;
	unsigned long start, end;
	/* How many registrations of the range are held, at most. */
	uint32_t holders;
	/* In its hash chain, or among the free ones; 0: the last. */
	uint32_t next;
};

struct lf_entries {
	/* Cleared in a forked child. */
	uint32_t alive;
	/* Entries [1, used) have been in use. */
	uint32_t used;
	uint32_t free;
	/* There was no room: the next sweep makes some. */
	uint32_t full;
	/* An entry whose holder drops its registration next, and one whose
	 * registration was not accepted: libfabric may say so, or not. */
	uint32_t leaving;
	unsigned long refused_start, refused_end;
	/* No registration of these caches is older. */
	uint64_t started;
	/* Of the sweeps alone: the number at which the last one began. */
	uint64_t swept;
	uint32_t heads[LF_HASH_HEADS];
	struct lf_entry entries[LF_ENTRIES];
};

/** lf_entries_start() - no entries, nothing older than @started.  In zeroed memory. */
void lf_entries_start(struct lf_entries *entries, uint64_t started);

/**
 * lf_entries_valid() - is a registration that some cache holds of [start, end) good?
 *
 * If not, the cache will drop it.
 */
bool lf_entries_valid(struct lf_entries *entries, const struct lf_history *history,
		      unsigned long start, unsigned long end);

/**
 * lf_entries_add() - a registration of [start, end), whose pages were taken after @since.
 *
 * Return: 0: it may be held; -EAGAIN: its pages may have changed, or those of an older one
 * that may be held (E2); -ENOSPC: there are too many ranges; -ESRCH: this is a forked child.
 */
int lf_entries_add(struct lf_entries *entries, struct lf_history *history, unsigned long start,
		   unsigned long end, uint64_t since);

/** lf_entries_remove() - a cache has dropped its registration of [start, end). */
void lf_entries_remove(struct lf_entries *entries, unsigned long start, unsigned long end);

/**
 * lf_entries_sweep() - what has changed is handed to @notify, the rest is good as of now.
 *
 * Everything is handed over if there was no room: ranges that have left without a word (before
 * libfabric 2.1) and have not changed since are not known otherwise.
 *
 * Context: not under libfabric's lock, which @notify takes.  One thread at a time.
 * Return: how often @notify was called.
 */
unsigned int lf_entries_sweep(struct lf_entries *entries, const struct lf_history *history,
			      void (*notify)(void *arg, unsigned long start, unsigned long end),
			      void *arg);

#endif
