/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify-trace.so: preloaded by `mmunotify trace`, it subscribes to the
 * process it is in and sends each change of the address space to the ring.  Preloaded by
 * `mmunotify probe` it only lists system call instructions (report.c).
 *
 * A section is remembered from its start to its end (pending.h).  A forked child subscribes
 * anew if children are followed.  Whatever goes wrong here leaves the program running untraced.
 * Tests: tests/system/trace_*.py, tests/system/programs.sh.
 */
#include <errno.h>
#include <stdlib.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

#include "pending.h"
#include "report.h"
#include "tracer.h"

static __thread struct pending pending;

/* From an answer that is remembered.  Whose stack a mapping is depends on who asks. */
static bool recall(struct open_section *section, const struct mmu_notifier_range *range,
		   unsigned long sp, uint64_t now)
{
	struct recent recent;

	if (!recent_find(range->start, range->end, now, &recent))
		return false;
	mapping_note_threads();
	section->kind = (uint8_t)recent.kind;
	if (recent.kind == MAPPING_ANONYMOUS && mapping_is_own_stack(sp, &recent.span))
		section->kind = MAPPING_THREAD_STACK;
	section->more = false;
	section->offset = recent.offset + range->start - recent.span.start;
	section->name = recent.name;
	return true;
}

/* If it holds the whole range, and what it is does not depend on the range. */
static void remember(const struct open_section *section, const struct mmu_notifier_range *range,
		     const struct mapping *mapping, unsigned long seq, uint64_t now)
{
	struct recent recent = {
		.span = mapping->first,
		.kind = mapping->kind,
		.offset = mapping->offset - (range->start - mapping->first.start),
		.name = section->name,
	};

	if (mapping->first.start > range->start || mapping->first.end < range->end)
		return;
	if (recent.kind == MAPPING_THREAD_STACK && !mapping_is_stack_top(recent.span.end))
		return;
	recent_remember(&recent, seq, now);
}

/* The mapping, and its name known to the tool. */
static void identify(struct open_section *section, const struct mmu_notifier_range *range,
		     unsigned long sp)
{
	uint64_t now = emit_now();
	struct mapping mapping;
	unsigned long seq;
	bool may_remember;

	if (!section->changes && recall(section, range, sp, now))
		return;
	may_remember = !section->changes && recent_begin(&seq);
	mapping_find(range->start, range->end, sp, &mapping);
	section->kind = (uint8_t)mapping.kind;
	section->more = mapping.more;
	section->offset = mapping.offset;
	section->name = emit_text(mapping.name);
	if (may_remember)
		remember(section, range, &mapping, seq, now);
}

static void describe(struct open_section *section, const struct mmu_notifier_range *range)
{
	const struct mmun_origin *origin = range->origin;
	unsigned long sp = origin ? origin->sp : 0;

	identify(section, range, sp);
	section->stack = 0;
	if (origin && emit_wants() & RING_WANT_STACKS)
		section->stack = stack_capture(origin->pc, sp);
}

/* Attempts that the tool has not heard of. */
static void send_unredirected(const struct mm_struct *mm)
{
	static unsigned long notified;
	struct mmun_stats stats;
	unsigned long before;

	mmun_mm_stats(mm, &stats);
	before = mmun_load_relaxed(&notified);
	if (stats.late_failed > before && mmun_cas_full(&notified, &before, stats.late_failed))
		emit_unredirected(stats.late_failed - before);
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct open_section *section;

	if (!emit_is_open())
		return 0;
	section = pending_push(&pending, range);
	if (!section) {
		recent_stop();
		emit_too_deep();
		return 0;
	}
	/* All but what drops pages and leaves the mapping: that may be remembered over it. */
	section->changes = range->event != MMU_NOTIFY_CLEAR;
	if (section->changes)
		recent_change_begins();
	describe(section, range);
	section->began = emit_now();
	return 0;
}

static unsigned int flags_of(const struct mmu_notifier_range *range, bool more)
{
	unsigned int flags = more ? RING_MORE_MAPPINGS : 0;

	if (range->flags & MMUN_RANGE_UNCHANGED)
		flags |= RING_UNCHANGED;
	if (range->flags & MMUN_RANGE_PINNED_SAFE)
		flags |= RING_PINNED_SAFE;
	if (range->origin)
		flags |= RING_HAS_RESULT;
	return flags;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	uint64_t now = emit_now();
	struct open_section section;
	struct ring_event event;

	send_unredirected(range->mm);
	if (!pending_pop(&pending, range, &section))
		return;
	if (section.changes)
		recent_change_ends();
	event = (struct ring_event){
		.op = range->origin ? (uint8_t)range->origin->op : MMUN_OP_NONE,
		.event = (uint8_t)range->event,
		.kind = section.kind,
		.duration = now - section.began,
		.start = range->start,
		.end = range->end,
		.result = range->origin ? range->origin->result : 0,
		.offset = section.offset,
		.name = section.name,
		.stack = section.stack,
	};
	emit_event(&event, flags_of(range, section.more), section.began);
}

static void trace_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	send_unredirected(mm);
	emit_release();
}

static const struct mmu_notifier_ops tracer_ops = {
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
	.release = trace_release,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

static void subscribe(unsigned int flags)
{
	pending.depth = 0;
	recent_reset();
	emit_forget_thread();
	emit_process(flags, -program_subscribe(&tracer_ops));
}

static void forked_child(void)
{
	int saved = errno;

	exec_forked();
	program_unsubscribe();
	if (emit_is_open())
		subscribe(0);
	errno = saved;
}

static void attach(void)
{
	const char *path = getenv(RING_ENV), *report = getenv(REPORT_ENV);

	if (report)
		report_attach(report);
	if (!path || !emit_attach(path))
		return;
	/* The ring of `mmunotify audit` under a trace: its own object sends what it reads. */
	if (emit_wants() >> RING_AUDIT_SHIFT)
		return;
	program_attach(path, forked_child);
	subscribe(RING_AFTER_EXEC);
}

__attribute__((constructor)) static void construct(void)
{
	int saved = errno;

	attach();
	errno = saved;
}
