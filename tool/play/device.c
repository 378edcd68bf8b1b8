/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device of a `mmunotify soft` run: a secondary MMU that keeps what it has
 * looked up until its notifier makes it forget.
 *
 * I1  A translation is entered only if no section that covers it is open and none
 *     began since it was looked up (S5: nothing established under a section).
 * I2  A careless device breaks the contract on purpose: it hears everything and
 *     forgets nothing.  One without ->release keeps what it has at exit.
 * I3  A notifier that leaves inside a section gets no end of it (R3: a start without its
 *     end): nothing is open then.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdlib.h>

#include "list.h"
#include "world.h"

#define MAX_ENTRIES 256

struct entry {
	bool used, young;
	/* Of the page. */
	unsigned long address;
	struct mmun_soft_translation t;
};

struct device {
	/* First: the notifier commands know it as that. */
	struct soft_subscriber subscriber;
	bool careless;
	pthread_mutex_t lock;
	pthread_cond_t quiet;
	/* Sections that are open, and all that ever opened. */
	unsigned long open, opened;
	bool released;
	unsigned int next;
	struct entry entry[MAX_ENTRIES];
};

static struct device *device_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct device, subscriber.mn);
}

static void forget(struct device *device, unsigned long start, unsigned long end)
{
	if (device->careless)
		return;
	for (struct entry *entry = device->entry; entry < device->entry + MAX_ENTRIES; entry++)
		if (entry->address >= start && entry->address < end)
			entry->used = false;
}

static int device_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct device *device = device_of(mn);

	pthread_mutex_lock(&device->lock);
	device->open++;
	device->opened++;
	forget(device, range->start, range->end);
	pthread_mutex_unlock(&device->lock);
	return soft_heard_start(&device->subscriber.listener, range);
}

static void device_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct device *device = device_of(mn);

	soft_heard_end(&device->subscriber.listener, range);
	pthread_mutex_lock(&device->lock);
	device->open--;
	pthread_cond_broadcast(&device->quiet);
	pthread_mutex_unlock(&device->lock);
}

static void device_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct device *device = device_of(mn);

	pthread_mutex_lock(&device->lock);
	device->released = true;
	forget(device, 0, MMUN_SOFT_TASK_SIZE);
	pthread_cond_broadcast(&device->quiet);
	pthread_mutex_unlock(&device->lock);
	soft_heard_release(&device->subscriber.listener);
}

static int age(struct device *device, unsigned long start, unsigned long end, bool clear)
{
	int young = 0;

	pthread_mutex_lock(&device->lock);
	for (struct entry *entry = device->entry; entry < device->entry + MAX_ENTRIES; entry++) {
		if (entry->used && entry->address < end &&
		    entry->address + MMUN_SOFT_PAGE_SIZE > start) {
			young |= entry->young;
			entry->young &= !clear;
		}
	}
	pthread_mutex_unlock(&device->lock);
	return young;
}

static int device_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
				    unsigned long start, unsigned long end)
{
	return soft_heard_young(&device_of(mn)->subscriber.listener, "clear_flush_young", start,
				end, age(device_of(mn), start, end, true));
}

static int device_clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			      unsigned long end)
{
	return soft_heard_young(&device_of(mn)->subscriber.listener, "clear_young", start, end,
				age(device_of(mn), start, end, true));
}

static int device_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return soft_heard_young(&device_of(mn)->subscriber.listener, "test_young", address,
				address + 1, age(device_of(mn), address, address + 1, false));
}

static const struct mmu_notifier_ops device_ops = {
	.release = device_release,
	.clear_flush_young = device_clear_flush_young,
	.clear_young = device_clear_young,
	.test_young = device_test_young,
	.invalidate_range_start = device_start,
	.invalidate_range_end = device_end,
};

int soft_run_device(struct soft_call *call)
{
	struct soft_symbol *symbol = call->arg[0].symbol;
	struct soft_task *task = soft_object(call, &call->arg[1]);
	struct device *device;
	int ret;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	device = soft_object_new(call, sizeof(*device));
	if (!device)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_init(&device->lock, NULL);
	pthread_cond_init(&device->quiet, NULL);
	device->careless = call->keyword[SOFT_DEVICE_CARELESS].given;
	device->subscriber.ops = device_ops;
	if (call->keyword[SOFT_DEVICE_WITHOUT].given)
		device->subscriber.ops.release = NULL;
	ret = soft_subscribe(call, &device->subscriber, task, symbol->name, SOFT_LOCKING);
	if (ret)
		free(device);
	else
		soft_object_set(symbol, device);
	return ret;
}

void soft_device_unregistered(struct soft_symbol *symbol)
{
	struct device *device = soft_object_peek(symbol);

	pthread_mutex_lock(&device->lock);
	device->open = 0;
	pthread_cond_broadcast(&device->quiet);
	pthread_mutex_unlock(&device->lock);
}

void soft_device_end(struct soft_symbol *symbol)
{
	struct device *device = soft_object_peek(symbol);

	soft_subscriber_end(&device->subscriber);
	pthread_cond_destroy(&device->quiet);
	pthread_mutex_destroy(&device->lock);
	free(device);
}

static struct entry *find_entry(struct device *device, unsigned long address, bool write)
{
	for (struct entry *entry = device->entry; entry < device->entry + MAX_ENTRIES; entry++)
		if (entry->used && entry->address == (address & MMUN_SOFT_PAGE_MASK))
			return write && !entry->t.writable ? NULL : entry;
	return NULL;
}

/* The oldest gives way, unless the page has an entry already. */
static struct entry *place(struct device *device, unsigned long address)
{
	struct entry *entry = find_entry(device, address, false);

	if (!entry)
		entry = &device->entry[device->next++ % MAX_ENTRIES];
	return entry;
}

static int translate(struct mm_struct *mm, unsigned long address, bool write,
		     struct mmun_soft_translation *t)
{
	int ret;

	if (!mmget_not_zero(mm))
		return -ENXIO;
	mmap_read_lock(mm);
	ret = mmun_soft_translate(mm, address, write, t);
	mmap_read_unlock(mm);
	mmput(mm);
	return ret;
}

/* Looks @address up, with the device's lock held before and after.  I1. */
static int fault(struct device *device, unsigned long address, bool write)
{
	struct mmun_soft_translation t;
	struct entry *entry;
	unsigned long seen;
	int ret;

	do {
		while (device->open && !device->released)
			pthread_cond_wait(&device->quiet, &device->lock);
		if (device->released)
			return -ENXIO;
		seen = device->opened;
		pthread_mutex_unlock(&device->lock);
		ret = translate(device->subscriber.mm, address, write, &t);
		pthread_mutex_lock(&device->lock);
		if (ret)
			return ret;
	} while (device->opened != seen || device->released);
	entry = place(device, address);
	*entry = (struct entry){ .used = true, .address = address & MMUN_SOFT_PAGE_MASK, .t = t };
	return 0;
}

static int access_page(struct device *device, unsigned long address, char *data, size_t length,
		       bool write)
{
	struct mm_struct *mm = device->subscriber.mm;
	struct entry *entry;
	int ret = 0;

	pthread_mutex_lock(&device->lock);
	while (!ret && !(entry = find_entry(device, address, write)))
		ret = fault(device, address, write);
	if (!ret) {
		entry->young = true;
		ret = write ? mmun_soft_device_write(mm, address, &entry->t, data, length)
			    : mmun_soft_device_read(mm, address, &entry->t, data, length);
	}
	pthread_mutex_unlock(&device->lock);
	return ret;
}

int soft_device_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		       char *data, size_t length, bool write)
{
	struct device *device = soft_object(call, &call->arg[0]);
	size_t part;
	int ret = 0;

	if (!device)
		return SOFT_OUTCOME_FAILED;
	for (; length && !ret; length -= part, address += part, data += part) {
		part = MMUN_SOFT_PAGE_SIZE - (address & ~MMUN_SOFT_PAGE_MASK);
		if (part > length)
			part = length;
		ret = access_page(device, address, data, part, write);
	}
	return soft_outcome(ret);
}

void soft_violation(const struct mmun_soft_violation *what, void *arg)
{
	const char *kind = mmun_soft_violation_name(what->kind);

	if (soft_current)
		soft_current->violation = (int)what->kind;
	soft_say(arg, SOFT_SAY_EVENT, "violation",
		 SOFT_FIELDS(SOFT_TEXT("kind", kind), SOFT_ADDRESS("address", what->address),
			     SOFT_NUMBER("frame", what->pfn), SOFT_BOOL("write", what->write)),
		 "VIOLATION: the device %s 0x%lx through a stale translation: %s",
		 what->write ? "writes to" : "reads from", what->address, kind);
}
