/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of one address space mapped into others, after SGI's XPMEM.
 *
 * An address space exports a segment of its private memory.  Another one maps a
 * file of the segment; its faults bring the exporter's pages in, pinned.  When
 * the exporter's memory goes, every importer loses the pages first: that takes
 * the importers' mmap locks, so the exporter's callbacks sleep, and refuse
 * with -EAGAIN where they may not.
 *
 * The importers' pages are pinned: what leaves pinned pages alone (reclaim,
 * fork, changes of rights...: MMUN_RANGE_PINNED_SAFE) does not concern them.
 *
 * An address space may export or import, not both: the order exporter before
 * importer is what keeps the callbacks free of deadlocks.  One device per machine.
 * Everything may be called from any number of threads.
 */
#ifndef MMUN_XPMEM_H
#define MMUN_XPMEM_H

#include <mmunotify/soft.h>

struct mmun_xpmem;

/** For tests; all may be NULL, called without locks of the device. */
struct mmun_xpmem_params {
	/** In an importer's fault, between the look-up of a page and the check. */
	void (*looked_up)(void *arg);
	/** Before an importer's pages are taken away. */
	void (*zapping)(void *arg);
	void *arg;
};

/** One counter per branch. */
#define MMUN_XPMEM_STATS(X) \
	X(segments_made, "segments exported") \
	X(segments_removed, "segments removed") \
	X(segments_ended, "segments that ended with their address space") \
	X(attached, "mappings of a segment made") \
	X(detached, "mappings of a segment gone") \
	X(faults, "faults of importers") \
	X(fault_pinned, "faults that pinned a page") \
	X(fault_shared, "faults that found the page pinned already") \
	X(fault_retry_open, "faults begun again: a section was open") \
	X(fault_retry_busy, "faults begun again: the exporter's lock was held") \
	X(fault_retry_collided, "faults begun again: a section began meanwhile") \
	X(fault_ended, "faults in a segment that has ended") \
	X(fault_failed, "faults where the exporter has no private memory") \
	X(starts, "sections that began") \
	X(starts_pinned_safe, "sections that leave pinned pages alone") \
	X(refused, "sections refused, because they must not sleep") \
	X(zaps, "times an importer lost pages") \
	X(unpinned, "pages taken from importers") \
	X(releases, "exporters that ended")

struct mmun_xpmem_stats {
#define MMUN_XPMEM_STATS_FIELD(name, text) unsigned long name;
	MMUN_XPMEM_STATS(MMUN_XPMEM_STATS_FIELD)
#undef MMUN_XPMEM_STATS_FIELD
};

/** mmun_xpmem_create() - a device, with one thread.  @params may be NULL.  0, -ENOMEM, -EAGAIN. */
int mmun_xpmem_create(struct mmun_soft *soft, const struct mmun_xpmem_params *params,
		      struct mmun_xpmem **out);
/** mmun_xpmem_destroy() - -EBUSY while there is a segment, a file or a mapping of one. */
int mmun_xpmem_destroy(struct mmun_xpmem *x);
/** mmun_xpmem_synchronize() - wait until the thread has put each user of an exporter's memory
 *  that an earlier fault took; one whose last user that was has ended then. */
void mmun_xpmem_synchronize(struct mmun_xpmem *x);
void mmun_xpmem_stats(struct mmun_xpmem *x, struct mmun_xpmem_stats *out);

/** mmun_xpmem_make() - export [address, address + size) of @mm, of which the caller holds a user.
 *  Context: sleeps; mmap lock not held.
 *  Return: 0 and *@id; -EINVAL (not page aligned, empty); -ELOOP (@mm imports); -ENOMEM; what
 *  mmu_notifier_get() said. */
int mmun_xpmem_make(struct mmun_xpmem *x, struct mm_struct *mm, unsigned long address, size_t size,
		    unsigned long *id);
/** mmun_xpmem_remove() - importers lose the pages; later accesses end with SIGBUS.
 *  Context: sleeps; no mmap lock held.  -ENOENT: no such segment, or it has ended. */
int mmun_xpmem_remove(struct mmun_xpmem *x, unsigned long id);
/** mmun_xpmem_open() - a file of the segment; map it MAP_SHARED to attach, at the offset wanted.
 *  Unmapping detaches.  -ENOENT; -ENOMEM. */
int mmun_xpmem_open(struct mmun_xpmem *x, unsigned long id, struct file **out);

#endif
