/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of registrations.
 *
 * One lock guards everything.  It is taken inside memory operations and in signal
 * handlers, so it is held with signals blocked and without any memory call but our own, which
 * nobody hooks; and nobody waits for it for ever.  Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <sys/mman.h>

#include <raw_syscall.h>

#include "table.h"

#define SLAB_BYTES (256ul << 10)
/* How long a thread waits for the lock, ns: its owner may be stopped by a debugger. */
#define PATIENCE_NS 2000000000ull

struct table table;

/*
 * Somebody holds the lock for long.  A thread that is gone (a vfork child that was killed) has left
 * the table half changed: nobody looks at it any more.  Return: whether to wait on.
 */
static bool is_patient(uint32_t owner, uint64_t began)
{
	if (mmun_syscall3(SYS_tkill, owner, 0, 0) == -ESRCH &&
	    mmun_load_full(&table.lock) == owner) {
		mmun_store_full(&table.kinds, 0);
		mmun_store_full(&table.present, 0);
		return false;
	}
	return emit_now() - began < PATIENCE_NS;
}

bool table_lock(struct held *held)
{
	uint32_t owner, tid = (uint32_t)mmun_syscall3(SYS_gettid, 0, 0, 0);
	uint64_t began = 0;

	mmun_signals_block(&held->mask);
	for (unsigned int looks = 0;; looks++) {
		owner = 0;
		if (mmun_cas_full(&table.lock, &owner, tid))
			return true;
		if (looks < 200) {
			mmun_cpu_relax();
			continue;
		}
		if (!began)
			began = emit_now();
		if (owner == tid || (looks % 64 == 0 && !is_patient(owner, began)))
			break;
		mmun_syscall3(SYS_sched_yield, 0, 0, 0);
	}
	mmun_signals_restore(&held->mask);
	mmun_add_relaxed(&table.unseen, 1);
	return false;
}

void table_unlock(const struct held *held)
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

struct registration **table_bucket(const struct known_by *name)
{
	uint64_t hash = name->holder * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ name->index ^ (uint64_t)name->kind << 56) * 0x9e3779b97f4a7c15ull;
	return &table.buckets[hash >> 52];
}

struct registration *table_find(const struct known_by *name)
{
	struct registration *reg = *table_bucket(name);

	while (reg && (reg->name.kind != name->kind || reg->name.holder != name->holder ||
		       reg->name.index != name->index))
		reg = reg->next;
	return reg;
}

struct ring_audit table_describe(const struct registration *reg, enum audit_what what,
				 uint64_t stack)
{
	return (struct ring_audit){
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
}

void table_say(const struct registration *reg, enum audit_what what, uint64_t time, uint64_t stack)
{
	struct ring_audit audit = table_describe(reg, what, stack);

	emit_audit(&audit, time);
}

void table_take_out(struct registration *reg)
{
	struct registration **at = table_bucket(&reg->name);

	if (is_open_question(reg))
		mmun_sub_full(&table.stale[reg->name.kind], 1);
	for (; reg->state != PENDING && *at; at = &(*at)->next) {
		if (*at != reg)
			continue;
		*at = reg->next;
		break;
	}
	mmun_interval_remove(&table.tree, &reg->interval);
	mmun_sub_full(&table.present, 1);
	reg->next = table.free;
	table.free = reg;
}

void table_drop(struct registration *reg, uint64_t stack)
{
	if (reg->state == STALE)
		table_say(reg, AUDIT_DROPPED, emit_now(), stack);
	table_take_out(reg);
}

static void widen(unsigned long start, unsigned long end)
{
	if (!table.high || start < table.low)
		mmun_store_full(&table.low, start);
	if (end > table.high)
		mmun_store_full(&table.high, end);
}

struct registration *table_insert(enum audit_kind kind, unsigned long start, unsigned long end)
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
	mmun_add_full(&table.present, 1);
	widen(reg->interval.start, reg->interval.last + 1);
	return reg;
}
