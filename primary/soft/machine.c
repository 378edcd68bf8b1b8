/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine: its parts in the order in which they depend on each other, and its
 * counters.
 *
 * I1  Creation either gives everything or leaves nothing.
 * I2  Each counter is read atomically; together they are of one moment only while nothing
 *     happens.
 *
 * Not here: the address spaces (mm.c).  Tests: tests/unit/soft/process.c.
 */
#include <errno.h>

#include "alloc.h"
#include "call/call.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "machine.h"
#include "mm.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "vma/vma.h"

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
	mmun_dlist_init(&soft->mms);
	mmun_dlist_init(&soft->files);
}

static void free_machine(struct mmun_soft *soft)
{
	mmun_mutex_destroy(&soft->all_locks);
	mmun_mutex_destroy(&soft->list_lock);
	mmun_free(soft);
}

static int create_parts(struct mmun_soft *soft)
{
	int ret = mmun_soft_bytes_create(soft);

	if (ret)
		return ret;
	ret = mmun_soft_zone_create(soft);
	if (ret)
		goto destroy_bytes;
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
destroy_bytes:
	mmun_soft_bytes_destroy(soft);
	return ret;
}

static const struct soft_upcalls upcalls = {
	.primary = &mmun_primary_soft,
	.reclaim = mmun_soft_reclaim,
	.anon_put = mmun_soft_anon_put,
	.ksm_forget = mmun_soft_ksm_forget,
	.leave_device = mmun_soft_leave_device,
};

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
	soft->upcalls = &upcalls;
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
	busy = soft->nr_mms || !mmun_dlist_empty(&soft->files);
	mmun_mutex_unlock(&soft->list_lock);
	if (busy)
		return -EBUSY;
	mmun_soft_ksm_destroy(soft);
	mmun_soft_swap_destroy(soft);
	mmun_soft_device_destroy(soft);
	mmun_soft_zone_destroy(soft);
	mmun_soft_bytes_destroy(soft);
	free_machine(soft);
	return 0;
}

struct mmun_soft *mmun_soft_of(const struct mm_struct *mm)
{
	return mmun_mm_ops(mm) == &mmun_primary_soft ? soft_mm(mm)->soft : NULL;
}

void mmun_soft_stats(struct mmun_soft *soft, struct mmun_soft_stats *out)
{
	*out = (struct mmun_soft_stats){ 0 };
#define COPY_STAT(name, text) out->name = mmun_load_relaxed(&soft->stats.name);
	MMUN_SOFT_STATS(COPY_STAT)
#undef COPY_STAT
	mmun_soft_zone_stats(soft, out);
	mmun_soft_swap_stats(soft, out);
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
	.checks_mmap_lock = true,
	.flushes_secondary_tlbs = true,
	/* It is the primary MMU itself, so it notifies before whatever it can do.  It has no
	 * System V segments, guard regions or poisoned pages. */
	.coverage = {
		[MMUN_OP_MUNMAP ... MMUN_OP_BRK] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MPROTECT ... MMUN_OP_MADV_DONTNEED_LOCKED] = MMUN_COVERS_BEFORE,
		[MMUN_OP_MADV_PAGEOUT ... MMUN_OP_MADV_UNMERGEABLE] = MMUN_COVERS_BEFORE,
		[MMUN_OP_TRUNCATE ... MMUN_OP_DRIVER] = MMUN_COVERS_BEFORE,
	},
};
