/* cc -o singleton singleton.c $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One notifier per address space however many users: mmu_notifier_get() and
 * mmu_notifier_put().
 *
 * The first get allocates through ->alloc_notifier, later ones share it; the
 * last put frees it through ->free_notifier after a grace period.  put does not
 * call ->release: the user drops its translations first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

struct context {
	struct mmu_notifier mn;
	unsigned long sections;
};

static int nr_allocated, nr_freed;

static struct mmu_notifier *context_alloc(struct mm_struct *mm)
{
	struct context *context = calloc(1, sizeof(*context));

	(void)mm;
	if (!context)
		return mmun_err_ptr(-12 /* -ENOMEM */);
	nr_allocated++;
	return &context->mn; /* ops are set by mmu_notifier_get() */
}

/* Runs after a grace period, perhaps in another thread; must not sleep. */
static void context_free(struct mmu_notifier *mn)
{
	free(mn); /* the context's first member */
	__atomic_add_fetch(&nr_freed, 1, __ATOMIC_SEQ_CST);
}

static int context_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)range;
	__atomic_add_fetch(&((struct context *)mn)->sections, 1, __ATOMIC_RELAXED);
	return 0;
}

static const struct mmu_notifier_ops context_ops = {
	.invalidate_range_start = context_start,
	.alloc_notifier = context_alloc,
	.free_notifier = context_free,
};

int main(void)
{
	struct mm_struct *mm = mmun_self();
	struct mmu_notifier *first, *second;

	if (!mm)
		return 1;
	first = mmu_notifier_get(&context_ops, mm);
	if (mmun_is_err(first)) {
		fprintf(stderr, "cannot get a notifier: %s ('mmunotify probe' says why)\n",
			strerror(-mmun_ptr_err(first)));
		return 1;
	}
	second = mmu_notifier_get(&context_ops, mm);
	if (first != second) {
		fprintf(stderr, "two notifiers for one address space\n");
		return 1;
	}
	mmu_notifier_put(second);
	mmu_notifier_put(first);
	mmu_notifier_synchronize(); /* every ->free_notifier has run */

	printf("%d allocated, %d freed\n", nr_allocated, nr_freed);
	return nr_allocated == 1 && nr_freed == 1 ? 0 : 1;
}
