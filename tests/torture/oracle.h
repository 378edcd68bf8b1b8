/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The oracle of the torture of this process: slots of memory, caches of their
 * translations, and how old a wrong answer was.
 *
 * A slot's pages carry a generation that never comes back.  Whoever changes a
 * slot says afterwards that the generation has died, and when.  A cache that
 * still calls a translation valid after reading that word was wrong; the time
 * since the death is its staleness.  The oracle's truth does not come from the
 * notifier: generations are read from the memory itself, through the kernel.
 */
#ifndef MMUN_TESTS_TORTURE_ORACLE_H
#define MMUN_TESTS_TORTURE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/seq.h>

#define ORACLE_SLOTS   64
#define ORACLE_PAGES   4
#define ORACLE_PAGE    4096UL
#define ORACLE_BYTES   (ORACLE_PAGES * ORACLE_PAGE)
#define ORACLE_BUCKETS 8

struct slot {
	char *base;
	/* The newest generation that is in no page any more, and since when. */
	uint64_t dead;
	uint64_t died_ns;
	/* The generation that its owner wrote last. */
	uint64_t live;
};

extern struct slot oracle_slots[ORACLE_SLOTS];

/* One subscriber with a cached translation of every slot. */
struct cache {
	struct mmu_notifier mn;
	struct mmun_seq seq[ORACLE_SLOTS];
	struct {
		bool valid;
		uint64_t generation;
		unsigned long cookie;
	} entry[ORACLE_SLOTS];
	unsigned long lookups, cached, hits, rejected;
	/* Wrong answers by age: <1us, <10us, <100us, <1ms, ... */
	unsigned long stale[ORACLE_BUCKETS];
	unsigned long unpaired;
};

extern const struct mmu_notifier_ops oracle_ops;

uint64_t oracle_now(void);
/* Address space that nobody is given by chance; NULL if there is none. */
void *oracle_room(size_t size);
/* Reserves the address space of all slots.  False if there is none. */
bool oracle_init(void);

/* Owner's side: a new generation for the whole slot, and the death of the last. */
void oracle_write(struct slot *s);
void oracle_died(struct slot *s);

/* Cache's side: forgets everything; looks a slot up; asks the cache about it. */
void oracle_flush(struct cache *c);
void oracle_lookup(struct cache *c, unsigned int i);
void oracle_ask(struct cache *c, unsigned int i);

#endif
