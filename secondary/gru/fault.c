/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Faults: a translation is looked up and enters the TLB, unless a section that
 * covers it was open at some time in between.
 *
 *   gru->lock:  wait until no open section covers the address;
 *               enter the list of faults
 *   no lock:    look the page up (mmap lock for read; sleeps, may open
 *               sections itself: copy-on-write marks us and we come again)
 *   gru->lock:  leave the list; marked by a start meanwhile: again;
 *               closed or released: fail; else into the TLB
 *
 * A section that opened before the wait has ended; one that opened after it has
 * marked the fault.  Sections elsewhere do neither, however many there are.
 *
 * I1  Waiting happens without the mmap lock: the thread that holds a section open
 *     may be waiting for it.
 *
 * Tests: tests/contract/secondary/gru.c.
 */
#include "device.h"

#include <errno.h>

static bool covered(const struct gru_mm *gm, unsigned long address)
{
	if (gm->nr_active > gm->nr_open)
		return true;
	for (unsigned int i = 0; i < gm->nr_open; i++) {
		if (gru_span_covers(&gm->open[i], address))
			return true;
	}
	return false;
}

static bool is_over(const struct gru_context *context)
{
	return !context->mappings || context->gm->released;
}

static int fault_begin(struct gru_context *context, struct gru_fault *fault)
{
	struct mmun_gru *gru = context->gru;
	struct gru_mm *gm = context->gm;
	int ret = 0;

	pthread_mutex_lock(&gru->lock);
	gru_count(gru, faults);
	while (covered(gm, fault->address) && !is_over(context)) {
		gru_count(gru, fault_waits);
		pthread_cond_wait(&gm->section_ended, &gru->lock);
	}
	if (is_over(context)) {
		gru_count(gru, fault_late);
		ret = -ENXIO;
	} else {
		fault->next = gm->faults;
		gm->faults = fault;
	}
	pthread_mutex_unlock(&gru->lock);
	return ret;
}

static void leave_list(struct gru_mm *gm, struct gru_fault *fault)
{
	struct gru_fault **link = &gm->faults;

	while (*link != fault)
		link = &(*link)->next;
	*link = fault->next;
}

/* @ret: what the look-up said. */
static int fault_end(struct gru_context *context, struct gru_fault *fault, int ret,
		     const struct mmun_soft_translation *t)
{
	struct mmun_gru *gru = context->gru;

	pthread_mutex_lock(&gru->lock);
	leave_list(context->gm, fault);
	if (is_over(context)) {
		gru_count(gru, fault_late);
		ret = -ENXIO;
	} else if (ret) {
		gru_count(gru, fault_failed);
	} else if (fault->collided) {
		gru_count(gru, fault_retries);
		ret = -EAGAIN;
	} else {
		mmun_gru_load_context(context);
		mmun_gru_tlb_add(context, fault->address & MMUN_SOFT_PAGE_MASK, t);
	}
	pthread_mutex_unlock(&gru->lock);
	return ret;
}

static int fault_once(struct gru_context *context, unsigned long address, bool write)
{
	struct mmun_gru *gru = context->gru;
	struct mm_struct *mm = context->gm->mm;
	struct gru_fault fault = { .address = address };
	struct mmun_soft_translation t;
	int ret;

	ret = fault_begin(context, &fault);
	if (ret)
		return ret;
	mmap_read_lock(mm);
	ret = mmun_soft_translate(mm, address, write, &t);
	mmap_read_unlock(mm);
	if (gru->params.looked_up)
		gru->params.looked_up(gru->params.arg, address);
	return fault_end(context, &fault, ret, &t);
}

int mmun_gru_fault(struct gru_context *context, unsigned long address, bool write)
{
	int ret;

	do {
		ret = fault_once(context, address, write);
	} while (ret == -EAGAIN);
	return ret;
}
