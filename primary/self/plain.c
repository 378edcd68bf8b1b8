/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls that programs make most, the short way: munmap, mprotect and MADV_DONTNEED,
 * made by functions of the C library that do nothing else.  One range, which follows
 * from the arguments alone; the section of it is the read section.  Whatever is unusual
 * goes the way of all others (section.c), whose rules I1 to I3 hold here as well.
 *
 * Every instruction counts: around a system call each costs about 0.1 ns.
 * Tests: tests/contract/{operations,edges,blocked}.c.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "call.h"
#include "cancel.h"
#include "state.h"

/* This file is not instrumented. */
#if MMUN_CORE_IS_INSTRUMENTED
#define MMUN_LIST_WAS_LOADED(list) mmun_self_acquired(list)
#endif
#include "section.h"

struct plain {
	struct mmu_notifier_range range;
	struct mmun_origin origin;
	int saved_errno;
	struct mmun_cancel cancel;
};
_Static_assert(sizeof(struct plain) <= MMUN_SECTION_SIZE, "entry.S reserves the space");

#define APART static __attribute__((noinline, cold))

bool mmun_self_is_plain(struct mmun_site *site)
{
	if (site->kind != MMUN_SITE_FIXED || !site->vectors_dead || site->in_linker)
		return false;
	switch (site->nr) {
	case SYS_munmap:
		site->plain = (struct mmun_plain_call){
			.op = MMUN_OP_MUNMAP,
			.nr = SYS_munmap,
			.event = MMU_NOTIFY_UNMAP,
		};
		return true;
	case SYS_madvise:
		site->plain = (struct mmun_plain_call){
			.op = MMUN_OP_MADV_DONTNEED,
			.nr = SYS_madvise,
			.event = MMU_NOTIFY_CLEAR,
			.mask = -1UL,
			.value = MADV_DONTNEED,
		};
		return true;
	case SYS_mprotect:
		site->plain = (struct mmun_plain_call){
			.op = MMUN_OP_MPROTECT,
			.nr = SYS_mprotect,
			.flags = MMUN_RANGE_PINNED_SAFE,
			.event = MMU_NOTIFY_PROTECTION_VMA,
			.mask = PROT_GROWSDOWN | PROT_GROWSUP,
		};
		return true;
	default:
		return false;
	}
}

static __attribute__((noinline)) void restore_cancellation(const struct plain *plain)
{
	mmun_cancel_restore(&plain->cancel);
}

/* Where nobody listens nobody needs more than the read section. */
static inline void open_section(struct plain *plain, struct mm_struct *mm)
{
	plain->range.mm = mm;
	plain->range.section.reader = srcu_read_lock(&mm->srcu);
	plain->range.section.head = NULL;
	plain->range.section.interval = NULL;
}

static inline struct mmu_notifier_mm *find_chain(struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_load_acquire(&mm->mmu_notifier_mm);

#if MMUN_CORE_IS_INSTRUMENTED
	if (chain)
		mmun_self_acquired(&mm->mmu_notifier_mm);
#endif
	return chain;
}

static inline void describe(struct plain *plain, const struct mmun_regs *regs)
{
	const struct mmun_plain_call *call = &regs->site->plain;

	plain->range.start = regs->args[0];
	plain->range.end = mmun_page_up(regs->args[0] + regs->args[1]);
	plain->range.flags = call->flags | MMUN_RANGE_NOT_CANCELLED;
	plain->range.event = call->event;
	plain->range.owner = NULL;
	plain->range.origin = &plain->origin;
	plain->origin.op = call->op;
	plain->origin.nr = call->nr;
	plain->origin.result = 0;
	plain->origin.args = regs->args;
	plain->origin.pc = regs->resume;
	plain->origin.sp = (unsigned long)regs->stack;
	plain->saved_errno = *mmun_self_errno();
}

/* Others may cancel this thread, or there is text about. */
static __attribute__((noinline)) int before_carefully(struct mmun_regs *regs, struct plain *plain)
{
	unsigned long start = regs->args[0], end = mmun_page_up(start + regs->args[1]);
	struct mm_struct *mm = mmun_self_mm();
	struct mmu_notifier_mm *chain;

	if (mmun_self_may_be_text(regs->site, start, end))
		return MMUN_NOT_PLAIN;
	mmun_cancel_defer(&plain->cancel);
	open_section(plain, mm);
	chain = find_chain(mm);
	if (!chain || mmun_mm_copied(mm))
		return 0;
	describe(plain, regs);
	if (mmun_load_relaxed(&mm->cancellable))
		mmun_cancel_disable(&plain->cancel);
	return mmun_start_heard(chain, &plain->range);
}

/* Bits that the address of a page does not have.  (With linear address masking it may: then
 * this is not for us.) */
#define NOT_OF_A_PAGE (~MMUN_PAGE_MASK | 0xffUL << 56)

int mmun_self_plain_before(struct mmun_regs *regs, void *space)
{
	const struct mmun_plain_call *call = &regs->site->plain;
	unsigned long start = regs->args[0], size = regs->args[1];
	struct mm_struct *mm = mmun_self_mm();
	struct mmu_notifier_mm *chain;
	struct plain *plain = space;

	if (mmun_unlikely(!mm || start & NOT_OF_A_PAGE || (size - 1) >> 56 ||
			  (regs->args[2] & call->mask) != call->value))
		return MMUN_NOT_PLAIN;
	/* It may take away what it would come back to: section.c.  (The size is in bytes.) */
	if (mmun_unlikely(start < (unsigned long)regs->stack &&
			  start + size > (unsigned long)space - MMUN_PAGE_SIZE))
		return MMUN_NOT_PLAIN;
	if (mmun_unlikely(!__libc_single_threaded || mmun_self_is_watched(start, start + size)))
		return before_carefully(regs, plain);
	plain->cancel.alone = true;
	open_section(plain, mm);
	chain = find_chain(mm);
	if (!chain || mmun_unlikely(mmun_mm_copied(mm)))
		return 0;
	describe(plain, regs);
	return mmun_start_heard(chain, &plain->range);
}

int mmun_self_plain_refused(struct mmun_regs *regs, void *space)
{
	struct plain *plain = space;

	if (mmun_self_is_refusable(regs)) {
		*mmun_self_errno() = plain->saved_errno;
		if (!plain->cancel.alone)
			restore_cancellation(plain);
		regs->nr = -EAGAIN;
		return MMUN_REFUSED;
	}
	plain->range.flags |= MMUN_RANGE_NOT_REFUSABLE;
	mmu_notifier_invalidate_range_start_nonblock(&plain->range);
	return MMUN_NOTIFIED;
}

/* Whether a call has failed before it changed anything may need a look at the mappings. */
APART void look_at_failure(struct plain *plain)
{
	if (mmun_self_left_unchanged(&plain->origin))
		plain->range.flags |= MMUN_RANGE_UNCHANGED;
}

void mmun_self_plain_after(struct mmun_regs *regs, void *space)
{
	struct plain *plain = space;
	struct mmu_notifier_range *range = &plain->range;
	struct mm_struct *mm = range->mm;

	if (mmun_unlikely(mmun_mm_copied(mm))) {
		/* A signal handler has forked, and this is the child. */
	} else if (range->section.head || range->section.interval) {
		plain->origin.result = (long)regs->nr;
		if (mmun_unlikely(regs->nr))
			look_at_failure(plain);
		mmun_end_heard(mmun_load_acquire(&mm->mmu_notifier_mm), range);
		*mmun_self_errno() = plain->saved_errno;
	} else {
		srcu_read_unlock(&mm->srcu, &range->section.reader);
	}
	if (mmun_unlikely(!plain->cancel.alone))
		restore_cancellation(plain);
}
