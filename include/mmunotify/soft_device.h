/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of devices in a software address space, and how anonymous pages move there and back.
 *
 * Private memory only its device reaches: a processor that touches a page there faults, and the
 * driver's ->migrate_to_ram brings it back.  Coherent memory processors reach as well: a page there
 * stays until the driver moves it, or somebody pins it for long (FOLL_LONGTERM), which moves it to the
 * machine's memory.  Reclaim, merging and collapse leave both alone.  Types with Linux's names keep
 * Linux's contracts.
 */
#ifndef MMUNOTIFY_SOFT_DEVICE_H
#define MMUNOTIFY_SOFT_DEVICE_H

#include <mmunotify/soft.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/* Physical addresses, the last one included. */
struct range {
	uint64_t start, end;
};

enum memory_type {
	/* 0: of the machine */
	/** Only the device reaches it; page tables name it in entries that are not present. */
	MEMORY_DEVICE_PRIVATE = 1,
	/** Processors reach it too; page tables name it like memory of the machine. */
	MEMORY_DEVICE_COHERENT,
	MEMORY_DEVICE_FS_DAX,
	MEMORY_DEVICE_GENERIC,
	MEMORY_DEVICE_PCI_P2PDMA,
};

struct folio;
struct dev_pagemap;

struct dev_pagemap_ops {
	/** The last reference to a page has gone: it is the driver's again.  Does not sleep.  One of
	 *  the two: folio_free since 6.19, where the folio is that page. */
	void (*page_free)(struct page *page);
	void (*folio_free)(struct folio *folio);
	/** Private memory: a processor touches vmf->page: to be migrated by migrate_vma_setup() and what follows
	 *  it, with this page as ->fault_page.  mmap lock held for read.  0: the fault looks again. */
	vm_fault_t (*migrate_to_ram)(struct vm_fault *vmf);
	/** Never called: no memory fails, and a folio is one page. */
	int (*memory_failure)(struct dev_pagemap *pgmap, unsigned long pfn, unsigned long nr_pages,
			      int flags);
	void (*folio_split)(struct folio *head, struct folio *tail);
};

/** What the driver fills in of its memory, and keeps as long as that is there. */
struct dev_pagemap {
	enum memory_type type;
	unsigned int flags;
	const struct dev_pagemap_ops *ops;
	/** Says to notifiers, migrate_vma_setup() and mmun_soft_translate_device() whose it is. */
	void *owner;
	int nr_range; /* 1 */
	union {
		struct range range;
		struct range ranges[1];
	};
	/* private: */
	struct mmun_soft *mmun_soft;
	unsigned int mmun_used;
	bool mmun_going;
	void *mmun_bytes;
};

/** mmun_soft_device_space() - the physical addresses that memory of devices may have.  With
 *  params.memory_fd the bytes of coherent memory lie there at its physical address. */
void mmun_soft_device_space(const struct mmun_soft *soft, struct range *space);
/** mmun_soft_memremap_pages() - @pgmap's frames exist; each is the driver's, without references.
 *  Return: 0; -EINVAL (neither private nor coherent, no owner, operations missing, not whole pages
 *  of the device space); -EBUSY (another's memory is there); -ENOMEM. */
int mmun_soft_memremap_pages(struct mmun_soft *soft, struct dev_pagemap *pgmap);
/** mmun_soft_memunmap_pages() - they exist no more.  Waits until no page is in use (the driver
 *  has moved them away by migrate_device_range(), or munmap() and exit free them meanwhile) and each
 *  mmun_soft_get_dev_pagemap() is put. */
void mmun_soft_memunmap_pages(struct dev_pagemap *pgmap);
/** mmun_soft_get_dev_pagemap() - whose frame @pfn is, so that its memory does not go until
 *  mmun_soft_put_dev_pagemap().  NULL: no device's, or it is going. */
struct dev_pagemap *mmun_soft_get_dev_pagemap(struct mmun_soft *soft, unsigned long pfn);
void mmun_soft_put_dev_pagemap(struct dev_pagemap *pgmap);
/** mmun_soft_zone_device_page_init() - the driver's own @page gets a reference and is locked. */
void mmun_soft_zone_device_page_init(struct page *page);
/** mmun_soft_page_memory_type() - 0 for a page of the machine.  Any context. */
unsigned int mmun_soft_page_memory_type(const struct page *page);

/** mmun_soft_lock_page() - the page lock: its holder may replace the page.  Migration,
 *  reclaim and truncation take it too. */
void mmun_soft_lock_page(struct page *page);
bool mmun_soft_trylock_page(struct page *page);
void mmun_soft_unlock_page(struct page *page);
bool mmun_soft_page_locked(const struct page *page);

/** mmun_soft_translate_device() - mmun_soft_translate_present() that also finds a page in private
 *  memory with @owner. */
int mmun_soft_translate_device(struct mm_struct *mm, unsigned long address, const void *owner,
			       struct mmun_soft_translation *out);

/** mmun_soft_make_device_exclusive() - only a device reaches @nr pages from @start on.
 *
 * Each is faulted in to be written, then taken from processors in a section of
 * MMU_NOTIFY_EXCLUSIVE with @owner; pages[i] is locked and has a reference, or is NULL where that failed.
 * The driver programs its device, unlocks and puts them.  A processor that touches one takes it back
 * in a section without owner; so does whatever else changes the entry, in its own.
 * Context: mmap lock held.  Return: entries of @pages that were filled; -errno if none. */
long mmun_soft_make_device_exclusive(struct mm_struct *mm, unsigned long start, unsigned long nr,
				     struct page **pages, void *owner);

/* What the arrays of a migration hold. */
#define MIGRATE_PFN_VALID   (1ul << 0)
#define MIGRATE_PFN_MIGRATE (1ul << 1)
#define MIGRATE_PFN_WRITE   (1ul << 3)
/** Never set: pages move one by one. */
#define MIGRATE_PFN_COMPOUND (1ul << 4)
#define MIGRATE_PFN_SHIFT    6

enum migrate_vma_direction {
	MIGRATE_VMA_SELECT_SYSTEM = 1 << 0,
	MIGRATE_VMA_SELECT_DEVICE_PRIVATE = 1 << 1,
	MIGRATE_VMA_SELECT_DEVICE_COHERENT = 1 << 2,
	/** Without effect: a huge page is split, as it is without this. */
	MIGRATE_VMA_SELECT_COMPOUND = 1 << 3,
};

struct migrate_vma {
	struct vm_area_struct *vma;
	/** One entry for each page from ->start to ->end. */
	unsigned long *dst, *src;
	unsigned long cpages; /* pages that setup has collected */
	unsigned long npages;
	unsigned long start, end;
	/** Its pages are selected, of devices' memory; its notifiers may ignore the MMU_NOTIFY_MIGRATE sections. */
	void *pgmap_owner;
	unsigned long flags; /* enum migrate_vma_direction */
	/** In ->migrate_to_ram: vmf->page. */
	struct page *fault_page;
};

/** mmun_soft_migrate_vma_setup() - take the selected anonymous pages of a range out of all page
 *  tables, in sections of MMU_NOTIFY_MIGRATE.
 *
 * src[i] with MIGRATE_PFN_MIGRATE: the page (none: nothing is there yet) is locked, unmapped, and
 * nobody else's.  The driver then copies what it wants to move, enters pages that it has locked
 * in dst, and calls the other two; it keeps the mmap lock all the time.
 * Context: mmap lock held (read or write); no lock that a callback takes.
 * Return: 0, also if nothing was selected; -EINVAL. */
int mmun_soft_migrate_vma_setup(struct migrate_vma *args);
/** mmun_soft_migrate_vma_pages() - pages become those of dst.  Where that failed MIGRATE_PFN_MIGRATE
 *  is taken out of src: what was copied there is of no use. */
void mmun_soft_migrate_vma_pages(struct migrate_vma *args);
/** mmun_soft_migrate_vma_finalize() - map what is there now; unlock and put all of src and dst. */
void mmun_soft_migrate_vma_finalize(struct migrate_vma *args);

/** mmun_soft_migrate_device_range() - setup for whatever is in use of @npages frames from @start
 *  on, wherever it is mapped; for a driver whose memory goes.  No mmap lock is held. */
int mmun_soft_migrate_device_range(struct mmun_soft *soft, unsigned long *src, unsigned long start,
				   unsigned long npages);
/** mmun_soft_migrate_device_pfns() - the same for the frames whose numbers @src has, which its entries
 *  replace. */
int mmun_soft_migrate_device_pfns(struct mmun_soft *soft, unsigned long *src, unsigned long npages);
void mmun_soft_migrate_device_pages(struct mmun_soft *soft, unsigned long *src, unsigned long *dst,
				    unsigned long npages);
void mmun_soft_migrate_device_finalize(struct mmun_soft *soft, unsigned long *src,
				       unsigned long *dst, unsigned long npages);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
