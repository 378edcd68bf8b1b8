/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address spaces that exist in a machine.
 *
 * I1  An mm is on the list from mmun_soft_mm_publish() until its exit, which
 *     comes before its struct may go: a thread that finds it there may try to get a user.
 * I2  nr_mms counts the private parts, so the machine outlives also an mm
 *     whose memory is gone and whose struct a notifier still holds.
 *
 * Not here: tasks and fork (call/process.c).  Tests: tests/unit/soft/process.c.
 */
#include <errno.h>

#include "alloc.h"
#include "mm.h"
#include "table/table.h"

static void free_private(struct soft_mm *sm)
{
	mmun_mutex_destroy(&sm->page_table_lock);
	mmun_percpu_rwsem_destroy(&sm->changes);
	mmun_free(sm);
}

static int alloc_private(struct mmun_soft *soft, struct soft_mm **out)
{
	struct soft_mm *sm = mmun_alloc(sizeof(*sm));
	int ret;

	if (!sm)
		return -ENOMEM;
	sm->soft = soft;
	mmun_dlist_init(&sm->link);
	mmun_mutex_init(&sm->page_table_lock, MMUN_RANK_SOFT_PTL);
	mmun_percpu_rwsem_init(&sm->changes, MMUN_RANK_SOFT_CHANGES);
	ret = mmun_soft_tables_create(sm);
	if (ret)
		free_private(sm);
	else
		*out = sm;
	return ret;
}

int mmun_soft_mm_alloc(struct mmun_soft *soft, struct mm_struct **out)
{
	struct mmun_mm_params params = { .ops = soft->upcalls->primary };
	struct soft_mm *sm;
	struct mm_struct *mm;
	int ret = alloc_private(soft, &sm);

	if (ret)
		return ret;
	params.priv = sm;
	ret = mmun_mm_create(&params, &mm);
	if (ret) {
		mmun_soft_tables_destroy(sm);
		free_private(sm);
		return ret;
	}
	sm->mm = mm;
	mmun_mutex_lock(&soft->list_lock);
	soft->nr_mms++;
	mmun_mutex_unlock(&soft->list_lock);
	*out = mm;
	return 0;
}

void mmun_soft_mm_publish(struct mm_struct *mm)
{
	struct soft_mm *sm = soft_mm(mm);

	mmun_mutex_lock(&sm->soft->list_lock);
	mmun_dlist_add_tail(&sm->link, &sm->soft->mms);
	mmun_mutex_unlock(&sm->soft->list_lock);
}

void mmun_soft_mm_unpublish(struct mm_struct *mm)
{
	struct soft_mm *sm = soft_mm(mm);

	mmun_mutex_lock(&sm->soft->list_lock);
	mmun_dlist_del(&sm->link);
	mmun_mutex_unlock(&sm->soft->list_lock);
}

void mmun_soft_mm_destroy(void *priv)
{
	struct soft_mm *sm = priv;
	struct mmun_soft *soft = sm->soft;

	free_private(sm);
	mmun_mutex_lock(&soft->list_lock);
	soft->nr_mms--;
	mmun_mutex_unlock(&soft->list_lock);
}

int mmun_soft_mm_create(struct mmun_soft *soft, struct mm_struct **out)
{
	struct mm_struct *mm;
	int ret = mmun_soft_mm_alloc(soft, &mm);

	if (ret)
		return ret;
	mmun_soft_mm_publish(mm);
	*out = mm;
	return 0;
}

/* The one after @mm (NULL: the first) that is alive, with a user; @mm's is dropped. */
static struct mm_struct *next_mm(struct mmun_soft *soft, struct mm_struct *mm)
{
	struct mmun_dlist *link = mm ? &soft_mm(mm)->link : &soft->mms;
	struct mm_struct *next = NULL;

	mmun_mutex_lock(&soft->list_lock);
	for (link = link->next; link != &soft->mms; link = link->next) {
		next = mmun_container_of(link, struct soft_mm, link)->mm;
		if (mmget_not_zero(next))
			break;
		next = NULL;
	}
	mmun_mutex_unlock(&soft->list_lock);
	if (mm)
		mmput(mm);
	return next;
}

void mmun_soft_for_each_mm(struct mmun_soft *soft, bool (*visit)(struct mm_struct *mm, void *arg),
			   void *arg)
{
	struct mm_struct *mm = NULL;

	while ((mm = next_mm(soft, mm))) {
		if (!visit(mm, arg)) {
			mmput(mm);
			return;
		}
	}
}
