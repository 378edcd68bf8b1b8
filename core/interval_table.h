/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What interval notifiers of an mm share: their tree, the table of open sections, by which
 * others wait for some of them, and who may read or change the tree when.
 */
#ifndef MMUN_CORE_INTERVAL_TABLE_H
#define MMUN_CORE_INTERVAL_TABLE_H

#include "internal.h"
#include "itree.h"

/* As many as fill a cache line with their states. */
#define MMUN_GROUP_SECTIONS 8
/* Beside one group for each CPU: sections that sleep stay where they are, so there
 * may be many of one CPU. */
#define MMUN_SPARE_GROUPS 128

/* ->state of a section: its flags, and above them its serial; 0 flags: not open. */
enum {
	/* Its range is there. */
	MMUN_SECTION_OPEN = 1,
	/* It walks the tree. */
	MMUN_SECTION_WALKS = 2,
	/* Somebody sleeps until it is over. */
	MMUN_SECTION_AWAITED = 4,
	MMUN_SECTION_FLAGS = 7,
	/* Makes it the next section in the same place. */
	MMUN_SECTION_NEXT = 8,
};

struct mmun_section_group {
	/* The low half is a futex word. */
	unsigned long state[MMUN_GROUP_SECTIONS];
	struct {
		unsigned long start, last;
	} range[MMUN_GROUP_SECTIONS];
	/* The thread that opened it, 0: not known. */
	unsigned int owner[MMUN_GROUP_SECTIONS];
} __attribute__((aligned(2 * MMUN_CACHE_LINE)));

struct mmun_itree {
	/* Read by every section, hardly ever written but for the tree. */
	struct mmun_itree_root root;
	/* A futex word: a writer of the tree keeps walks out; enum in interval_table.c. */
	unsigned int writer;
	/* How many groups there are, and the first of them that may be in use. */
	unsigned int nr_groups, nr_used;
	/* Of the process and the mm, for threads that open sections. */
	unsigned int pid;
	unsigned long key;
	/* How many intervals are in the tree; under the chain lock. */
	unsigned long nr;

	/* Sections that found no place in a group: the ranges are not known. */
	struct {
		unsigned int open, walking;
		unsigned long serial;
	} others __attribute__((aligned(2 * MMUN_CACHE_LINE)));

	struct mmun_section_group groups[];
};

/*
 * A section's number names it (where it is, and its serial there): never 0, odd, and
 * never the same twice.  Insertions have numbers of their own from the same set.
 */
#define MMUN_NUMBER_PLACES   0x8000ul
#define MMUN_PLACE_OTHER     (MMUN_NUMBER_PLACES - 1)
#define MMUN_PLACE_INSERTION (MMUN_NUMBER_PLACES - 2)

static inline unsigned long mmun_number(unsigned long serial, unsigned long place)
{
	return (serial * MMUN_NUMBER_PLACES + place) * 2 + 1;
}

/* mmu_interval_notifier.state; anything else, as in memory never used: not inserted. */
static inline unsigned long mmun_interval_inserted(const struct mmu_interval_notifier *sub)
{
	return (unsigned long)sub ^ 0x6d6d756e746565ul;
}

/* For an mm in interval mode; NULL: no memory. */
struct mmun_itree *mmun_itree_alloc(const struct mm_struct *mm);
/* Not @usable: the copy that fork has left, whose locks and counts mean nothing. */
void mmun_itree_free(struct mmun_itree *itree, bool usable);

/* After mmun_srcu_share(): the thread asks the kernel who it is. */
void mmun_section_share(void);

/*
 * A section opens: it is in the table with its range when this returns, and may walk
 * the tree until mmun_section_walked().  Returns its number; 0: the tree was being
 * changed until @deadline (0: no limit), nothing is open.
 */
unsigned long mmun_section_open(struct mm_struct *mm, struct mmun_itree *itree, unsigned long start,
				unsigned long last, uint64_t deadline);
/* Between the two the tree stays as it is.  Nobody is called and nothing is waited
 * for in between: a writer waits. */
void mmun_section_walk(struct mmun_itree *itree, unsigned long number);
void mmun_section_walked(struct mmun_itree *itree, unsigned long number);
void mmun_section_close(struct mmun_itree *itree, unsigned long number);

/*
 * Waits until every section that is open now and overlaps [start, last] is over, but
 * for those of the calling thread: returns whether there are any.
 */
bool mmun_sections_wait(struct mmun_itree *itree, unsigned long start, unsigned long last);

/*
 * Under the chain lock, to change the tree: nobody walks it on a true return, nor
 * before write_end.  On false somebody walks: drop the lock, mmun_itree_back_off(),
 * and begin again.
 */
bool mmun_itree_write_begin(struct mmun_itree *itree);
void mmun_itree_write_end(struct mmun_itree *itree);
void mmun_itree_back_off(struct mmun_itree *itree);

#endif
