/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a section does to the registrations that it touches.
 *
 * It counts against what was in the table when it began and is there when it ends: one that its
 * program drops before or while the memory changes is no finding, and one that is pending
 * throughout is only counted, for nobody knows which pages it got.  Most sections do not take
 * the lock: they lie outside of what is registered.  Tests: tests/system/audit.py.
 */
#include <raw_syscall.h>

#include "../../trace/preload/pending.h"
#include "table.h"

static __thread struct pending pending;

/*
 * Does the operation put other pages behind the registration's addresses?  The table is in
 * mmunotify-audit(1).  What says that pinned pages stay leaves locks alone as well.
 */
static bool makes_stale(const struct registration *reg, const struct mmu_notifier_range *range)
{
	enum mmun_op op = range->origin ? range->origin->op : MMUN_OP_NONE;

	if (range->flags & MMUN_RANGE_PINNED_SAFE || range->event == MMU_NOTIFY_RELEASE ||
	    op == MMUN_OP_EXEC || op == MMUN_OP_EXIT || op == MMUN_OP_FORK)
		return false;
	if (reg->name.kind == AUDIT_MLOCK)
		return range->event == MMU_NOTIFY_UNMAP;
	switch (op) {
	case MMUN_OP_MADV_DONTNEED:
	case MMUN_OP_MADV_DONTNEED_LOCKED:
	case MMUN_OP_MADV_GUARD_INSTALL:
		/* The file has the same pages still, and so have its mappings. */
		return !reg->shared;
	case MMUN_OP_MADV_REMOVE:
	case MMUN_OP_FALLOCATE:
		/* A hole takes no page that the program has written to in a private mapping. */
		return reg->shared;
	default:
		return true;
	}
}

static bool is_near(const struct mmu_notifier_range *range)
{
	return mmun_load_relaxed(&table.present) && range->start < mmun_load_relaxed(&table.high) &&
	       range->end > mmun_load_relaxed(&table.low);
}

/* Is there anything that the section might make stale? */
static bool touches(const struct mmu_notifier_range *range)
{
	struct mmun_interval *at;

	mmun_for_each_interval(at, &table.tree, range->start, range->end - 1)
		if (makes_stale((struct registration *)at, range))
			return true;
	return false;
}

void watch_section_start(const struct mmu_notifier_range *range)
{
	const struct mmun_origin *origin = range->origin;
	struct open_section *section;
	struct mapping mapping;
	struct held held;
	uint64_t first_new;
	bool any;

	if (!is_near(range))
		return;
	if (!table_lock(&held))
		return;
	any = touches(range);
	first_new = table.next_id + 1;
	table_unlock(&held);
	if (!any)
		return;
	section = pending_push(&pending, range);
	if (!section) {
		mmun_add_relaxed(&table.unseen, 1);
		return;
	}
	section->first_new = first_new;
	section->began = emit_now();
	mapping_find(range->start, range->end, origin ? origin->sp : 0, &mapping);
	section->kind = (uint8_t)mapping.kind;
	section->name = emit_text(mapping.name);
	section->stack = origin ? stack_capture(origin->pc, origin->sp) : 0;
}

/*
 * What the kernel has answered about a ring: one of its buffers stands for all of them, for what
 * we do not see is that the ring is closed.  An answer costs as much as the ring has buffers.  It
 * holds for one walk through the table; after many that said the same, for a while.
 */
struct answer {
	unsigned long ring;
	uint64_t walk, until;
	unsigned int confirmed;
	bool polled;
};

/* From so many on a ring's buffers are plainly stale, and asking may take that part of the time. */
#define CONFIRMED  64
#define ASK_PART   20
#define NR_ANSWERS 64

/* With the table's lock. */
static struct answer answers[NR_ANSWERS];
static uint64_t walk;

/* Return: NULL if the kernel says that it is gone. */
static const struct answer *ask(const struct registration *reg)
{
	struct answer *answer = &answers[reg->name.holder % NR_ANSWERS];
	uint64_t began = emit_now(), now;

	if (answer->ring != reg->name.holder)
		*answer = (struct answer){ .ring = reg->name.holder };
	if (answer->walk == walk || (answer->confirmed >= CONFIRMED && began < answer->until))
		return answer;
	if (uring_asks(reg->name.holder, reg->name.index, reg->start, &answer->polled) ==
	    URING_GONE) {
		*answer = (struct answer){ 0 };
		return NULL;
	}
	now = emit_now();
	answer->walk = walk;
	answer->until = now + ASK_PART * (now - began);
	answer->confirmed++;
	return answer;
}

/* Has it been dropped in a way that we did not see? */
static bool is_gone(struct registration *reg)
{
	const struct answer *answer;

	if (reg->name.kind == AUDIT_VMSPLICE)
		return !pipe_holds(reg->name.holder, reg->name.owner);
	if (reg->name.kind != AUDIT_URING)
		return false;
	answer = ask(reg);
	if (answer)
		reg->unknown |= answer->polled;
	return !answer;
}

static void say_stale(struct registration *reg, const struct open_section *section)
{
	const struct mmun_origin *origin = section->range->origin;
	struct ring_audit audit = table_describe(
		reg, reg->unknown ? AUDIT_STALE_UNKNOWN : AUDIT_STALE, section->stack);

	audit.op = origin ? (uint8_t)origin->op : MMUN_OP_NONE;
	audit.mapping = section->kind;
	audit.name = section->name;
	emit_audit(&audit, section->began);
}

/* With the lock held; the change has been made. */
static void change(struct registration *reg, const struct open_section *section)
{
	unsigned long start = section->range->start, end = section->range->end;

	if (reg->state == PENDING) {
		reg->raced = true;
		return;
	}
	if (reg->id >= section->first_new || !makes_stale(reg, section->range))
		return;
	start = start > reg->start ? start : reg->start;
	end = end < reg->end ? end : reg->end;
	if (reg->state == STALE) {
		reg->stale_start = start < reg->stale_start ? start : reg->stale_start;
		reg->stale_end = end > reg->stale_end ? end : reg->stale_end;
		return;
	}
	if (is_gone(reg)) {
		table_take_out(reg);
		return;
	}
	reg->unknown |= reg->name.kind != AUDIT_URING;
	reg->stale_start = start;
	reg->stale_end = end;
	reg->state = STALE;
	mmun_add_full(&table.stale[reg->name.kind], 1);
	if (reg->name.kind == AUDIT_VERBS && reg->name.owner)
		verbs_watch_posts(reg->name.owner);
	say_stale(reg, section);
}

void watch_section_end(const struct mmu_notifier_range *range)
{
	struct open_section section;
	struct mmun_interval *at, *next;
	struct held held;

	if (!pending.depth || !pending_pop(&pending, range, &section) ||
	    range->flags & MMUN_RANGE_UNCHANGED)
		return;
	if (!table_lock(&held))
		return;
	walk++;
	for (at = mmun_interval_first(&table.tree, range->start, range->end - 1); at; at = next) {
		next = mmun_interval_next(at, range->start, range->end - 1);
		change((struct registration *)at, &section);
	}
	table_unlock(&held);
}

void watch_init(unsigned int kinds)
{
	mmun_store_full(&table.kinds, kinds);
}

void watch_forget(void)
{
	unsigned int kinds = table.kinds;

	/* The slabs are lost to the child; its parent's lock may have been held. */
	__builtin_memset(&table, 0, sizeof(table));
	__builtin_memset(answers, 0, sizeof(answers));
	uring_forget();
	table.kinds = kinds;
	pending.depth = 0;
}

static bool is_known(const struct known_by *name)
{
	return table_find(name);
}

static void say_totals(bool locked)
{
	struct ring_audit audit = {
		.what = AUDIT_TOTALS,
		.start = table.registered,
		.end = table.unwatched,
		.stale_start = table.unseen,
	};

	if (locked && table.kinds & 1u << AUDIT_URING)
		audit.stale_end = uring_unknown_buffers(is_known);
	emit_audit(&audit, emit_now());
}

void watch_release(void)
{
	struct held held;

	if (!table_lock(&held)) {
		say_totals(false);
		return;
	}
	say_totals(true);
	walk++;
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct registration *reg = table.buckets[i], *next;

		for (; reg; reg = next) {
			next = reg->next;
			if (reg->state != STALE)
				continue;
			table_say(reg, is_gone(reg) ? AUDIT_DROPPED : AUDIT_AT_END, emit_now(), 0);
		}
	}
	table_unlock(&held);
}
