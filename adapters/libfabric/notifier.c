/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/contract/adapters/fi.c. */
#include "notifier.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "atomic.h"
#include "reaper.h"
#include "say.h"
#include "shared.h"

/* Of the process and its ancestors; not wiped. */
static uint64_t generation;
static bool registered;

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	uint64_t number;

	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		return 0;
	lf_count(LF_SECTIONS, 1);
	number = lf_history_start(&lf_shared()->history, (unsigned long)range, range->start,
				  range->end);
	lf_reaper_news(number, range->start, range->end);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		return;
	lf_history_end(&lf_shared()->history, (unsigned long)range, range->start, range->end,
		       !(range->flags & MMUN_RANGE_UNCHANGED));
}

/* Of a process that goes on nevertheless (a failed execve) nothing is known any more: a
 * section of everything that does not end. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	lf_history_start(&lf_shared()->history, (unsigned long)mn, 0, ~0ul);
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
	.release = release,
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
};
static struct mmu_notifier notifier = { .ops = &ops };

uint64_t lf_generation(void)
{
	return mmun_load_relaxed(&generation);
}

static int start_locked(void)
{
	struct mm_struct *mm = mmun_self();
	int ret;

	if (!mm)
		return -ENOMEM;
	/* What a forked child has inherited is forgotten. */
	if (registered)
		mmu_notifier_unregister(&notifier, notifier.mm);
	registered = false;
	ret = mmu_notifier_register(&notifier, mm);
	if (ret)
		return ret;
	registered = true;
	mmun_add_full(&generation, 1);
	mmun_store_release(&lf_shared()->ready, 1u);
	return 0;
}

int lf_notifier_start(void)
{
	struct lf_shared *shared = lf_shared();
	int ret = 0;

	if (!shared)
		return -ENOMEM;
	pthread_mutex_lock(&shared->starting);
	if (!shared->ready)
		ret = start_locked();
	pthread_mutex_unlock(&shared->starting);
	return ret;
}

bool lf_notifier_probe(char *reason, char *remedy, size_t size)
{
	const struct mmun_primary_ops *source;
	struct mmun_probe probe = { .available = true };
	unsigned int i;

	for (i = 0; (source = mmun_source_at(i)); i++) {
		if (!strcmp(source->name, "self"))
			source->probe(&probe);
	}
	snprintf(reason, size, "%s", probe.reason);
	snprintf(remedy, size, "%s", probe.remedy);
	return probe.available;
}
