/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The secondary MMU of the operations target: one address space seen through a
 * list notifier and through an interval, each with a small cache.
 *
 * I1  A translation is cached only if no section was open or opened since the
 *     look-up began, and dropped by every section that touches it.
 * I2  So at any time each cached translation is what the address maps: the machine's
 *     checker is asked after every operation.
 * I3  A section that is refused leaves nothing open.
 *
 * One thread runs everything, hence no lock.  The driver holds the struct of the mm
 * by being registered, and may outlive its last user.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define CACHE 32u

struct cached {
	bool valid;
	unsigned long address;
	struct mmun_soft_translation t;
};

struct driver {
	struct mmu_notifier mn, refuser;
	struct mmu_interval_notifier interval;
	bool has_interval, dead, refuse;
	struct mm_struct *mm;
	int open;
	struct cached list_cache[CACHE], interval_cache[CACHE];
};

static struct driver *driver_of(struct mmu_notifier *mn)
{
	return (struct driver *)((char *)mn - offsetof(struct driver, mn));
}

static void forget(struct cached *cache, unsigned long start, unsigned long end)
{
	for (unsigned int i = 0; i < CACHE; i++) {
		if (cache[i].address >= start && cache[i].address < end)
			cache[i].valid = false;
	}
}

static bool refused(struct driver *driver, const struct mmu_notifier_range *range)
{
	return driver->refuse && !mmu_notifier_range_blockable(range);
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct driver *driver = driver_of(mn);

	must(range->mm == driver->mm && range->start < range->end);
	must(!((range->start | range->end) & ~MMUN_SOFT_PAGE_MASK));
	driver->open++;
	forget(driver->list_cache, range->start, range->end);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	must(--driver_of(mn)->open >= 0);
}

static int on_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
				unsigned long end)
{
	const struct cached *c = &driver_of(mn)->list_cache[start / PAGE % CACHE];

	return c->valid && c->address == start && (start / PAGE) % 3 == 0;
}

static int on_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return 0;
}

static void on_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct driver *driver = driver_of(mn);

	must(!driver->dead);
	driver->dead = true;
	forget(driver->list_cache, 0, ~0ul);
}

static const struct mmu_notifier_ops list_ops = {
	.release = on_release,
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
	.clear_flush_young = on_clear_flush_young,
	.test_young = on_test_young,
};

static bool on_invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	struct driver *driver = (struct driver *)((char *)sub - offsetof(struct driver, interval));

	if (refused(driver, range))
		return false;
	mmu_interval_set_seq(sub, seq);
	forget(driver->interval_cache, range->start, range->end);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = on_invalidate };

/* One that may refuse has no end; those notified before it get the end (B7, B8: a refusal reaches those that began). */
static int on_start_refuse(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct driver *driver = (struct driver *)((char *)mn - offsetof(struct driver, refuser));

	return refused(driver, range) ? -EAGAIN : 0;
}

static const struct mmu_notifier_ops refuser_ops = { .invalidate_range_start = on_start_refuse };

struct driver *driver_create(struct mm_struct *mm)
{
	struct driver *driver = calloc(1, sizeof(*driver));

	must(driver);
	driver->mm = mm;
	driver->mn.ops = &list_ops;
	driver->refuser.ops = &refuser_ops;
	if (mmu_notifier_register(&driver->refuser, mm))
		goto free_driver;
	if (mmu_notifier_register(&driver->mn, mm))
		goto unregister;
	driver->has_interval = !mmu_interval_notifier_insert(&driver->interval, mm, ARENA_FIRST,
							     ARENA_PAGES * PAGE, &interval_ops);
	return driver;

unregister:
	mmu_notifier_unregister(&driver->refuser, mm);
free_driver:
	free(driver);
	return NULL;
}

void driver_destroy(struct driver *driver)
{
	if (driver->has_interval)
		mmu_interval_notifier_remove(&driver->interval);
	/* The first unregister may free the mm but for the second's hold on it (R6: one mm_count
	 * each). */
	mmu_notifier_unregister(&driver->mn, driver->mm);
	must(driver->dead);
	mmu_notifier_unregister(&driver->refuser, driver->mm);
	free(driver);
}

void driver_refuse(struct driver *driver)
{
	driver->refuse = true;
}

/* The processor's view of the byte, without a fault where the page is present. */
static void compare(struct driver *driver, const struct cached *c, unsigned char byte)
{
	unsigned char seen;

	if (!mmun_soft_read(driver->mm, c->address, &seen, 1, NULL))
		must(seen == byte);
}

static void use(struct driver *driver, const struct cached *c, bool write)
{
	unsigned char byte = (unsigned char)(c->address / PAGE);

	if (write)
		must(!mmun_soft_device_write(driver->mm, c->address, &c->t, &byte, 1));
	else
		must(!mmun_soft_device_read(driver->mm, c->address, &c->t, &byte, 1));
	compare(driver, c, byte);
}

static int look_up(struct driver *driver, unsigned long address, bool write,
		   struct mmun_soft_translation *t)
{
	int ret;

	mmap_read_lock(driver->mm);
	ret = mmun_soft_translate(driver->mm, address, write, t);
	mmap_read_unlock(driver->mm);
	must(!ret || ret == -EFAULT || ret == -ENOMEM);
	return ret;
}

/* A fault inside the look-up opens sections of its own, which touch what is cached before
 * they touch what is new: nothing is open when it returned, and nobody else runs. */
static bool establish(struct driver *driver, struct cached *c, unsigned long address, bool write,
		      bool interval)
{
	unsigned long seq = interval ? mmu_interval_read_begin(&driver->interval) : 0;
	struct mmun_soft_translation t;

	if (look_up(driver, address, write, &t))
		return false;
	if (interval && mmu_interval_read_retry(&driver->interval, seq))
		return false;
	*c = (struct cached){ .valid = true, .address = address, .t = t };
	return true;
}

void driver_access(struct driver *driver, unsigned long address, bool write, bool interval)
{
	struct cached *cache = interval ? driver->interval_cache : driver->list_cache;
	struct cached *c = &cache[address / PAGE % CACHE];

	address &= MMUN_SOFT_PAGE_MASK;
	if (driver->dead || (interval && !driver->has_interval))
		return;
	if (!c->valid || c->address != address || (write && !c->t.writable)) {
		c->valid = false;
		if (!establish(driver, c, address, write, interval))
			return;
	}
	use(driver, c, write);
}

static void check_cache(struct driver *driver, const struct cached *cache)
{
	unsigned char byte;

	for (unsigned int i = 0; i < CACHE; i++) {
		const struct cached *c = &cache[i];

		if (c->valid)
			must(!mmun_soft_device_read(driver->mm, c->address, &c->t, &byte, 1));
	}
}

void driver_check(struct driver *driver)
{
	must(driver->open == 0);
	driver->refuse = false;
	check_cache(driver, driver->list_cache);
	check_cache(driver, driver->interval_cache);
}
