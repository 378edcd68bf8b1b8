/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One redirected system call: a read section of the mm and the starts before it, the
 * ends and the end of the read section after it.  The call itself is made by entry.S
 * between the two, on no C frame: a return address that was pushed before a system call
 * is mispredicted after it.
 *
 * Runs on the program's stack with any lock of the program held, in any thread, in
 * signal handlers, before main and after the exit handlers.  So: no allocation, no lock,
 * no wait, no call into libc (but those that stop cancellation), errno untouched.  Compiled
 * without vector instructions.
 *
 * I1  Between the registers that entry.S saves and the callbacks a call takes at most
 *     1 KiB of the program's stack, if it has one or two ranges, and 2 KiB otherwise.
 *     What takes more (walks over mappings, late patching, vector registers) has a stack
 *     of its own (stack.c); where there is none, the whole address space is notified.
 * I2  A thread inside is not cancelled (cancel.h).
 * I3  A notifier that refuses (-EAGAIN) makes the call fail with EAGAIN, if the program
 *     itself has made the call: nothing changes behind a secondary MMU's back.  The C
 *     library ends the process when it cannot give memory back; so its own calls
 *     are not refused, and the notifiers hear that (MMUN_RANGE_NOT_REFUSABLE).
 * Tests: tests/contract, tests/torture.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "call.h"
#include "cancel.h"
#include "state.h"
#include "strict.h"

/* Ranges of a call that does not walk. */
#define FEW 2

struct section {
	struct mm_struct *mm;
	const struct mmun_call *call;
	struct mmun_regs *regs;
	struct mmun_reader reader;
	int nr;
	int opened;
	struct mmun_cancel cancel;
	bool heard;
	struct mmun_origin origin;
	struct mmun_change change;
	/* FEW, or MMUN_MAX_RANGES where it walks. */
	struct mmu_notifier_range ranges[];
};
#define SIZE_WITH(n) (sizeof(struct section) + (n) * sizeof(struct mmu_notifier_range))
_Static_assert(SIZE_WITH(FEW) <= MMUN_SECTION_SIZE, "entry.S reserves the space");
_Static_assert(SIZE_WITH(MMUN_MAX_RANGES) <= MMUN_WALK_SECTION_SIZE, "so it does here");

#define APART static __attribute__((noinline, cold))

static inline bool is_error(long result)
{
	return mmun_unlikely((unsigned long)result >= -4095UL);
}

static int start_ranges(struct section *section, unsigned int flags)
{
	const struct mmun_change *change = &section->change;

	for (int i = 0; i < change->nr_ranges; i++) {
		struct mmu_notifier_range *range = &section->ranges[i];
		int ret;

		*range = (struct mmu_notifier_range){
			.mm = section->mm,
			.start = change->range[i].start,
			.end = change->range[i].end,
			.flags = change->flags | flags | MMUN_RANGE_READ_LOCKED,
			.event = change->event,
			.origin = &section->origin,
		};
		ret = mmu_notifier_invalidate_range_start_nonblock(range);
		if (mmun_unlikely(ret))
			return ret;
		section->opened = i + 1;
	}
	return 0;
}

/* The reverse order: sections nest. */
static inline void end_ranges(struct section *section)
{
	while (section->opened) {
		section->opened--;
		mmu_notifier_invalidate_range_end(&section->ranges[section->opened]);
	}
}

/* Returns whether anybody listens. */
static inline bool enter(struct section *section)
{
	mmun_cancel_defer(&section->cancel);
	mmun_mm_read_lock(section->mm, &section->reader);
	section->heard = mm_has_notifiers(section->mm);
	if (section->heard)
		mmun_cancel_disable(&section->cancel);
	return section->heard;
}

static inline void leave(const struct section *section)
{
	mmun_mm_read_unlock(section->mm, &section->reader);
	mmun_cancel_restore(&section->cancel);
}

/*
 * I3, only the program's own calls are refused: has it made this one itself?  It can be
 * said where the system call is all that the function does: the return address is then on
 * top of the stack.  Not of other objects' own instructions: a sanitizer's runtime dies of a
 * failure.
 */
bool mmun_self_is_refusable(const struct mmun_regs *regs)
{
	unsigned long caller = *(const unsigned long *)regs->stack;

	return regs->site->vectors_dead && !mmun_self_is_library_text(caller) &&
	       mmun_self_is_library_text((unsigned long)regs->site->at);
}

/* A notifier refused.  Those that had agreed are notified that nothing has happened. */
APART int refused(struct section *section, int error)
{
	for (int i = 0; i < section->opened; i++)
		section->ranges[i].flags |= MMUN_RANGE_UNCHANGED;
	section->origin.result = error;
	end_ranges(section);
	section->origin.result = 0;
	if (mmun_self_is_refusable(section->regs)) {
		section->regs->nr = section->change.refusal;
		return MMUN_REFUSED;
	}
	start_ranges(section, MMUN_RANGE_NOT_REFUSABLE);
	return MMUN_NOTIFIED;
}

static inline void fill_origin(struct section *section)
{
	const struct mmun_regs *regs = section->regs;

	section->origin.nr = section->nr;
	section->origin.result = 0;
	section->origin.args = regs->args;
	section->origin.pc = regs->resume;
	section->origin.sp = (unsigned long)regs->stack;
}

/* Open the ranges of a call that somebody wants to hear of. */
static long notify_start(void *arg)
{
	struct section *section = arg;
	int saved_errno = *mmun_self_errno(), ret;

	section->origin.op = section->change.op;
	fill_origin(section);
	ret = start_ranges(section, 0);
	ret = mmun_unlikely(ret) ? refused(section, ret) : MMUN_NOTIFIED;
	*mmun_self_errno() = saved_errno;
	return ret;
}

static long notify_end(void *section)
{
	int saved_errno = *mmun_self_errno();

	end_ranges(section);
	*mmun_self_errno() = saved_errno;
	return 0;
}

/* The code around a site may hold values in vector registers. */
APART long keeping_vectors(long (*fn)(void *), struct section *section)
{
	struct mmun_stack stack;
	bool got = mmun_self_stack_get(&stack);
	long ret = mmun_self_vectors_saved(fn, section, got ? mmun_self_stack_area(&stack) : NULL);

	if (got)
		mmun_self_stack_put(&stack);
	return ret;
}

/* Callbacks of the program. */
static inline long notify(long (*fn)(void *), struct section *section)
{
	return mmun_likely(section->regs->site->vectors_dead) ? fn(section)
							      : keeping_vectors(fn, section);
}

struct errand {
	long (*fn)(void *);
	struct section *section;
	void *area;
};

static long run(void *arg)
{
	const struct errand *errand = arg;

	if (errand->section->regs->site->vectors_dead)
		return errand->fn(errand->section);
	return mmun_self_vectors_saved(errand->fn, errand->section, errand->area);
}

/* Returns false, with nothing done, if there is no stack. */
APART bool on_own_stack(long (*fn)(void *), struct section *section, long *ret)
{
	struct errand errand = { .fn = fn, .section = section };
	struct mmun_stack stack;

	if (!mmun_self_stack_get(&stack))
		return false;
	errand.area = mmun_self_stack_area(&stack);
	*ret = mmun_self_stack_run(&stack, run, &errand);
	mmun_self_stack_put(&stack);
	return true;
}

static inline int leaving(struct section *section, int ret)
{
	if (mmun_unlikely(ret != MMUN_NOTIFIED))
		leave(section);
	return ret;
}

/* The end of dlclose(). */
static inline bool unloads(const struct section *section)
{
	return section->regs->site->in_linker && section->nr == SYS_munmap;
}

/*
 * Does the call take away what it would come back to: the frame on the program's stack?  A
 * thread that is made without the C library may end by unmapping its own stack, with
 * instructions that need none.
 */
static inline bool is_on_stack(const struct section *section, unsigned long start,
			       unsigned long end)
{
	const struct mmun_regs *regs = section->regs;

	return start < (unsigned long)regs->stack && end > (unsigned long)section &&
	       (section->nr != SYS_mprotect || ~regs->args[2] & (PROT_READ | PROT_WRITE));
}

static bool takes_stack(const struct section *section)
{
	const struct mmun_change *change = &section->change;
	bool takes = false;

	for (int i = 0; i < change->nr_ranges; i++)
		takes |= is_on_stack(section, change->range[i].start, change->range[i].end);
	return takes;
}

static long notify_both(void *section)
{
	int saved_errno = *mmun_self_errno();

	start_ranges(section, MMUN_RANGE_NOT_REFUSABLE);
	end_ranges(section);
	*mmun_self_errno() = saved_errno;
	return 0;
}

/* The end comes early as well: afterwards there is nothing left to say it with. */
APART int notify_beforehand(struct section *section)
{
	section->origin.op = section->change.op;
	fill_origin(section);
	notify(notify_both, section);
	leave(section);
	if (section->nr == SYS_munmap)
		mmun_strict_leave_thread();
	return MMUN_UNNOTICED;
}

/* Perhaps the whole of a library whose text is its first segment. */
static inline bool maps_text(const struct section *section)
{
	const struct mmun_regs *regs = section->regs;

	return section->nr == SYS_mmap && regs->site->in_linker && regs->args[2] & PROT_EXEC &&
	       (int)regs->args[4] >= 0;
}

int mmun_self_before(struct mmun_regs *regs, void *space)
{
	struct section *section = space;
	int nr = regs->site->nr >= 0 ? regs->site->nr : (int)regs->nr, ret;
	const struct mmun_call *call = mmun_call_of(nr);
	struct mm_struct *mm = mmun_self_mm();
	bool heard;

	regs->nr = nr;
	section->nr = nr;
	section->regs = regs;
	if (mmun_unlikely(!call)) {
		if (section->nr != SYS_exit_group)
			return mmun_self_exec(regs, section->nr);
		mmun_self_exit(regs);
		return MMUN_UNNOTICED;
	}
	if (!mm)
		return MMUN_UNNOTICED;
	if (mmun_unlikely(mmun_call_walks(call, regs->args)))
		return call->concerns && !call->concerns(regs->args) ? MMUN_UNNOTICED : MMUN_WALKS;
	section->change.nr_ranges = 0;
	section->change.flags = 0;
	section->change.refusal = -EAGAIN;
	section->change.by_file = false;
	if (!call->describe(regs->args, &section->change) && !maps_text(section))
		return MMUN_UNNOTICED;
	section->mm = mm;
	section->call = call;
	section->opened = 0;
	/* Where nobody listens the read section still counts: a registration waits for
	 * the calls under way. */
	heard = enter(section);
	if (mmun_unlikely(takes_stack(section)))
		return notify_beforehand(section);
	if (heard) {
		ret = leaving(section, (int)notify(notify_start, section));
	} else {
		section->change.nr_ranges = 0;
		ret = MMUN_NOTIFIED;
	}
	if (mmun_unlikely(unloads(section)) && ret == MMUN_NOTIFIED)
		mmun_self_unmap_begin();
	return ret;
}

static long describe(void *arg)
{
	struct section *section = arg;

	return section->call->describe(section->regs->args, &section->change);
}

/* I1, at most 1 KiB of the program's stack: and there is no other to look on. */
APART bool describe_anything(struct section *section)
{
	struct mmun_change *change = &section->change;

	change->op = section->call->op;
	/* brk reports failure by the break that stays. */
	if (section->nr == SYS_brk)
		change->refusal = mmun_syscall3(SYS_brk, 0, 0, 0);
	change->event = MMU_NOTIFY_UNMAP;
	change->nr_ranges = 0;
	mmun_change_add(change, 0, -MMUN_PAGE_SIZE);
	return true;
}

int mmun_self_before_walk(struct mmun_regs *regs, void *space)
{
	struct section *section = space;
	long changes;

	section->mm = mmun_self_mm();
	section->call = mmun_call_of((int)regs->nr);
	section->regs = regs;
	section->nr = (int)regs->nr;
	section->opened = 0;
	section->change = (struct mmun_change){ .refusal = -EAGAIN };
	if (!enter(section))
		return MMUN_NOTIFIED;
	if (!on_own_stack(describe, section, &changes))
		changes = describe_anything(section);
	return leaving(section, changes ? (int)notify(notify_start, section) : MMUN_UNNOTICED);
}

static bool is_unchanged(const struct section *section, int index)
{
	const struct mmun_call *call = section->call;
	long result = section->regs->nr;

	return call->unchanged
		       ? call->unchanged(section->regs->args, result, index, &section->change)
		       : mmun_failed_cleanly(result);
}

static long mark_unchanged(void *arg)
{
	struct section *section = arg;

	for (int i = 0; i < section->opened; i++) {
		if (is_unchanged(section, i))
			section->ranges[i].flags |= MMUN_RANGE_UNCHANGED;
	}
	return 0;
}

/* Whether a call has failed before it changed anything may need a look at the mappings;
 * without one it has changed something. */
static inline void look_at_result(struct section *section)
{
	long result = section->regs->nr, ignored;

	section->origin.result = result;
	if (is_error(result))
		on_own_stack(mark_unchanged, section, &ignored);
	else if (result)
		mark_unchanged(section);
}

/* Leaves in ->change the mappings of its file that it did not have. */
static long find_late_mappings(void *arg)
{
	struct section *section = arg;
	struct mmun_change now = section->change, late = now;

	now.nr_ranges = late.nr_ranges = 0;
	if (section->call->renew)
		section->call->renew(section->regs->nr, &now);
	mmun_add_file_mappings(&now);
	for (int i = 0; i < now.nr_ranges; i++) {
		if (!mmun_change_covers(&section->change, now.range[i].start, now.range[i].end))
			mmun_change_add(&late, now.range[i].start, now.range[i].end);
	}
	section->change = late;
	return 0;
}

/*
 * Mappings of the file that appeared while it was shortened: a translation looked up there
 * may lead to a page that is gone.  Notified before the call returns; it is too late for a
 * refusal.
 */
APART void notify_late_mappings(struct section *section)
{
	long ignored;

	if (!on_own_stack(find_late_mappings, section, &ignored))
		describe_anything(section);
	if (section->change.nr_ranges)
		notify(notify_both, section);
}

static long text_changed(void *arg)
{
	struct section *section = arg;
	const struct mmun_regs *regs = section->regs;
	const unsigned long *args = regs->args;

	if (section->nr == SYS_mprotect)
		mmun_self_protected(regs->site, args[0], mmun_page_up(args[0] + args[1]), args[2]);
	else if (section->nr == SYS_munmap)
		mmun_self_unmapped(args[0], mmun_page_up(args[0] + args[1]));
	else
		mmun_self_linker_mapped();
	return 0;
}

/* What the linker and other patchers do to text concerns us as well. */
static inline __attribute__((always_inline)) bool may_change_text(const struct section *section)
{
	const struct mmun_regs *regs = section->regs;
	const unsigned long *args = regs->args;

	if (is_error(regs->nr))
		return false;
	if (section->nr == SYS_mmap)
		return (regs->site->in_linker && args[2] & PROT_EXEC && (int)args[4] >= 0) ||
		       mmun_self_may_be_text(regs->site, 0, 0);
	return (section->nr == SYS_munmap || section->nr == SYS_mprotect) &&
	       mmun_self_may_be_text(regs->site, args[0], args[0] + args[1]);
}

APART void watch_text(struct section *section)
{
	long ignored;

	/* Better deep on the program's stack than not at all. */
	if (!on_own_stack(text_changed, section, &ignored))
		notify(text_changed, section);
}

struct failure {
	const struct mmun_origin *origin;
	bool unchanged;
};

static long look_whether_unchanged(void *arg)
{
	struct failure *failure = arg;
	const struct mmun_origin *origin = failure->origin;
	const struct mmun_call *call = mmun_call_of(origin->nr);
	struct mmun_change change = { 0 };

	call->describe(origin->args, &change);
	failure->unchanged = call->unchanged
				     ? call->unchanged(origin->args, origin->result, 0, &change)
				     : mmun_failed_cleanly(origin->result);
	return 0;
}

bool mmun_self_left_unchanged(const struct mmun_origin *origin)
{
	struct failure failure = { .origin = origin };
	struct mmun_stack stack;

	if (!mmun_self_stack_get(&stack))
		return false;
	mmun_self_stack_run(&stack, look_whether_unchanged, &failure);
	mmun_self_stack_put(&stack);
	return failure.unchanged;
}

void mmun_self_after(struct mmun_regs *regs, void *space)
{
	struct section *section = space;

	if (mmun_unlikely(unloads(section)))
		mmun_self_unmap_end();
	if (section->change.nr_ranges || section->change.by_file) {
		look_at_result(section);
		notify(notify_end, section);
		if (section->change.by_file && !is_error(section->regs->nr))
			notify_late_mappings(section);
	}
	leave(section);
	if (mmun_unlikely(may_change_text(section)))
		watch_text(section);
}
