/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device of soft.c that walks the page tables.
 *
 * I1  As in hardware a walk and what it fills in, and an access through that, are one step
 *     against a flush: both hold the page_table_lock, inside which a flush comes.
 * I2  ->lock is taken inside it, also by flushes that come without it.
 */
#include "soft_tlb.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "atomic.h"
#include "frame/page.h"
#include "soft_device.h"
#include "table/table.h"

#define MAX_RETRIES 20
#define PAGE        MMUN_SOFT_PAGE_SIZE

struct tlb {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	unsigned long base;
	pthread_mutex_t lock;
	/* Under ->lock: */
	bool dead;
	bool valid[WINDOW_PAGES];
	struct mmun_soft_translation cache[WINDOW_PAGES];
};

static long stale, flushes;

static void on_flush(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		     unsigned long end)
{
	struct tlb *tlb = mmun_container_of(mn, struct tlb, mn);

	(void)mmun_add_full(&flushes, 1);
	pthread_mutex_lock(&tlb->lock);
	for (unsigned int i = 0; i < WINDOW_PAGES; i++) {
		unsigned long address = tlb->base + i * PAGE;

		if (address >= start && address < end)
			tlb->valid[i] = false;
	}
	pthread_mutex_unlock(&tlb->lock);
}

static void on_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct tlb *tlb = mmun_container_of(mn, struct tlb, mn);

	pthread_mutex_lock(&tlb->lock);
	tlb->dead = true;
	pthread_mutex_unlock(&tlb->lock);
}

static const struct mmu_notifier_ops tlb_ops = {
	.release = on_release,
	.arch_invalidate_secondary_tlbs = on_flush,
};

struct tlb *tlb_create(struct mm_struct *mm, unsigned long base)
{
	struct tlb *tlb = calloc(1, sizeof(*tlb));

	if (!tlb)
		return NULL;
	tlb->mm = mm;
	tlb->base = base;
	tlb->mn.ops = &tlb_ops;
	pthread_mutex_init(&tlb->lock, NULL);
	if (!mmu_notifier_register(&tlb->mn, mm))
		return tlb;
	pthread_mutex_destroy(&tlb->lock);
	free(tlb);
	return NULL;
}

void tlb_destroy(struct tlb *tlb)
{
	mmu_notifier_unregister(&tlb->mn, tlb->mm);
	pthread_mutex_destroy(&tlb->lock);
	free(tlb);
}

static bool walk(struct tlb *tlb, unsigned long address, struct mmun_soft_translation *t)
{
	struct soft_mm *mm = soft_mm(tlb->mm);
	const soft_pte pte = mmun_soft_pte_value(mm, address);
	const soft_pte writable = SOFT_PTE_WRITE | SOFT_PTE_DIRTY;
	struct page *page;

	if ((pte & (SOFT_PTE_PRESENT | SOFT_PTE_NO_ACCESS)) != SOFT_PTE_PRESENT)
		return false;
	page = soft_pte_page(mm, pte);
	*t = (struct mmun_soft_translation){ .page = page,
					     .generation = mmun_load_acquire(&page->generation),
					     .writable = (pte & writable) == writable };
	return true;
}

static bool is_stale(struct tlb *tlb, unsigned long address, const struct mmun_soft_translation *t)
{
	struct mmun_soft_translation now;

	return !walk(tlb, address, &now) || now.page != t->page ||
	       now.generation != t->generation || (t->writable && !now.writable);
}

static void transfer(const struct mmun_soft_translation *t, bool write, void *buffer)
{
	void *bytes = mmun_soft_page_address(t->page);

	if (write)
		mmun_soft_copy_in(bytes, buffer, PAGE);
	else
		mmun_soft_copy_out(buffer, bytes, PAGE);
}

/* I1.  False: the processor has to fault first. */
static bool use(struct tlb *tlb, unsigned int page, bool write, void *buffer)
{
	struct mmun_soft_translation *t = &tlb->cache[page];
	const unsigned long address = tlb->base + page * PAGE;

	if (!tlb->valid[page] || (write && !t->writable))
		tlb->valid[page] = walk(tlb, address, t);
	if (!tlb->valid[page] || (write && !t->writable))
		return false;
	if (is_stale(tlb, address, t))
		(void)mmun_add_full(&stale, 1);
	else
		transfer(t, write, buffer);
	return true;
}

static int use_locked(struct tlb *tlb, unsigned int page, bool write, void *buffer)
{
	struct soft_mm *mm = soft_mm(tlb->mm);
	int ret = -EAGAIN;

	mmun_mutex_lock(&mm->page_table_lock);
	pthread_mutex_lock(&tlb->lock);
	if (!tlb->dead && use(tlb, page, write, buffer))
		ret = 0;
	pthread_mutex_unlock(&tlb->lock);
	mmun_mutex_unlock(&mm->page_table_lock);
	return ret;
}

int tlb_access(struct tlb *tlb, unsigned int page, bool write, void *buffer)
{
	struct mmun_soft_translation t;
	int ret;

	for (unsigned int i = 0; i < MAX_RETRIES; i++) {
		ret = use_locked(tlb, page, write, buffer);
		if (!ret)
			return 0;
		mmap_read_lock(tlb->mm);
		ret = mmun_soft_translate(tlb->mm, tlb->base + page * PAGE, write, &t);
		mmap_read_unlock(tlb->mm);
		if (ret)
			return ret;
	}
	return -EAGAIN;
}

long tlb_stale(void)
{
	return mmun_load_full(&stale);
}

long tlb_flushes(void)
{
	return mmun_load_full(&flushes);
}
