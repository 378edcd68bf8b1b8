/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A network card that reads and writes registered memory of a software address space.
 *
 * A region pins its pages, as a memory region does (ibv_reg_mr), or only translates them,
 * as on-demand paging does; its key names it in the accesses.  Every access goes through the
 * machine's checker (mmunotify/soft.h), which reports a page that the address does not map
 * any more: where a real card would silently use the old one, this one refuses.
 *
 * Regions are made for a registration cache, by mmun_nic_ops.  Everything here may be
 * called from any number of threads.
 */
#ifndef MMUN_NIC_H
#define MMUN_NIC_H

#include <mmunotify/rcache.h>
#include <mmunotify/soft.h>

struct mmun_nic;

/** Zero is the default everywhere. */
struct mmun_nic_params {
	/** Regions at once, refused with -ENOSPC above; default 1024. */
	unsigned int regions;
	/** Pages of them all together, refused with -ENOMEM above; default 2^20. */
	unsigned long pages;
	/** Bytes of one region; default: no limit.  The cache hears of it, and of nothing else. */
	unsigned long length;
	/** Translate without pinning: the cache needs MMUN_RCACHE_NOT_PINNED. */
	bool not_pinned;
	/** For tests: called when the pages of a region have been looked up, no lock held. */
	void (*looked_up)(void *arg, unsigned long start, unsigned long end);
	void *arg;
};

/** What a get of such a cache returns. */
struct mmun_nic_region {
	struct mmun_registration reg;
	/** Of this region alone, never used again; 0 is none. */
	unsigned long key;
	/* private: */
	unsigned int place;
};

#define MMUN_NIC_STATS(X) \
	X(registered, "regions made") \
	X(deregistered, "regions taken away") \
	X(refused, "regions refused, there being too many or too large ones") \
	X(failed, "regions of memory that cannot be had") \
	X(looked_up_again, "pages that changed between pin and translation") \
	X(reads, "reads that the checker accepted") \
	X(writes, "writes that the checker accepted") \
	X(stale, "accesses that the checker refused") \
	X(dead_keys, "accesses with the key of a region that has gone") \
	X(forbidden, "accesses outside a region or beyond its rights")

struct mmun_nic_stats {
#define MMUN_NIC_STATS_FIELD(name, text) unsigned long name;
	MMUN_NIC_STATS(MMUN_NIC_STATS_FIELD)
#undef MMUN_NIC_STATS_FIELD
	/** Now. */
	unsigned long regions, pages;
};

/** mmun_nic_create() - a card for memory of @mm, whose struct it keeps.  @params may be NULL.
 *  0, -ENOMEM. */
int mmun_nic_create(struct mm_struct *mm, const struct mmun_nic_params *params,
		    struct mmun_nic **out);

/** mmun_nic_destroy() - -EBUSY while a region exists. */
int mmun_nic_destroy(struct mmun_nic *nic);

/** For mmun_rcache_create(), with the card as @arg and registration_size
 *  sizeof(struct mmun_nic_region).  register_memory() of memory that is not all mapped with the
 *  rights fails with -EFAULT, after the end of the address space with -ESRCH. */
extern const struct mmun_rcache_ops mmun_nic_ops;

/** mmun_nic_read() / _write() - by the card, through the region with @key.
 *  Return: 0; -ENXIO (no such region any more); -EACCES (not in the region, or no such right);
 *  -EFAULT (refused by the checker, which has reported it).  Pages before the failing one have
 *  been transferred then. */
int mmun_nic_read(struct mmun_nic *nic, unsigned long key, unsigned long address, void *buffer,
		  size_t length);
int mmun_nic_write(struct mmun_nic *nic, unsigned long key, unsigned long address,
		   const void *buffer, size_t length);

void mmun_nic_stats(struct mmun_nic *nic, struct mmun_nic_stats *out);

#endif
