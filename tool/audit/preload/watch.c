/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of registrations, and what a section does to it.
 *
 * A registration is in the table, as pending, before the call that makes it.  A section counts
 * against what was in the table when it began and is there when it ends: one that its
 * program drops before or while the memory changes is no finding, and one that is pending
 * throughout is only counted, for nobody knows which pages it got.
 *
 * One lock guards everything.  It is taken inside memory operations and in signal
 * handlers, so it is held with signals blocked and without any memory call but our own, which
 * nobody hooks; and nobody waits for it for ever.  Most sections do not take it: they lie
 * outside of what is registered.  Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <sys/mman.h>

#include <interval_tree.h>
#include <raw_syscall.h>
#include <sigmask.h>

#include "watch.h"

#define NR_BUCKETS 4096
#define SLAB_BYTES (256ul << 10)
#define PAGE       4096ul
/* One call opens up to 16 sections; signal handlers may add theirs. */
#define MAX_PENDING 24
/* How long a thread waits for the lock, ns: its owner may be stopped by a debugger. */
#define PATIENCE_NS 2000000000ull

enum state { PENDING, ACTIVE, STALE };

struct registration {
	/* Pages; in the tree from watch_begin() on. */
	struct mmun_interval interval;
	struct known_by name;
	/* In the bucket of its name, or the free list. */
	struct registration *next;
	uint64_t id;
	/* In bytes. */
	unsigned long start, end;
	unsigned long stale_start, stale_end;
	uint64_t made, made_stack;
	uint8_t state;
	bool shared, raced, used, unknown;
};

/* What is remembered of a section that touches registrations, until it ends. */
struct open_section {
	const struct mmu_notifier_range *range;
	/* Registrations from this number on were made meanwhile. */
	uint64_t first_new;
	uint64_t began, name, stack;
	uint8_t mapping;
};

static __thread struct {
	unsigned int depth;
	struct open_section sections[MAX_PENDING];
} pending;

static struct {
	unsigned int kinds;
	uint32_t lock;
	uint64_t next_id;
	struct mmun_interval_tree tree;
	struct registration *buckets[NR_BUCKETS];
	struct registration *free;
	/* What has ever been registered lies between these. */
	unsigned long low, high;
	/* Stale and not known to be used, per kind. */
	unsigned long stale[AUDIT_NR_KINDS];
	unsigned long registered, unwatched, unseen;
} table;

struct held {
	mmun_sigmask mask;
};

bool watch_wants(enum audit_kind kind)
{
	return mmun_load_relaxed(&table.kinds) & 1u << kind && emit_is_open() && process_is_ours();
}

uint64_t watch_stack(struct caller caller)
{
	return caller.stack ? caller.stack : stack_capture(caller.pc, caller.sp);
}

static bool take_lock(struct held *held)
{
	uint32_t free, tid = (uint32_t)mmun_syscall3(SYS_gettid, 0, 0, 0);
	uint64_t began = 0;

	mmun_signals_block(&held->mask);
	for (unsigned int looks = 0;; looks++) {
		free = 0;
		if (mmun_cas_full(&table.lock, &free, tid))
			return true;
		if (free == tid)
			break;
		if (looks < 200) {
			mmun_cpu_relax();
			continue;
		}
		if (!began)
			began = emit_now();
		else if (emit_now() - began > PATIENCE_NS)
			break;
		mmun_syscall3(SYS_sched_yield, 0, 0, 0);
	}
	mmun_signals_restore(&held->mask);
	return false;
}

static void drop_lock(const struct held *held)
{
	mmun_store_release(&table.lock, 0);
	mmun_signals_restore(&held->mask);
}

/* New slabs are never given back: what was registered at once once may be again. */
static struct registration *allocate(void)
{
	struct registration *reg = table.free;
	long slab;

	if (!reg) {
		slab = mmun_syscall6(SYS_mmap, 0, SLAB_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
		if (slab < 0 && slab > -4096)
			return NULL;
		for (size_t at = 0; at + sizeof(*reg) <= SLAB_BYTES; at += sizeof(*reg)) {
			reg = (struct registration *)(slab + (long)at);
			reg->next = table.free;
			table.free = reg;
		}
	}
	reg = table.free;
	table.free = reg->next;
	*reg = (struct registration){ 0 };
	return reg;
}

static struct registration **bucket_of(const struct known_by *name)
{
	uint64_t hash = name->holder * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ name->index ^ (uint64_t)name->kind << 56) * 0x9e3779b97f4a7c15ull;
	return &table.buckets[hash >> 52];
}

static struct registration *find(const struct known_by *name)
{
	struct registration *reg = *bucket_of(name);

	while (reg && (reg->name.kind != name->kind || reg->name.holder != name->holder ||
		       reg->name.index != name->index))
		reg = reg->next;
	return reg;
}

static void say(const struct registration *reg, enum audit_what what, uint64_t time, uint64_t stack)
{
	struct ring_audit audit = {
		.what = (uint8_t)what,
		.kind = (uint8_t)reg->name.kind,
		.holder = (int32_t)reg->name.holder,
		.index = reg->name.index,
		.id = reg->id,
		.start = reg->start,
		.end = reg->end,
		.stale_start = reg->stale_start,
		.stale_end = reg->stale_end,
		.made = reg->made,
		.made_stack = reg->made_stack,
		.stack = stack,
	};

	emit_audit(&audit, time);
}

/* It is stale and its use is still of interest. */
static bool is_open_question(const struct registration *reg)
{
	return reg->state == STALE && !reg->used;
}

static void take_out(struct registration *reg)
{
	struct registration **at = bucket_of(&reg->name);

	if (is_open_question(reg))
		mmun_sub_full(&table.stale[reg->name.kind], 1);
	for (; reg->state != PENDING && *at; at = &(*at)->next) {
		if (*at != reg)
			continue;
		*at = reg->next;
		break;
	}
	mmun_interval_remove(&table.tree, &reg->interval);
	reg->next = table.free;
	table.free = reg;
}

/* With the lock held. */
static void drop(struct registration *reg, uint64_t stack)
{
	if (reg->state == STALE)
		say(reg, AUDIT_DROPPED, emit_now(), stack);
	take_out(reg);
}

static void widen(unsigned long start, unsigned long end)
{
	if (!table.high || start < table.low)
		mmun_store_full(&table.low, start);
	if (end > table.high)
		mmun_store_full(&table.high, end);
}

/* With the lock held. */
static struct registration *insert(enum audit_kind kind, unsigned long start, unsigned long end)
{
	struct registration *reg = allocate();

	table.registered++;
	if (!reg) {
		table.unwatched++;
		return NULL;
	}
	reg->name.kind = kind;
	reg->id = ++table.next_id;
	reg->start = start;
	reg->end = end;
	reg->interval.start = start & ~(PAGE - 1);
	reg->interval.last = ((end + PAGE - 1) & ~(PAGE - 1)) - 1;
	mmun_interval_insert(&table.tree, &reg->interval);
	widen(reg->interval.start, reg->interval.last + 1);
	return reg;
}

struct registration *watch_begin(enum audit_kind kind, unsigned long start, unsigned long length,
				 struct caller caller)
{
	struct registration *reg;
	uint64_t stack;
	struct held held;
	bool shared;

	if (!length || start + length < start || start + length > -PAGE)
		return NULL;
	stack = watch_stack(caller);
	shared = memory_is_shared(start);
	if (!take_lock(&held)) {
		mmun_add_relaxed(&table.unwatched, 1);
		return NULL;
	}
	reg = insert(kind, start, start + length);
	if (reg) {
		reg->made = emit_now();
		reg->made_stack = stack;
		reg->shared = shared;
	}
	drop_lock(&held);
	return reg;
}

void watch_done(struct registration *reg, const struct known_by *name)
{
	struct registration *old;
	struct held held;

	if (!reg || !take_lock(&held))
		return;
	old = find(name);
	if (old)
		drop(old, 0);
	reg->name = *name;
	reg->state = ACTIVE;
	reg->next = *bucket_of(name);
	*bucket_of(name) = reg;
	if (reg->raced)
		say(reg, AUDIT_RACED, emit_now(), 0);
	drop_lock(&held);
}

void watch_failed(struct registration *reg)
{
	struct held held;

	if (!reg || !take_lock(&held))
		return;
	take_out(reg);
	table.registered--;
	drop_lock(&held);
}

/* The stack of a drop is wanted of stale ones only. */
static uint64_t stack_if_stale(enum audit_kind kind, struct caller caller)
{
	return watch_has_stale(kind) ? watch_stack(caller) : 0;
}

void watch_dropped(const struct known_by *name, unsigned long nr, struct caller caller)
{
	struct known_by one = *name;
	struct registration *reg;
	struct held held;
	uint64_t stack = stack_if_stale(name->kind, caller);

	if (!take_lock(&held))
		return;
	for (unsigned long i = 0; i < nr; i++) {
		one.index = name->index + i;
		reg = find(&one);
		if (reg)
			drop(reg, stack);
	}
	drop_lock(&held);
}

enum which { ALL, OF_HOLDER, OF_OWNER };

static bool is_of(const struct registration *reg, enum which which, unsigned long value)
{
	return which == ALL || (which == OF_HOLDER && reg->name.holder == value) ||
	       (which == OF_OWNER && reg->name.owner == value);
}

static void drop_if(enum audit_kind kind, enum which which, unsigned long value,
		    struct caller caller)
{
	uint64_t stack = stack_if_stale(kind, caller);
	struct held held;

	if (!take_lock(&held))
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct registration *reg = table.buckets[i], *next;

		for (; reg; reg = next) {
			next = reg->next;
			if (reg->name.kind == kind && is_of(reg, which, value))
				drop(reg, stack);
		}
	}
	drop_lock(&held);
}

void watch_dropped_all(enum audit_kind kind, struct caller caller)
{
	drop_if(kind, ALL, 0, caller);
}

void watch_dropped_holder(enum audit_kind kind, unsigned long holder, struct caller caller)
{
	drop_if(kind, OF_HOLDER, holder, caller);
}

void watch_dropped_owner(enum audit_kind kind, unsigned long owner, struct caller caller)
{
	drop_if(kind, OF_OWNER, owner, caller);
}

/* What is left of @reg outside of the range, as a registration of its own. */
static void keep_part(const struct registration *reg, unsigned long start, unsigned long end)
{
	struct known_by name = { reg->name.kind, start, end - start, 0 };
	struct registration *part;

	if (start >= end)
		return;
	part = insert(reg->name.kind, start, end);
	if (!part)
		return;
	table.registered--;
	part->id = reg->id;
	part->made = reg->made;
	part->made_stack = reg->made_stack;
	part->shared = reg->shared;
	part->name = name;
	part->state = ACTIVE;
	part->next = *bucket_of(&name);
	*bucket_of(&name) = part;
}

void watch_dropped_range(enum audit_kind kind, unsigned long start, unsigned long end,
			 struct caller caller)
{
	uint64_t stack = stack_if_stale(kind, caller);
	struct mmun_interval *at, *next;
	struct registration copy;
	struct held held;

	if (start >= end || !take_lock(&held))
		return;
	for (at = mmun_interval_first(&table.tree, start, end - 1); at; at = next) {
		struct registration *reg = (struct registration *)at;

		next = mmun_interval_next(at, start, end - 1);
		if (reg->name.kind != kind || reg->state == PENDING)
			continue;
		copy = *reg;
		drop(reg, stack);
		keep_part(&copy, copy.start, start);
		keep_part(&copy, end, copy.end);
	}
	drop_lock(&held);
}

bool watch_has_stale(enum audit_kind kind)
{
	return mmun_load_relaxed(&table.stale[kind]);
}

/* With the lock held. */
static void note_use(struct registration *reg, unsigned long start, unsigned long end,
		     uint64_t stack)
{
	if (!reg || !is_open_question(reg) || start >= reg->stale_end ||
	    (end && end <= reg->stale_start))
		return;
	reg->used = true;
	mmun_sub_full(&table.stale[reg->name.kind], 1);
	say(reg, AUDIT_USED, emit_now(), stack);
}

void watch_used(const struct known_by *name, unsigned long start, unsigned long end,
		struct caller caller)
{
	struct held held;
	uint64_t stack;

	if (!watch_has_stale(name->kind))
		return;
	stack = watch_stack(caller);
	if (!take_lock(&held))
		return;
	note_use(find(name), start, end, stack);
	drop_lock(&held);
}

void watch_used_at(const struct known_by *name, unsigned long start, unsigned long end,
		   struct caller caller)
{
	struct mmun_interval *at;
	struct held held;
	uint64_t stack;

	if (start >= end || !watch_has_stale(name->kind))
		return;
	stack = watch_stack(caller);
	if (!take_lock(&held))
		return;
	mmun_for_each_interval(at, &table.tree, start, end - 1) {
		struct registration *reg = (struct registration *)at;

		if (reg->name.kind == name->kind && reg->name.owner == name->owner &&
		    reg->name.index == name->index)
			note_use(reg, start, end, stack);
	}
	drop_lock(&held);
}

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
	return range->start < mmun_load_relaxed(&table.high) &&
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
	if (!take_lock(&held)) {
		mmun_add_relaxed(&table.unseen, 1);
		return;
	}
	any = touches(range);
	first_new = table.next_id + 1;
	drop_lock(&held);
	if (!any)
		return;
	if (pending.depth >= MAX_PENDING) {
		mmun_add_relaxed(&table.unseen, 1);
		return;
	}
	/* The place first: from then on a signal handler uses those above. */
	section = &pending.sections[pending.depth++];
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	section->range = range;
	section->first_new = first_new;
	section->began = emit_now();
	mapping_find(range->start, range->end, origin ? origin->sp : 0, &mapping);
	section->mapping = (uint8_t)mapping.kind;
	section->name = emit_text(mapping.name);
	section->stack = origin ? stack_capture(origin->pc, origin->sp) : 0;
}

/* Takes the section of @range, and any above it, off the stack; false: not there. */
static bool pop(const struct mmu_notifier_range *range, struct open_section *out)
{
	for (unsigned int i = pending.depth; i--;) {
		if (pending.sections[i].range != range)
			continue;
		*out = pending.sections[i];
		/* Now a signal handler may use the place again. */
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		pending.depth = i;
		return true;
	}
	return false;
}

/* What the kernel has answered last: one of a ring's buffers stands for all of them, for what
 * we do not see is that the ring is closed. */
struct answer {
	bool known;
	unsigned long ring;
	bool polled;
};

/* Has it been dropped in a way that we did not see? */
static bool is_gone(const struct registration *reg, struct answer *last)
{
	bool polled;

	if (reg->name.kind == AUDIT_VMSPLICE)
		return !pipe_holds(reg->name.holder);
	if (reg->name.kind != AUDIT_URING || (last->known && last->ring == reg->name.holder))
		return false;
	if (uring_asks(reg->name.holder, reg->name.index, reg->start, &polled) == URING_GONE)
		return true;
	*last = (struct answer){ true, reg->name.holder, polled };
	return false;
}

static void say_stale(struct registration *reg, const struct open_section *section)
{
	const struct mmun_origin *origin = section->range->origin;
	struct ring_audit audit = {
		.what = reg->unknown ? AUDIT_STALE_UNKNOWN : AUDIT_STALE,
		.kind = (uint8_t)reg->name.kind,
		.op = origin ? (uint8_t)origin->op : MMUN_OP_NONE,
		.mapping = section->mapping,
		.holder = (int32_t)reg->name.holder,
		.index = reg->name.index,
		.id = reg->id,
		.start = reg->start,
		.end = reg->end,
		.stale_start = reg->stale_start,
		.stale_end = reg->stale_end,
		.made = reg->made,
		.made_stack = reg->made_stack,
		.stack = section->stack,
		.name = section->name,
	};

	emit_audit(&audit, section->began);
}

/* With the lock held; the change has been made. */
static void change(struct registration *reg, const struct open_section *section,
		   struct answer *last)
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
	if (is_gone(reg, last)) {
		take_out(reg);
		return;
	}
	reg->unknown |= last->polled || reg->name.kind != AUDIT_URING;
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
	struct answer last = { false };
	struct held held;

	if (!pending.depth || !pop(range, &section) || range->flags & MMUN_RANGE_UNCHANGED)
		return;
	if (!take_lock(&held)) {
		mmun_add_relaxed(&table.unseen, 1);
		return;
	}
	for (at = mmun_interval_first(&table.tree, range->start, range->end - 1); at; at = next) {
		next = mmun_interval_next(at, range->start, range->end - 1);
		change((struct registration *)at, &section, &last);
	}
	drop_lock(&held);
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
	table.kinds = kinds;
	pending.depth = 0;
}

static bool is_known(const struct known_by *name)
{
	return find(name);
}

static void say_totals(void)
{
	struct ring_audit audit = {
		.what = AUDIT_TOTALS,
		.start = table.registered,
		.end = table.unwatched,
		.stale_start = table.unseen,
	};

	if (table.kinds & 1u << AUDIT_URING)
		audit.stale_end = uring_unknown_buffers(is_known);
	emit_audit(&audit, emit_now());
}

void watch_release(void)
{
	struct answer last = { false };
	struct held held;

	if (!take_lock(&held))
		return;
	say_totals();
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct registration *reg = table.buckets[i], *next;

		for (; reg; reg = next) {
			next = reg->next;
			if (reg->state != STALE)
				continue;
			say(reg,
			    is_gone(reg, &last) ? AUDIT_DROPPED
			    : reg->unknown      ? AUDIT_AT_END_UNKNOWN
						: AUDIT_AT_END,
			    emit_now(), 0);
		}
	}
	drop_lock(&held);
}
