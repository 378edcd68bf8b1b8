/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * linux/mmu_notifier_v15.h over the chain of today.
 *
 * I1  Each section reaches a driver that can be reached by ->invalidate_page alone: page by
 *     page, at its start, so that nothing is used of what is freed inside it, and at
 *     its end, so that nothing is kept that was looked up inside it.
 * I2  A section that somebody opens by addresses is found again by the same addresses, the
 *     last such one first.
 *
 * Tests: tests/contract/compat/v15.c, examples/v15_driver/window_test.c.
 */
#include "runtime.h"

#include <linux/mmu_notifier_v15.h>

#undef mmu_notifier
#undef mmu_notifier_ops
#undef mmu_notifier_register
#undef __mmu_notifier_register
#undef mmu_notifier_unregister
#undef mmu_notifier_invalidate_range_start
#undef mmu_notifier_invalidate_range_end

static struct mmun_v15_notifier *v15(struct mmu_notifier *mn)
{
	return container_of(mn, struct mmun_v15_notifier, chain);
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	if (v15(mn)->ops->release)
		v15(mn)->ops->release(v15(mn), mm);
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	const struct mmun_v15_ops *ops = v15(mn)->ops;
	int young = 0;

	for (; ops->clear_flush_young && start < end; start += PAGE_SIZE)
		young |= ops->clear_flush_young(v15(mn), mm, start);
	return young;
}

static void invalidate_page(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	if (v15(mn)->ops->invalidate_page)
		v15(mn)->ops->invalidate_page(v15(mn), mm, address);
}

/* I1 */
static void invalidate_pages(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct mmun_v15_ops *ops = v15(mn)->ops;

	if (ops->invalidate_range_start || !ops->invalidate_page)
		return;
	for (unsigned long at = range->start; at < range->end; at += PAGE_SIZE)
		ops->invalidate_page(v15(mn), range->mm, at);
}

static int start_section(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct mmun_v15_ops *ops = v15(mn)->ops;

	if (ops->invalidate_range_start && !mmu_notifier_range_blockable(range) &&
	    !(range->flags & MMUN_RANGE_NOT_REFUSABLE))
		return -EAGAIN;
	if (ops->invalidate_range_start)
		ops->invalidate_range_start(v15(mn), range->mm, range->start, range->end);
	invalidate_pages(mn, range);
	return 0;
}

static void end_section(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct mmun_v15_ops *ops = v15(mn)->ops;

	if (ops->invalidate_range_end)
		ops->invalidate_range_end(v15(mn), range->mm, range->start, range->end);
	invalidate_pages(mn, range);
}

static const struct mmu_notifier_ops chain_ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.invalidate_page = invalidate_page,
	.invalidate_range_start = start_section,
	.invalidate_range_end = end_section,
};

static int check(struct mmun_v15_notifier *mn)
{
	might_sleep();
	if (!mn->ops)
		return -EINVAL;
	mn->chain.ops = &chain_ops;
	return 0;
}

int mmun_v15_register(struct mmun_v15_notifier *mn, struct mm_struct *mm)
{
	int ret = check(mn);

	return ret ? ret : mmu_notifier_register(&mn->chain, mm);
}

int mmun_v15_register_locked(struct mmun_v15_notifier *mn, struct mm_struct *mm)
{
	int ret = check(mn);

	return ret ? ret : __mmu_notifier_register(&mn->chain, mm);
}

void mmun_v15_unregister(struct mmun_v15_notifier *mn, struct mm_struct *mm)
{
	might_sleep();
	mmu_notifier_unregister(&mn->chain, mm);
}

/* I2 */
struct section {
	struct mmu_notifier_range range;
	struct section *outer;
};

static __thread struct section *sections;

void mmun_v15_start(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct section *s = (struct section *)calloc(1, sizeof(*s));

	might_sleep();
	if (!s)
		mmun_compat_broken("no memory for a section");
	mmu_notifier_range_init(&s->range, MMU_NOTIFY_UNMAP, 0, mm, start, end);
	s->outer = sections;
	sections = s;
	/* Blockable: nobody refuses. */
	(void)!mmu_notifier_invalidate_range_start(&s->range);
}

void mmun_v15_end(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct section **link = &sections, *s;

	while ((s = *link) && (s->range.mm != mm || s->range.start != start || s->range.end != end))
		link = &s->outer;
	if (!s)
		mmun_compat_broken("a section ends that this thread has not begun");
	*link = s->outer;
	mmu_notifier_invalidate_range_end(&s->range);
	free(s);
}
