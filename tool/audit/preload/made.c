/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registrations made, used and dropped, as the functions say that stand in front of others.
 *
 * A registration is in the table, as pending, before the call that makes it, and dropped before
 * the call that drops it.  Tests: tests/system/audit.py.
 */
#include <raw_syscall.h>

#include "table.h"

bool watch_wants(enum audit_kind kind)
{
	return mmun_load_relaxed(&table.kinds) & 1u << kind && emit_is_open() &&
	       program_is_subscribed();
}

uint64_t watch_stack(struct caller caller)
{
	return caller.stack ? caller.stack : stack_capture(caller.pc, caller.sp);
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
	if (!table_lock(&held))
		return NULL;
	reg = table_insert(kind, start, start + length);
	if (reg) {
		reg->made = emit_now();
		reg->made_stack = stack;
		reg->shared = shared;
	}
	table_unlock(&held);
	return reg;
}

void watch_done(struct registration *reg, const struct known_by *name)
{
	struct registration *old;
	struct held held;

	if (!reg || !table_lock(&held))
		return;
	old = table_find(name);
	if (old)
		table_drop(old, 0);
	reg->name = *name;
	reg->state = ACTIVE;
	reg->next = *table_bucket(name);
	*table_bucket(name) = reg;
	if (reg->raced)
		table_say(reg, AUDIT_RACED, emit_now(), 0);
	table_unlock(&held);
}

void watch_failed(struct registration *reg)
{
	struct held held;

	if (!reg || !table_lock(&held))
		return;
	table_take_out(reg);
	table.registered--;
	table_unlock(&held);
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

	if (!table_lock(&held))
		return;
	for (unsigned long i = 0; i < nr; i++) {
		one.index = name->index + i;
		reg = table_find(&one);
		if (reg)
			table_drop(reg, stack);
	}
	table_unlock(&held);
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

	if (!table_lock(&held))
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++) {
		struct registration *reg = table.buckets[i], *next;

		for (; reg; reg = next) {
			next = reg->next;
			if (reg->name.kind == kind && is_of(reg, which, value))
				table_drop(reg, stack);
		}
	}
	table_unlock(&held);
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
	part = table_insert(reg->name.kind, start, end);
	if (!part)
		return;
	table.registered--;
	part->id = reg->id;
	part->made = reg->made;
	part->made_stack = reg->made_stack;
	part->shared = reg->shared;
	part->name = name;
	part->state = ACTIVE;
	part->next = *table_bucket(&name);
	*table_bucket(&name) = part;
}

void watch_dropped_range(enum audit_kind kind, unsigned long start, unsigned long end,
			 struct caller caller)
{
	uint64_t stack = stack_if_stale(kind, caller);
	struct mmun_interval *at, *next;
	struct registration copy;
	struct held held;

	if (start >= end || !table_lock(&held))
		return;
	for (at = mmun_interval_first(&table.tree, start, end - 1); at; at = next) {
		struct registration *reg = (struct registration *)at;

		next = mmun_interval_next(at, start, end - 1);
		if (reg->name.kind != kind || reg->state == PENDING)
			continue;
		copy = *reg;
		table_drop(reg, stack);
		keep_part(&copy, copy.start, start);
		keep_part(&copy, end, copy.end);
	}
	table_unlock(&held);
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
	table_say(reg, AUDIT_USED, emit_now(), stack);
}

void watch_used(const struct known_by *name, unsigned long start, unsigned long end,
		struct caller caller)
{
	struct held held;
	uint64_t stack;

	if (!watch_has_stale(name->kind))
		return;
	stack = watch_stack(caller);
	if (!table_lock(&held))
		return;
	note_use(table_find(name), start, end, stack);
	table_unlock(&held);
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
	if (!table_lock(&held))
		return;
	mmun_for_each_interval(at, &table.tree, start, end - 1) {
		struct registration *reg = (struct registration *)at;

		if (reg->name.kind == name->kind && reg->name.owner == name->owner &&
		    reg->name.index == name->index)
			note_use(reg, start, end, stack);
	}
	table_unlock(&held);
}

void watch_use_unknown(enum audit_kind kind, unsigned long holder)
{
	struct held held;

	if (!watch_has_stale(kind) || !table_lock(&held))
		return;
	for (size_t i = 0; i < NR_BUCKETS; i++)
		for (struct registration *reg = table.buckets[i]; reg; reg = reg->next) {
			if (reg->name.kind != kind || reg->name.holder != holder || reg->unknown ||
			    !is_open_question(reg))
				continue;
			reg->unknown = true;
			table_say(reg, AUDIT_USE_UNKNOWN, emit_now(), 0);
		}
	table_unlock(&held);
}
