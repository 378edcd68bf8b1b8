/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TLB device after SGI's GRU: it copies data by virtual address.
 *
 * A program opens the device and maps one page of it per context.  Through a
 * context it loads and stores the memory of its own address space; the device
 * translates with a TLB of its own, which a notifier keeps true.
 *
 * The device lives in one machine (mmunotify/soft.h).  Everything here may be
 * called from any number of threads.
 */
#ifndef MMUN_GRU_H
#define MMUN_GRU_H

#include <mmunotify/soft.h>

struct mmun_gru;

/** Zero is the default everywhere. */
struct mmun_gru_params {
	/** Contexts that the hardware holds at once; default 4. */
	unsigned int nr_slots;
	/** Entries of the TLB; default 64. */
	unsigned int nr_entries;
	/** Address space numbers before they are used again; default 255. */
	unsigned int nr_asids;
	/** For tests: called between the look-up of a page and its entry in the
	 *  TLB, no lock held. */
	void (*looked_up)(void *arg, unsigned long address);
	void *arg;
};

/** One counter per branch. */
#define MMUN_GRU_STATS(X) \
	X(contexts_made, "contexts mapped") \
	X(contexts_freed, "contexts freed") \
	X(contexts_loaded, "contexts loaded into a slot") \
	X(contexts_stolen, "contexts that lost their slot to another") \
	X(notifiers_made, "address spaces that got a first context") \
	X(notifiers_dropped, "address spaces whose last context went") \
	X(asids_assigned, "address space numbers assigned") \
	X(asids_wrapped, "times the numbers ran out and a generation began") \
	X(tlb_hits, "accesses that found their translation") \
	X(tlb_misses, "accesses that did not") \
	X(tlb_readonly, "stores that found a read-only translation") \
	X(tlb_evicted, "translations that gave way to another") \
	X(faults, "translations looked up") \
	X(fault_waits, "waits for a section that covered the address") \
	X(fault_retries, "look-ups thrown away because a section began meanwhile") \
	X(fault_failed, "look-ups of addresses that map nothing") \
	X(fault_late, "look-ups that came after release or close") \
	X(starts, "sections that began") \
	X(ends, "sections that ended") \
	X(starts_uncounted, "sections beyond those whose ranges are kept") \
	X(flush_none, "flushes that had nothing to do") \
	X(flush_range, "flushes by range") \
	X(flush_asid, "flushes by a new number") \
	X(flush_user, "flushes that a program asked for") \
	X(releases, "address spaces that ended")

struct mmun_gru_stats {
#define MMUN_GRU_STATS_FIELD(name, text) unsigned long name;
	MMUN_GRU_STATS(MMUN_GRU_STATS_FIELD)
#undef MMUN_GRU_STATS_FIELD
};

/** mmun_gru_create() - a device.  @params may be NULL.  0, -ENOMEM. */
int mmun_gru_create(struct mmun_soft *soft, const struct mmun_gru_params *params,
		    struct mmun_gru **out);

/** mmun_gru_destroy() - -EBUSY while a context exists.  Every file of it is closed before. */
int mmun_gru_destroy(struct mmun_gru *gru);

/** mmun_gru_open() - a file; map one page of it MAP_SHARED for reading and writing per
 *  context.  mmun_soft_file_put() closes it. */
int mmun_gru_open(struct mmun_gru *gru, struct file **out);

/** mmun_gru_load() / _store() - copy through the context mapped at @context in @mm.
 *  Context: sleeps, mmap lock not held, a user of @mm held.
 *  Return: 0; -EINVAL (no context there); -EFAULT; -ENOMEM; -ENXIO (the context was closed or
 *  the address space ended).  Pages before the failing one have been copied then. */
int mmun_gru_load(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		  unsigned long address, void *buffer, size_t length);
int mmun_gru_store(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		   unsigned long address, const void *buffer, size_t length);

/** mmun_gru_flush() - drop the context's translations of [address, address + length). */
int mmun_gru_flush(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		   unsigned long address, size_t length);

void mmun_gru_stats(struct mmun_gru *gru, struct mmun_gru_stats *out);

#endif
