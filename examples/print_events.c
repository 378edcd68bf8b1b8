/* cc -o print_events print_events.c $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Register a notifier on the running process and print what it saw.
 *
 * The callbacks run inside the program's own munmap() and friends, perhaps
 * inside free() with the allocator's lock held.  So they only note the event
 * in memory that exists already; main() prints.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

static struct {
	enum mmun_op op;
	enum mmu_notifier_event event;
	unsigned long start, end;
	int unchanged;
} seen[256];
static unsigned int nr_seen;

static const char *const classes[MMUN_NR_EVENTS] = {
	"unmap",      "clear",   "protection-vma", "protection-page",
	"soft-dirty", "release", "migrate",        "exclusive",
};

static int on_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	(void)range; /* here a secondary MMU stops using its translations of the range */
	return 0;
}

static void on_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	unsigned int i = __atomic_fetch_add(&nr_seen, 1, __ATOMIC_RELAXED);

	(void)mn;
	if (i >= sizeof(seen) / sizeof(seen[0]))
		return;
	seen[i].op = range->origin ? range->origin->op : MMUN_OP_NONE;
	seen[i].event = range->event;
	seen[i].start = range->start;
	seen[i].end = range->end;
	seen[i].unchanged = !!(range->flags & MMUN_RANGE_UNCHANGED);
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start = on_start,
	.invalidate_range_end = on_end,
};

static void change_some_memory(void)
{
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	void *volatile big; /* or the compiler leaves malloc and free out */

	if (p == MAP_FAILED)
		return;
	madvise(p, 4096, MADV_DONTNEED);
	mprotect(p, 8192, PROT_READ);
	munmap(p, 1 << 20);
	big = malloc(64 << 20);
	free(big); /* the C library unmaps it inside free() */
}

int main(void)
{
	static struct mmu_notifier mn = { .ops = &ops };
	struct mm_struct *mm = mmun_self();
	int error = mm ? mmu_notifier_register(&mn, mm) : -1;

	if (error) {
		fprintf(stderr, "cannot register: %s ('mmunotify probe' says why)\n",
			strerror(-error));
		return 1;
	}
	change_some_memory();
	mmu_notifier_unregister(&mn, mm);

	for (unsigned int i = 0; i < nr_seen && i < sizeof(seen) / sizeof(seen[0]); i++)
		printf("%-18s %-16s %#lx-%#lx%s\n", mmun_op_name(seen[i].op),
		       classes[seen[i].event], seen[i].start, seen[i].end,
		       seen[i].unchanged ? "  (changed nothing)" : "");
	return nr_seen ? 0 : 1;
}
