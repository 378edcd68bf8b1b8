/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One redirected system call: gate and start before it, end and gate after it.
 * The call itself is made by entry.S between the two, on no C frame: a return
 * address that was pushed before a system call is mispredicted after it.
 *
 * Runs on the program's stack with any lock of the program held, in any
 * thread, in signal handlers, before main and after the exit handlers.  So: no
 * allocation, no lock, no call into libc, errno untouched; the only wait is for
 * a registration in progress (the closed gate), which itself waits for nobody
 * but the threads inside.  Compiled without vector instructions.
 *
 * A notifier that refuses (-EAGAIN) makes the call fail with EAGAIN: nothing
 * changes behind a secondary MMU's back.  Tests: tests/contract, tests/torture.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "call.h"
#include "state.h"

struct section {
	struct mm_struct *mm;
	const struct mmun_call *call;
	struct mmun_regs *regs;
	int nr;
	struct mmun_reader reader;
	int opened;
	int cancel;
	bool uncancellable;
	struct mmun_origin origin;
	struct mmun_change change;
	struct mmu_notifier_range ranges[MMUN_MAX_RANGES];
};
_Static_assert(sizeof(struct section) <= MMUN_SECTION_SIZE, "entry.S reserves the space");

static int start_ranges(struct section *section, const struct mmun_change *change)
{
	for (int i = 0; i < change->nr_ranges; i++) {
		struct mmu_notifier_range *range = &section->ranges[i];
		int ret;

		range->mm = section->mm;
		range->start = change->range[i].start;
		range->end = change->range[i].end;
		range->flags = change->flags | MMUN_RANGE_READ_LOCKED;
		range->event = change->event;
		range->owner = NULL;
		range->origin = &section->origin;
		ret = mmu_notifier_invalidate_range_start_nonblock(range);
		if (ret)
			return ret;
		section->opened = i + 1;
	}
	return 0;
}

/* The reverse order: sections nest. */
static void end_ranges(struct section *section)
{
	while (section->opened) {
		section->opened--;
		mmu_notifier_invalidate_range_end(&section->ranges[section->opened]);
	}
}

/* Also where nobody listens: a thread cancelled in the call would never leave
 * the gate. */
static void enter(struct section *section)
{
	section->uncancellable = section->call->is_cancellation_point ||
				 mm_has_notifiers(section->mm);
	if (section->uncancellable)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &section->cancel);
	mmun_mm_read_lock(section->mm, &section->reader);
	/* The first registration may have gone by meanwhile. */
	if (!section->uncancellable && mm_has_notifiers(section->mm)) {
		section->uncancellable = true;
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &section->cancel);
	}
}

/* A pending cancellation is acted on here, with nothing held. */
static void leave(struct section *section)
{
	mmun_mm_read_unlock(section->mm, &section->reader);
	if (section->uncancellable)
		pthread_setcancelstate(section->cancel, NULL);
}

static void mark_unchanged(struct section *section, long result)
{
	const struct mmun_call *call = section->call;

	for (int i = 0; i < section->opened; i++) {
		bool unchanged = call->unchanged ?
			call->unchanged(section->regs->args, result, i, &section->change) :
			mmun_failed_cleanly(result);

		if (unchanged)
			section->ranges[i].flags |= MMUN_RANGE_UNCHANGED;
	}
}

/*
 * Mappings of the file that appeared while it was shortened: whoever looked
 * one up may hold a page that is gone.  Told before the call returns.
 */
static void tell_late_mappings(struct section *section)
{
	struct mmun_change now = section->change, late = now;

	now.nr_ranges = late.nr_ranges = 0;
	mmun_add_file_mappings(&now);
	for (int i = 0; i < now.nr_ranges; i++)
		if (!mmun_change_covers(&section->change, now.range[i].start, now.range[i].end))
			mmun_change_add(&late, now.range[i].start, now.range[i].end);
	start_ranges(section, &late);
	end_ranges(section);
}

/* A notifier said no: nothing happens, and those who had agreed hear so. */
static void refuse(struct section *section, int error)
{
	for (int i = 0; i < section->opened; i++)
		section->ranges[i].flags |= MMUN_RANGE_UNCHANGED;
	section->origin.result = error;
	end_ranges(section);
	section->regs->nr = section->change.refusal;
}

/* Open the ranges of a call that somebody wants to hear of. */
static int tell_start(struct section *section)
{
	const struct mmun_regs *regs = section->regs;
	int ret;

	section->origin.op = section->change.op;
	section->origin.nr = section->nr;
	section->origin.result = 0;
	section->origin.args = regs->args;
	section->origin.pc = regs->resume;
	section->origin.sp = (unsigned long)regs->stack;
	ret = start_ranges(section, &section->change);
	if (ret)
		refuse(section, ret);
	return ret;
}

/* Returns what mmun_self_before() does. */
static long open_section(void *arg)
{
	struct section *section = arg;
	const struct mmun_call *call = section->call;
	int saved_errno = errno, ret = MMUN_TOLD;

	enter(section);
	/* Where nobody listens the call itself still counts, see the gate. */
	if (!mm_has_notifiers(section->mm))
		section->change.nr_ranges = section->change.by_file = 0;
	else if (call->walks && !call->describe(section->regs->args, &section->change))
		ret = MMUN_UNNOTICED;
	else if (tell_start(section))
		ret = MMUN_REFUSED;
	if (ret != MMUN_TOLD)
		leave(section);
	errno = saved_errno;
	return ret;
}

static void tell_end(struct section *section)
{
	long result = section->regs->nr;

	section->origin.result = result;
	mark_unchanged(section, result);
	end_ranges(section);
	if (section->change.by_file && result >= 0)
		tell_late_mappings(section);
}

/* What the linker and other patchers do to text concerns us as well. */
static void watch_text(struct section *section)
{
	const struct mmun_regs *regs = section->regs;
	const unsigned long *args = regs->args;

	if ((long)regs->nr < 0 && (long)regs->nr > -4096)
		return;
	if (section->nr == SYS_mprotect)
		mmun_self_protected(regs->site, args[0], mmun_page_up(args[0] + args[1]),
				    args[2]);
	else if (section->nr == SYS_munmap)
		mmun_self_unmapped(args[0], mmun_page_up(args[0] + args[1]));
	else if (section->nr == SYS_mmap && regs->site->in_linker && args[2] & PROT_EXEC &&
		 (int)args[4] >= 0)
		mmun_self_linker_mapped(args[4]);
}

static long close_section(void *arg)
{
	struct section *section = arg;
	int saved_errno = errno;

	if (section->change.nr_ranges || section->change.by_file)
		tell_end(section);
	leave(section);
	watch_text(section);
	errno = saved_errno;
	return 0;
}

/* The code around a site may hold values in vector registers. */
static inline long keeping_vectors(long (*fn)(void *), struct section *section)
{
	return mmun_likely(section->regs->site->vectors_dead) ?
		fn(section) : mmun_self_vectors_saved(fn, section);
}

int mmun_self_before(struct mmun_regs *regs, void *space)
{
	struct section *section = space;
	int nr = regs->site->nr >= 0 ? regs->site->nr : (int)regs->nr;
	const struct mmun_call *call = mmun_call_of(nr);
	struct mm_struct *mm = mmun_self_mm();

	if (mmun_unlikely(!call)) {
		if (nr == SYS_exit_group)
			mmun_self_exit(regs);
		else
			mmun_self_exec(regs, nr);
		return MMUN_UNNOTICED;
	}
	section->change.nr_ranges = 0;
	section->change.flags = 0;
	section->change.refusal = -EAGAIN;
	section->change.by_file = false;
	if (!mm || (call->concerns && !call->concerns(regs->args)) ||
	    (!call->walks && !call->describe(regs->args, &section->change)))
		return MMUN_UNNOTICED;
	section->mm = mm;
	section->call = call;
	section->regs = regs;
	section->nr = nr;
	section->opened = 0;
	regs->nr = nr;
	return keeping_vectors(open_section, section);
}

void mmun_self_after(struct mmun_regs *regs, void *space)
{
	keeping_vectors(close_section, space);
}
