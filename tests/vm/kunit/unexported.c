/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions that KUnit calls and a kernel without it does not export, by their names. */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

static void *address_of(const char *name)
{
	struct kprobe probe = { .symbol_name = name };
	int ret = register_kprobe(&probe);

	if (ret) {
		pr_err("kunit: there is no %s: %d\n", name, ret);
		return NULL;
	}
	unregister_kprobe(&probe);
	return probe.addr;
}

struct mm_struct *mm_alloc(void)
{
	struct mm_struct *(*real)(void) = address_of("mm_alloc");

	return real ? real() : NULL;
}

void arch_pick_mmap_layout(struct mm_struct *mm, struct rlimit *stack)
{
	void (*real)(struct mm_struct * mm, struct rlimit * stack) =
		address_of("arch_pick_mmap_layout");

	if (real)
		real(mm, stack);
}
