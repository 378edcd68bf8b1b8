/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The secondary MMU of soft.c.
 *
 * I1  A translation is cached only if no section is open and none was opened since
 *     the look-up began; it is used only under the lock that the callbacks take.
 * I2  devices_lock is not taken in callbacks; it keeps a device that a stranger uses
 *     from being destroyed.
 */
#include "soft_device.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "atomic.h"

#define MAX_DEVICES 64
#define MAX_RETRIES 20
#define PAGE        MMUN_SOFT_PAGE_SIZE

struct device {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	unsigned long base;
	pthread_mutex_t lock;
	/* Under ->lock: */
	unsigned long seq;
	int open;
	bool dead;
	bool valid[WINDOW_PAGES];
	struct mmun_soft_translation cache[WINDOW_PAGES];
};

static pthread_rwlock_t devices_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct device *devices[MAX_DEVICES];
static long unpaired;

static struct device *device_of(struct mmu_notifier *mn)
{
	return (struct device *)mn;
}

static void forget(struct device *device, unsigned long start, unsigned long end)
{
	for (unsigned int i = 0; i < WINDOW_PAGES; i++) {
		unsigned long address = device->base + i * PAGE;

		if (address >= start && address < end)
			device->valid[i] = false;
	}
}

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct device *device = device_of(mn);

	pthread_mutex_lock(&device->lock);
	device->open++;
	device->seq++;
	forget(device, range->start, range->end);
	pthread_mutex_unlock(&device->lock);
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct device *device = device_of(mn);

	pthread_mutex_lock(&device->lock);
	device->seq++;
	if (--device->open < 0)
		(void)mmun_add_full(&unpaired, 1);
	pthread_mutex_unlock(&device->lock);
}

static int on_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
				unsigned long end)
{
	struct device *device = device_of(mn);
	unsigned long page = (start - device->base) / PAGE;
	int young;

	pthread_mutex_lock(&device->lock);
	/* Now and then; a constant 1 would keep the page for ever. */
	young = page < WINDOW_PAGES && device->valid[page] && (device->seq + page) % 4 == 0;
	pthread_mutex_unlock(&device->lock);
	return young;
}

static void on_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct device *device = device_of(mn);

	pthread_mutex_lock(&device->lock);
	device->dead = true;
	device->seq++;
	forget(device, 0, ~0ul);
	pthread_mutex_unlock(&device->lock);
}

static const struct mmu_notifier_ops device_ops = {
	.release = on_release,
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
	.clear_flush_young = on_clear_flush_young,
};

static bool publish(struct device *device)
{
	bool published = false;

	pthread_rwlock_wrlock(&devices_lock);
	for (unsigned int i = 0; i < MAX_DEVICES && !published; i++) {
		if (!devices[i]) {
			devices[i] = device;
			published = true;
		}
	}
	pthread_rwlock_unlock(&devices_lock);
	return published;
}

static void unpublish(const struct device *device)
{
	pthread_rwlock_wrlock(&devices_lock);
	for (unsigned int i = 0; i < MAX_DEVICES; i++) {
		if (devices[i] == device)
			devices[i] = NULL;
	}
	pthread_rwlock_unlock(&devices_lock);
}

struct device *device_create(struct mm_struct *mm, unsigned long base)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device)
		return NULL;
	device->mm = mm;
	device->base = base;
	device->mn.ops = &device_ops;
	pthread_mutex_init(&device->lock, NULL);
	if (mmu_notifier_register(&device->mn, mm)) {
		free(device);
		return NULL;
	}
	if (!publish(device)) {
		mmu_notifier_unregister(&device->mn, mm);
		free(device);
		return NULL;
	}
	return device;
}

void device_destroy(struct device *device)
{
	unpublish(device);
	mmu_notifier_unregister(&device->mn, device->mm);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

static int transfer(struct device *device, unsigned int page, bool write, void *buffer)
{
	const struct mmun_soft_translation *t = &device->cache[page];
	unsigned long address = device->base + page * PAGE;

	return write ? mmun_soft_device_write(device->mm, address, t, buffer, PAGE)
		     : mmun_soft_device_read(device->mm, address, t, buffer, PAGE);
}

/* -EAGAIN: no translation that may be used. */
static int use_cached(struct device *device, unsigned int page, bool write, void *buffer,
		      unsigned long *seq)
{
	int ret = -EAGAIN;

	pthread_mutex_lock(&device->lock);
	if (device->valid[page] && (!write || device->cache[page].writable))
		ret = transfer(device, page, write, buffer);
	*seq = device->seq;
	pthread_mutex_unlock(&device->lock);
	return ret;
}

static int look_up(struct device *device, unsigned int page, bool write,
		   struct mmun_soft_translation *t)
{
	int ret;

	mmap_read_lock(device->mm);
	ret = mmun_soft_translate(device->mm, device->base + page * PAGE, write, t);
	mmap_read_unlock(device->mm);
	return ret;
}

static int establish(struct device *device, unsigned int page, bool write, void *buffer,
		     unsigned long seq, const struct mmun_soft_translation *t)
{
	int ret = -EAGAIN;

	pthread_mutex_lock(&device->lock);
	if (!device->open && device->seq == seq && !device->dead) {
		device->cache[page] = *t;
		device->valid[page] = true;
		ret = transfer(device, page, write, buffer);
	}
	pthread_mutex_unlock(&device->lock);
	return ret;
}

static int device_access(struct device *device, unsigned int page, bool write, void *buffer)
{
	struct mmun_soft_translation t;
	unsigned long seq;
	int ret;

	for (unsigned int i = 0; i < MAX_RETRIES; i++) {
		ret = use_cached(device, page, write, buffer, &seq);
		if (ret != -EAGAIN)
			return ret;
		ret = look_up(device, page, write, &t);
		if (ret)
			return ret;
		ret = establish(device, page, write, buffer, seq, &t);
		if (ret != -EAGAIN)
			return ret;
	}
	return -EAGAIN;
}

int device_read(struct device *device, unsigned int page, void *to)
{
	return device_access(device, page, false, to);
}

int device_write(struct device *device, unsigned int page, const void *from)
{
	return device_access(device, page, true, (void *)(uintptr_t)from);
}

void device_read_any(uint64_t random)
{
	struct device *device;
	char page[PAGE];

	pthread_rwlock_rdlock(&devices_lock);
	device = devices[random % MAX_DEVICES];
	for (unsigned int i = 0; i < MAX_DEVICES && !device; i++)
		device = devices[i];
	if (device && mmget_not_zero(device->mm)) {
		device_read(device, (unsigned int)(random >> 32) % WINDOW_PAGES, page);
		mmput(device->mm);
	}
	pthread_rwlock_unlock(&devices_lock);
}

long device_unpaired(void)
{
	return mmun_load_full(&unpaired);
}
