/* cc -o locked_register locked_register.c $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Subscribe with the mmap lock already held, and without ->release.
 *
 * A driver whose mmap handler runs under the mmap lock decides there, under
 * that lock, whether this address space has its notifier yet; registering
 * with mmu_notifier_register() would take the lock a second time.  A notifier
 * without ->release is for a user that unregisters while the address space
 * lives, or touches nothing after it has gone.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

struct driver {
	struct mmu_notifier mn;
	/* Under the mmap lock. */
	int subscribed;
	/* Sections that are open, and all that ever were. */
	int active;
	unsigned long sections;
};

static int driver_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct driver *driver = (struct driver *)mn;

	(void)range;
	__atomic_add_fetch(&driver->active, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&driver->sections, 1, __ATOMIC_RELAXED);
	return 0;
}

static void driver_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)range;
	__atomic_sub_fetch(&((struct driver *)mn)->active, 1, __ATOMIC_SEQ_CST);
}

static const struct mmu_notifier_ops driver_ops = {
	.invalidate_range_start = driver_start,
	.invalidate_range_end = driver_end,
};

/* The mmap handler: called with the mmap lock held for write. */
static int driver_mmap_locked(struct driver *driver, struct mm_struct *mm)
{
	int error;

	if (driver->subscribed)
		return 0;
	driver->mn.ops = &driver_ops;
	error = __mmu_notifier_register(&driver->mn, mm);
	driver->subscribed = !error;
	return error; /* the lock is still held, on failure too */
}

int main(void)
{
	static struct driver driver;
	struct mm_struct *mm = mmun_self();
	void *p;
	int error;

	if (!mm)
		return 1;
	mmap_write_lock(mm);
	error = driver_mmap_locked(&driver, mm);
	if (!error)
		error = driver_mmap_locked(&driver, mm); /* the second time it is there */
	mmap_write_unlock(mm);
	if (error) {
		fprintf(stderr, "cannot register: %s ('mmunotify probe' says why)\n",
			strerror(-error));
		return 1;
	}
	p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p != MAP_FAILED)
		munmap(p, 1 << 20);
	mmu_notifier_unregister(&driver.mn, mm);

	printf("%lu sections seen, %d open\n", driver.sections, driver.active);
	return driver.sections && !driver.active ? 0 : 1;
}
