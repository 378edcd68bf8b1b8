/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device as a whole, and what programs do with it.
 *
 * I1  An access uses a translation under gru->lock, which the notifier's start
 *     takes before it returns: no access outlives its translation.
 *
 * Not here: how a context comes to be (context.c), what the TLB holds (tlb.c).
 * Tests: tests/contract/secondary/gru.c.
 */
#include "device.h"

#include <errno.h>

#include "alloc.h"

#define DEFAULT_SLOTS   4
#define DEFAULT_ENTRIES 64
#define DEFAULT_ASIDS   255

static void set_params(struct mmun_gru *gru, const struct mmun_gru_params *params)
{
	if (params)
		gru->params = *params;
	if (!gru->params.nr_slots)
		gru->params.nr_slots = DEFAULT_SLOTS;
	if (!gru->params.nr_entries)
		gru->params.nr_entries = DEFAULT_ENTRIES;
	if (!gru->params.nr_asids)
		gru->params.nr_asids = DEFAULT_ASIDS;
}

int mmun_gru_create(struct mmun_soft *soft, const struct mmun_gru_params *params,
		    struct mmun_gru **out)
{
	struct mmun_gru *gru = mmun_alloc(sizeof(*gru));

	if (!gru)
		return -ENOMEM;
	set_params(gru, params);
	gru->slots = mmun_alloc(gru->params.nr_slots * sizeof(*gru->slots));
	if (!gru->slots)
		goto free_device;
	gru->entries = mmun_alloc(gru->params.nr_entries * sizeof(*gru->entries));
	if (!gru->entries)
		goto free_slots;
	gru->soft = soft;
	gru->ops = mmun_gru_notifier_ops;
	gru->next_asid = 1;
	gru->generation = 1;
	pthread_mutex_init(&gru->lock, NULL);
	*out = gru;
	return 0;

free_slots:
	mmun_free(gru->slots);
free_device:
	mmun_free(gru);
	return -ENOMEM;
}

int mmun_gru_destroy(struct mmun_gru *gru)
{
	unsigned int contexts;

	pthread_mutex_lock(&gru->lock);
	contexts = gru->nr_contexts;
	pthread_mutex_unlock(&gru->lock);
	if (contexts)
		return -EBUSY;
	/* The last put of a context only scheduled the end of its notifier. */
	mmu_notifier_synchronize();
	pthread_mutex_destroy(&gru->lock);
	mmun_free(gru->entries);
	mmun_free(gru->slots);
	mmun_free(gru);
	return 0;
}

int mmun_gru_open(struct mmun_gru *gru, struct file **out)
{
	return mmun_soft_device_create(gru->soft, "/dev/gru", &mmun_gru_fops, gru, out);
}

void mmun_gru_stats(struct mmun_gru *gru, struct mmun_gru_stats *out)
{
	pthread_mutex_lock(&gru->lock);
	*out = gru->stats;
	pthread_mutex_unlock(&gru->lock);
}

struct transfer {
	struct gru_context *context;
	unsigned long address;
	void *buffer;
	size_t length;
	bool write;
};

/* -EAGAIN: there is no translation. */
static int transfer_now(const struct transfer *what)
{
	struct gru_context *context = what->context;
	struct mmun_gru *gru = context->gru;
	struct mm_struct *mm = context->gm->mm;
	const struct gru_entry *entry;
	int ret = -EAGAIN;

	pthread_mutex_lock(&gru->lock);
	if (!context->mappings || context->gm->released) {
		ret = -ENXIO;
		goto unlock;
	}
	mmun_gru_load_context(context);
	entry = mmun_gru_tlb_find(context, what->address & MMUN_SOFT_PAGE_MASK, what->write);
	if (!entry)
		goto unlock;
	if (what->write)
		ret = mmun_soft_device_write(mm, what->address, &entry->t, what->buffer,
					     what->length);
	else
		ret = mmun_soft_device_read(mm, what->address, &entry->t, what->buffer,
					    what->length);
unlock:
	pthread_mutex_unlock(&gru->lock);
	return ret;
}

/* Within one page. */
static int transfer_page(const struct transfer *what)
{
	int ret;

	/* The translation may be gone again before it is used: fault once more. */
	while ((ret = transfer_now(what)) == -EAGAIN) {
		ret = mmun_gru_fault(what->context, what->address, what->write);
		if (ret)
			break;
	}
	return ret;
}

static int transfer(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		    unsigned long address, void *buffer, size_t length, bool write)
{
	struct transfer what = { .address = address, .buffer = buffer, .write = write };
	int ret = 0;

	what.context = mmun_gru_context_get(gru, mm, context);
	if (!what.context)
		return -EINVAL;
	while (length && !ret) {
		what.length = MMUN_SOFT_PAGE_SIZE - what.address % MMUN_SOFT_PAGE_SIZE;
		if (what.length > length)
			what.length = length;
		ret = transfer_page(&what);
		what.address += what.length;
		what.buffer = (char *)what.buffer + what.length;
		length -= what.length;
	}
	mmun_gru_context_put(what.context);
	return ret;
}

int mmun_gru_load(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		  unsigned long address, void *buffer, size_t length)
{
	return transfer(gru, mm, context, address, buffer, length, false);
}

int mmun_gru_store(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		   unsigned long address, const void *buffer, size_t length)
{
	return transfer(gru, mm, context, address, (void *)(uintptr_t)buffer, length, true);
}

int mmun_gru_flush(struct mmun_gru *gru, struct mm_struct *mm, unsigned long context,
		   unsigned long address, size_t length)
{
	struct gru_context *found = mmun_gru_context_get(gru, mm, context);

	if (!found)
		return -EINVAL;
	pthread_mutex_lock(&gru->lock);
	gru_count(gru, flush_user);
	mmun_gru_tlb_flush(gru, found->gm, address, address + length);
	pthread_mutex_unlock(&gru->lock);
	mmun_gru_context_put(found);
	return 0;
}
