/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/rmap/anon_vma.c: the part that anon_vmas play in merging, as Linux 6.18
 * answered; what fork makes of them; failures.  Finding pages by them: rmap.c.
 */
#include "family.h"

static void test_merge_neighbours(struct mmun_soft *soft)
{
	struct mm_struct *mm = soft_new_mm(soft);

	map_at(mm, 0, 2, RW);
	protect(mm, 1, RW | PROT_EXEC);
	touch(mm, 0);
	touch(mm, 1);
	protect(mm, 1, RW);
	is(count_maps(mm), 1, "a neighbour's anon_vma is taken, so the two merge later");
	mmun_soft_munmap(mm, base, 1ul << 20);

	map_at(mm, 0, 1, RW);
	touch(mm, 0);
	map_at(mm, 2, 1, RW);
	touch(mm, 2);
	map_at(mm, 1, 1, RW);
	is(count_maps(mm), 2, "two anon_vmas of their own do not merge");
	mmun_soft_munmap(mm, base, 1ul << 20);

	map_at(mm, 0, 1, RW);
	map_at(mm, 1, 1, RW | PROT_EXEC);
	touch(mm, 1);
	protect(mm, 1, RW);
	is(count_maps(mm), 1, "the one that has none takes the other's");
	mmput(mm);
}

static void test_merge_inherited(struct mmun_soft *soft)
{
	struct mm_struct *mm = soft_new_mm(soft), *child;

	map_at(mm, 0, 1, RW);
	touch(mm, 0);
	child = forked(mm);
	map_at(child, 1, 1, RW);
	is(count_maps(child), 2, "an inherited anon_vma takes nobody in");
	map_at(mm, 1, 1, RW);
	is(count_maps(mm), 1, "the parent's does");
	mmput(child);
	mmun_soft_munmap(mm, base, 1ul << 20);

	map_at(mm, 0, 2, RW);
	touch(mm, 0);
	child = forked(mm);
	protect(child, 1, PROT_READ);
	is(count_maps(child), 2, "an inherited one is split");
	protect(child, 1, RW);
	is(count_maps(child), 1, "and the halves merge again");
	mmput(child);
	mmun_soft_munmap(mm, base, 1ul << 20);

	map_at(mm, 0, 1, RW);
	map_at(mm, 1, 1, RW | PROT_EXEC);
	touch(mm, 1);
	child = forked(mm);
	protect(child, 1, RW);
	is(count_maps(child), 2, "nobody takes an inherited one");
	mmput(child);
	child = forked(mm);
	touch(child, 1);
	touch(child, 0);
	protect(child, 1, RW);
	is(count_maps(child), 2, "also after both were written to");
	mmput(child);
	mmput(mm);
}

/* Each generation forks the next and exits: what is kept does not grow. */
static void test_lineage(struct mmun_soft *soft)
{
	struct mm_struct *mm = soft_new_mm(soft), *child;
	long after_some = 0;

	map_at(mm, 0, 1, RW);
	for (int generation = 0; generation < 200; generation++) {
		touch(mm, 0);
		child = forked(mm);
		mmput(mm);
		mm = child;
		if (generation == 20)
			after_some = mmun_alloc_live();
	}
	ok(mmun_alloc_live() <= after_some,
	   "the anon_vmas of ancestors that exited are used again");
	is(soft_peek(mm, base), 1, "the page is still there");
	mmput(mm);
}

static void test_fork_failures(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(NULL);
	struct mm_struct *mm = soft_new_mm(soft), *child, *grandchild;
	int failures = 0, ret;

	map_at(mm, 0, 2, RW);
	touch(mm, 0);
	child = forked(mm);
	touch(child, 1);
	for (long nth = 1;; nth++) {
		fail_allocation(nth);
		ret = mmun_soft_mm_fork(child, &grandchild);
		fail_allocation(0);
		if (!ret)
			break;
		failures += ret == -ENOMEM;
	}
	ok(failures > 5, "fork may fail at each of %d allocations", failures);
	is(soft_peek(grandchild, base), 1, "and then succeeds");
	mmput(mm);
	mmput(child);
	is(soft_peek(grandchild, base + PAGE), 2, "a grandchild outlives its ancestors");
	mmput(grandchild);
	soft_gone(soft, live);
}

/* The first write, and a split: nothing is left of what could not be done. */
static void test_prepare_failures(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(NULL);
	struct mm_struct *mm = soft_new_mm(soft);
	struct mmun_soft_fault fault;
	unsigned long word = 1;
	int failures = 0, ret;

	map_at(mm, 0, 3, RW);
	for (long nth = 1;; nth++) {
		fail_allocation(nth);
		ret = mmun_soft_write(mm, base, &word, sizeof(word), &fault);
		fail_allocation(0);
		if (!ret)
			break;
		failures += ret == -ENOMEM && fault.address == base;
	}
	ok(failures >= 3, "the first write may fail at each of %d allocations", failures);
	failures = 0;
	for (long nth = 1;; nth++) {
		/* A change that fails may have split already, as in Linux: begin anew. */
		map_at(mm, 0, 3, RW);
		touch(mm, 0);
		fail_allocation(nth);
		ret = mmun_soft_mprotect(mm, base + PAGE, PAGE, PROT_READ);
		fail_allocation(0);
		if (!ret)
			break;
		failures += ret == -ENOMEM && soft_peek(mm, base) == 1;
	}
	ok(failures >= 4, "a split may fail at each of %d allocations", failures);
	is(count_maps(mm), 3, "and then succeeds");
	mmput(mm);
	soft_gone(soft, live);
}

int main(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(NULL);

	test_merge_neighbours(soft);
	test_merge_inherited(soft);
	test_lineage(soft);
	soft_gone(soft, live);
	test_prepare_failures();
	test_fork_failures();
	return tap_done();
}
