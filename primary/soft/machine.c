/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine: its parts in the order in which they depend on each other, and
 * the address spaces that exist in it.
 *
 * I1  An mm is on the list from mmun_soft_mm_publish() until its exit, which
 *     comes before its struct may go: who finds it there may try to get a user.
 * I2  nr_mms counts the private parts, so the machine outlives also an mm
 *     whose memory is gone and whose struct a notifier still holds.
 * I3  Creation either gives everything or leaves nothing.
 *
 * Not here: tasks and fork (process.c).  Tests: tests/unit/soft/process.c.
 */
#include "machine.h"

#include <errno.h>

#include "alloc.h"
#include "page.h"
#include "reclaim.h"
#include "table.h"

#define DEFAULT_MEMORY        (64ul << 20)
#define DEFAULT_MAX_MAP_COUNT 65530
#define MIN_PAGES             16

static void set_params(struct mmun_soft_params *params, const struct mmun_soft_params *wanted)
{
	if (wanted)
		*params = *wanted;
	if (!params->memory)
		params->memory = DEFAULT_MEMORY;
	if (!params->max_map_count)
		params->max_map_count = DEFAULT_MAX_MAP_COUNT;
	params->memory &= MMUN_SOFT_PAGE_MASK;
	params->swap &= MMUN_SOFT_PAGE_MASK;
}

static bool params_valid(const struct mmun_soft_params *params)
{
	return params->memory >= MIN_PAGES * MMUN_SOFT_PAGE_SIZE &&
	       params->mm_lock <= MMUN_SOFT_MM_LOCK_MARK;
}

static void init_lists(struct mmun_soft *soft)
{
	mmun_mutex_init(&soft->list_lock, MMUN_RANK_SOFT_LIST);
	mmun_mutex_init(&soft->all_locks, MMUN_RANK_SOFT_ALL_LOCKS);
	mmun_mutex_init(&soft->migrate_lock, MMUN_RANK_SOFT_MIGRATE);
	soft_list_init(&soft->mms);
	soft_list_init(&soft->files);
}

static void free_machine(struct mmun_soft *soft)
{
	mmun_mutex_destroy(&soft->migrate_lock);
	mmun_mutex_destroy(&soft->all_locks);
	mmun_mutex_destroy(&soft->list_lock);
	mmun_free(soft);
}

static int create_parts(struct mmun_soft *soft)
{
	int ret = mmun_soft_zone_create(soft);

	if (ret)
		return ret;
	ret = mmun_soft_swap_create(soft);
	if (ret)
		goto destroy_zone;
	ret = mmun_soft_ksm_create(soft);
	if (ret)
		goto destroy_swap;
	return 0;

destroy_swap:
	mmun_soft_swap_destroy(soft);
destroy_zone:
	mmun_soft_zone_destroy(soft);
	return ret;
}

int mmun_soft_create(const struct mmun_soft_params *params, struct mmun_soft **out)
{
	struct mmun_soft_params complete = { 0 };
	struct mmun_soft *soft;
	int ret;

	set_params(&complete, params);
	if (!params_valid(&complete))
		return -EINVAL;
	soft = mmun_alloc(sizeof(*soft));
	if (!soft)
		return -ENOMEM;
	soft->params = complete;
	init_lists(soft);
	ret = create_parts(soft);
	if (ret)
		free_machine(soft);
	else
		*out = soft;
	return ret;
}

int mmun_soft_destroy(struct mmun_soft *soft)
{
	bool busy;

	mmun_mutex_lock(&soft->list_lock);
	busy = soft->nr_mms || !soft_list_empty(&soft->files);
	mmun_mutex_unlock(&soft->list_lock);
	if (busy)
		return -EBUSY;
	mmun_soft_ksm_destroy(soft);
	mmun_soft_swap_destroy(soft);
	mmun_soft_zone_destroy(soft);
	free_machine(soft);
	return 0;
}

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
	soft_list_init(&sm->link);
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
	struct mmun_mm_params params = { .ops = &mmun_primary_soft };
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
	soft_list_add_tail(&sm->link, &sm->soft->mms);
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

struct mmun_soft *mmun_soft_of(const struct mm_struct *mm)
{
	return mmun_mm_ops(mm) == &mmun_primary_soft ? soft_mm(mm)->soft : NULL;
}

/* The one after @mm (NULL: the first) that is alive, with a user; @mm's is dropped. */
static struct mm_struct *next_mm(struct mmun_soft *soft, struct mm_struct *mm)
{
	struct soft_list *link = mm ? &soft_mm(mm)->link : &soft->mms;
	struct mm_struct *next = NULL;

	mmun_mutex_lock(&soft->list_lock);
	for (link = link->next; link != &soft->mms; link = link->next) {
		next = soft_container_of(link, struct soft_mm, link)->mm;
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

static void probe(struct mmun_probe *out)
{
	*out = (struct mmun_probe){ .available = true };
}

const struct mmun_primary_ops mmun_primary_soft = {
	.name = "soft",
	.summary = "software address spaces made by mmun_soft_create()",
	.probe = probe,
	.lock = mmun_soft_lock,
	.unlock = mmun_soft_unlock,
	.exit = mmun_soft_mm_exit,
	.destroy = mmun_soft_mm_destroy,
	/* It is the primary MMU itself, so whatever it can do is told before.  It has no
	 * System V segments, guard regions or poisoned pages. */
	.coverage = {
		[MMUN_OP_MUNMAP ... MMUN_OP_BRK] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MPROTECT ... MMUN_OP_MADV_DONTNEED_LOCKED] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_PAGEOUT ... MMUN_OP_MADV_UNMERGEABLE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_TRUNCATE ... MMUN_OP_DRIVER] = MMUN_COVERS_BEFORE,
	},
};
