/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * I1  A place of the table is taken from the registration until the deregistration, and has a
 *     key and pages only in between: under the lock for write it gets them or loses them,
 *     under the lock for read it is used.
 * I2  Pages are looked up and let go without the lock.
 *
 * Whether a region is up to date is for the cache to see to, and for the checker to say.
 * Tests: tests/contract/secondary/nic.c.
 */
#include "nic.h"

#include <errno.h>
#include <pthread.h>

#include "alloc.h"
#include "atomic.h"

#define DEFAULT_REGIONS 1024
#define DEFAULT_PAGES   (1ul << 20)
#define MAX_LOOK_UPS    100

struct nic_place {
	bool taken;
	unsigned long key; /* 0: none */
	unsigned long start, end;
	unsigned int access;
	struct mmun_soft_translation *pages;
};

struct mmun_nic {
	struct mm_struct *mm;
	struct mmun_nic_params params;
	pthread_rwlock_t lock;
	struct nic_place *places;
	unsigned int next;
	unsigned long nr_keys;
	/* Atomic: accesses count under the lock for read. */
	struct mmun_nic_stats stats;
};

#define nic_count(nic, field) ((void)mmun_add_relaxed(&(nic)->stats.field, 1))

int mmun_nic_create(struct mm_struct *mm, const struct mmun_nic_params *params,
		    struct mmun_nic **out)
{
	struct mmun_nic *nic = mmun_alloc(sizeof(*nic));

	if (!nic)
		return -ENOMEM;
	if (params)
		nic->params = *params;
	if (!nic->params.regions)
		nic->params.regions = DEFAULT_REGIONS;
	if (!nic->params.pages)
		nic->params.pages = DEFAULT_PAGES;
	nic->places = mmun_alloc(nic->params.regions * sizeof(*nic->places));
	if (!nic->places) {
		mmun_free(nic);
		return -ENOMEM;
	}
	pthread_rwlock_init(&nic->lock, NULL);
	mmgrab(mm);
	nic->mm = mm;
	*out = nic;
	return 0;
}

int mmun_nic_destroy(struct mmun_nic *nic)
{
	if (mmun_load_relaxed(&nic->stats.regions))
		return -EBUSY;
	mmdrop(nic->mm);
	pthread_rwlock_destroy(&nic->lock);
	mmun_free(nic->places);
	mmun_free(nic);
	return 0;
}

/* A place that nobody has taken, and room for @nr pages. */
static int take_place(struct mmun_nic *nic, unsigned long nr, unsigned int *place)
{
	int ret = 0;

	pthread_rwlock_wrlock(&nic->lock);
	if (nic->stats.regions == nic->params.regions) {
		ret = -ENOSPC;
	} else if (nic->stats.pages + nr > nic->params.pages) {
		ret = -ENOMEM;
	} else {
		while (nic->places[nic->next].taken)
			nic->next = (nic->next + 1) % nic->params.regions;
		*place = nic->next;
		nic->places[nic->next].taken = true;
		(void)mmun_add_relaxed(&nic->stats.regions, 1);
		(void)mmun_add_relaxed(&nic->stats.pages, nr);
	}
	pthread_rwlock_unlock(&nic->lock);
	return ret;
}

static void give_place(struct mmun_nic *nic, unsigned long nr, unsigned int place)
{
	pthread_rwlock_wrlock(&nic->lock);
	nic->places[place] = (struct nic_place){ 0 };
	(void)mmun_sub_full(&nic->stats.regions, 1);
	(void)mmun_sub_full(&nic->stats.pages, nr);
	pthread_rwlock_unlock(&nic->lock);
}

/* mmap lock held for read.  The page is pinned before it is translated, so a translation
 * that says the same page is one of the pinned page. */
static int pin_and_translate(struct mmun_nic *nic, unsigned long address, bool write,
			     struct mmun_soft_translation *t)
{
	const unsigned int flags = FOLL_PIN | FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
	struct page *page;
	int ret;

	for (unsigned int i = 0; i < MAX_LOOK_UPS; i++) {
		long got = mmun_soft_get_user_pages(nic->mm, address, 1, flags, &page);

		if (got < 0)
			return (int)got;
		ret = mmun_soft_translate(nic->mm, address, write, t);
		if (!ret && t->page == page)
			return 0;
		mmun_soft_unpin_page(page);
		if (ret)
			return ret;
		nic_count(nic, looked_up_again);
	}
	return -EBUSY;
}

static void let_go(struct mmun_nic *nic, struct mmun_soft_translation *pages, unsigned long nr,
		   bool write)
{
	for (unsigned long i = 0; i < nr && !nic->params.not_pinned; i++) {
		if (write)
			mmun_soft_set_page_dirty(pages[i].page);
		mmun_soft_unpin_page(pages[i].page);
	}
	mmun_free(pages);
}

static int look_up(struct mmun_nic *nic, const struct mmun_registration *reg, bool write,
		   struct mmun_soft_translation *pages)
{
	unsigned long nr = (reg->end - reg->start) >> MMUN_SOFT_PAGE_SHIFT, i;
	int ret = 0;

	mmap_read_lock(nic->mm);
	for (i = 0; i < nr && !ret; i++) {
		unsigned long address = reg->start + (i << MMUN_SOFT_PAGE_SHIFT);

		ret = nic->params.not_pinned
			      ? mmun_soft_translate(nic->mm, address, write, &pages[i])
			      : pin_and_translate(nic, address, write, &pages[i]);
	}
	mmap_read_unlock(nic->mm);
	if (ret)
		let_go(nic, pages, i - 1, write);
	return ret;
}

/* The user that keeps the memory from ending meanwhile. */
static int look_up_alive(struct mmun_nic *nic, const struct mmun_registration *reg, bool write,
			 struct mmun_soft_translation **pages)
{
	unsigned long nr = (reg->end - reg->start) >> MMUN_SOFT_PAGE_SHIFT;
	int ret;

	if (!mmget_not_zero(nic->mm))
		return -ESRCH;
	*pages = mmun_alloc(nr * sizeof(**pages));
	ret = *pages ? look_up(nic, reg, write, *pages) : -ENOMEM;
	mmput(nic->mm);
	return ret;
}

static int nic_register(void *arg, struct mmun_registration *reg)
{
	struct mmun_nic_region *region = (struct mmun_nic_region *)reg;
	unsigned long nr = (reg->end - reg->start) >> MMUN_SOFT_PAGE_SHIFT;
	bool write = reg->access & MMUN_RCACHE_WRITE;
	struct mmun_soft_translation *pages;
	struct mmun_nic *nic = arg;
	int ret;

	ret = take_place(nic, nr, &region->place);
	if (ret) {
		nic_count(nic, refused);
		return ret;
	}
	ret = look_up_alive(nic, reg, write, &pages);
	if (ret) {
		nic_count(nic, failed);
		give_place(nic, nr, region->place);
		return ret;
	}
	if (nic->params.looked_up)
		nic->params.looked_up(nic->params.arg, reg->start, reg->end);
	pthread_rwlock_wrlock(&nic->lock);
	region->key = ++nic->nr_keys * nic->params.regions + region->place;
	nic->places[region->place] =
		(struct nic_place){ true, region->key, reg->start, reg->end, reg->access, pages };
	pthread_rwlock_unlock(&nic->lock);
	nic_count(nic, registered);
	return 0;
}

static void nic_deregister(void *arg, struct mmun_registration *reg)
{
	struct mmun_nic_region *region = (struct mmun_nic_region *)reg;
	unsigned long nr = (reg->end - reg->start) >> MMUN_SOFT_PAGE_SHIFT;
	struct mmun_soft_translation *pages;
	struct mmun_nic *nic = arg;

	pthread_rwlock_wrlock(&nic->lock);
	pages = nic->places[region->place].pages;
	nic->places[region->place].key = 0;
	pthread_rwlock_unlock(&nic->lock);
	let_go(nic, pages, nr, reg->access & MMUN_RCACHE_WRITE);
	give_place(nic, nr, region->place);
	nic_count(nic, deregistered);
}

static void nic_limits(void *arg, struct mmun_rcache_limits *limits)
{
	const struct mmun_nic *nic = arg;

	if (nic->params.length && (!limits->length || limits->length > nic->params.length))
		limits->length = nic->params.length;
}

const struct mmun_rcache_ops mmun_nic_ops = {
	.register_memory = nic_register,
	.deregister_memory = nic_deregister,
	.limits = nic_limits,
};

/* Under the lock: nobody lets the pages go. */
static int transfer(struct mmun_nic *nic, const struct nic_place *place, unsigned long address,
		    char *buffer, size_t length, bool write)
{
	while (length) {
		unsigned long page = (address - place->start) >> MMUN_SOFT_PAGE_SHIFT;
		size_t rest = MMUN_SOFT_PAGE_SIZE - (address & ~MMUN_SOFT_PAGE_MASK);
		size_t size = length < rest ? length : rest;
		int ret = write ? mmun_soft_device_write(nic->mm, address, &place->pages[page],
							 buffer, size)
				: mmun_soft_device_read(nic->mm, address, &place->pages[page],
							buffer, size);

		if (ret)
			return ret;
		address += size;
		buffer += size;
		length -= size;
	}
	return 0;
}

static const struct nic_place *place_of(const struct mmun_nic *nic, unsigned long key)
{
	const struct nic_place *place = &nic->places[key % nic->params.regions];

	return key && place->key == key ? place : NULL;
}

static bool permits(const struct nic_place *place, unsigned long address, size_t length, bool write)
{
	return address >= place->start && address <= place->end && length <= place->end - address &&
	       (place->access & (write ? MMUN_RCACHE_WRITE : MMUN_RCACHE_READ));
}

static int access_by_key(struct mmun_nic *nic, unsigned long key, unsigned long address,
			 char *buffer, size_t length, bool write)
{
	const struct nic_place *place;
	int ret;

	pthread_rwlock_rdlock(&nic->lock);
	place = place_of(nic, key);
	if (!place) {
		ret = -ENXIO;
		nic_count(nic, dead_keys);
	} else if (!permits(place, address, length, write)) {
		ret = -EACCES;
		nic_count(nic, forbidden);
	} else {
		ret = transfer(nic, place, address, buffer, length, write);
		if (ret)
			nic_count(nic, stale);
	}
	pthread_rwlock_unlock(&nic->lock);
	return ret;
}

int mmun_nic_read(struct mmun_nic *nic, unsigned long key, unsigned long address, void *buffer,
		  size_t length)
{
	int ret = access_by_key(nic, key, address, buffer, length, false);

	if (!ret)
		nic_count(nic, reads);
	return ret;
}

int mmun_nic_write(struct mmun_nic *nic, unsigned long key, unsigned long address,
		   const void *buffer, size_t length)
{
	/* Only read through. */
	int ret = access_by_key(nic, key, address, (char *)(uintptr_t)buffer, length, true);

	if (!ret)
		nic_count(nic, writes);
	return ret;
}

void mmun_nic_stats(struct mmun_nic *nic, struct mmun_nic_stats *out)
{
#define COPY(name, text) out->name = mmun_load_relaxed(&nic->stats.name);
	MMUN_NIC_STATS(COPY)
#undef COPY
	out->regions = mmun_load_relaxed(&nic->stats.regions);
	out->pages = mmun_load_relaxed(&nic->stats.pages);
}
