/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two chiplets of a GRU: each runs contexts, which access the memory of a task by its addresses
 * through the chiplet's TLB.  What is not there is noted in a handle, and the driver asked.
 *
 * The driver relies on this: an entry is not taken in if there was an invalidation since the miss.
 */
#ifndef MMUN_TESTS_KERNEL_CHIPLET_H
#define MMUN_TESTS_KERNEL_CHIPLET_H

#include <linux/mm.h>

#include <gru.h>
#include <grutables.h>
#include <mmunotify/compat.h>

#define GSEGS   0x40000000ul
#define THREADS 4u

/* What the chiplets did. */
extern struct counts {
	/** Entries taken in; not, for an invalidation; taken out. */
	unsigned long taken, ignored, flushed;
	/** Entries that were wrong from the start; accesses by ones that were not so any more. */
	unsigned long wrong, late;
	unsigned long exceptions, polled, purged_whole;
} counts;

/** Instructions are those of the task whose memory @of is.  False: there is no room. */
bool start_chiplets(struct mm_struct *of);
void stop_chiplets(void);

/** The address of the segment's first control block. */
static inline unsigned long segment(unsigned int number)
{
	return GSEGS + number * GRU_GSEG_PAGESIZE;
}

/**
 * segment_access() - an instruction of segment @number reads or writes a word at @address.
 * Return: 0; -EFAULT: nothing is there; -ESTALE: the page is not the address's any more.
 */
int segment_access(unsigned int number, unsigned long address, bool write, unsigned long *value);

/** A context's chiplet, -1: it is not loaded. */
int chiplet_of(unsigned int number);
/** Is there an entry for @address? */
bool has_entry(unsigned int number, unsigned long address);
/** An instruction to copy @lines cache lines from @address misses there. */
int copy_misses(unsigned int number, unsigned long address, unsigned long lines);
/** A miss of which the chiplet interrupts. */
void miss_interrupts(unsigned int number, unsigned long address);

#endif
