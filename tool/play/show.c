/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands of `mmunotify soft` that look: maps, pagemap, locks, stats, and the
 * expectations about each; and the end of a run.
 *
 * I1  What is expected is asked of the library at that moment, as what is printed.
 *
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static const char *const stat_names[] = {
#define STAT_NAME(name, text) #name,
	MMUN_SOFT_STATS(STAT_NAME)
#undef STAT_NAME
		"frames",
	"frames_free",
	"swap_slots",
	"swap_free",
};

#define NR_STATS (sizeof(stat_names) / sizeof(stat_names[0]))

bool soft_stats_counter_find(const char *name, unsigned long *index)
{
	for (*index = 0; *index < NR_STATS; (*index)++)
		if (!strcmp(stat_names[*index], name))
			return true;
	return false;
}

static unsigned long stat_value(struct soft_world *world, unsigned long index)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(world->soft, &stats);

	const unsigned long values[NR_STATS] = {
#define STAT_VALUE(name, text) stats.name,
		MMUN_SOFT_STATS(STAT_VALUE)
#undef STAT_VALUE
			stats.frames,
		stats.frames_free,
		stats.swap_slots,
		stats.swap_free,
	};

	return values[index];
}

unsigned long soft_counter(const struct soft_symbol *symbol, unsigned long index)
{
	if (symbol->kind == SOFT_GRU)
		return soft_gru_counter(symbol, index);
	if (symbol->kind == SOFT_KVM)
		return soft_kvm_counter(symbol, index);
	return soft_listener_counter(symbol, index);
}

struct visit {
	struct soft_world *world;
	enum soft_level level;
	const char *task;
	unsigned int number;
	bool print;
};

static const char *rights_of(unsigned long flags, char *text)
{
	text[0] = flags & VM_READ ? 'r' : '-';
	text[1] = flags & VM_WRITE ? 'w' : '-';
	text[2] = flags & VM_EXEC ? 'x' : '-';
	text[3] = flags & VM_SHARED ? 's' : 'p';
	text[4] = 0;
	return text;
}

static const char *flags_of(const struct mmun_soft_map *map, char *text, size_t size)
{
	static const struct {
		unsigned long flag;
		const char *name;
	} names[] = {
		{ VM_LOCKED, "locked" },
		{ VM_GROWSDOWN, "growsdown" },
		{ VM_NONLINEAR, "nonlinear" },
		{ VM_DONTCOPY, "dontfork" },
		{ VM_WIPEONFORK, "wipeonfork" },
		{ VM_MERGEABLE, "mergeable" },
		{ VM_HUGEPAGE, "hugepage" },
		{ VM_NOHUGEPAGE, "nohugepage" },
		{ VM_IO, "io" },
		{ VM_PFNMAP, "pfnmap" },
	};
	size_t used = 0;

	text[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (map->flags & names[i].flag)
			used += (size_t)snprintf(text + used, size - used, " %s", names[i].name);
	if (map->anon_vma)
		snprintf(text + used, size - used, " anon_vma");
	return text;
}

static int visit_map(const struct mmun_soft_map *map, void *arg)
{
	struct visit *visit = arg;
	char rights[5], flags[128];

	visit->number++;
	if (!visit->print)
		return 0;
	flags_of(map, flags, sizeof(flags));
	soft_say(visit->world, visit->level, "map",
		 SOFT_FIELDS(SOFT_TEXT("task", visit->task), SOFT_ADDRESS("start", map->start),
			     SOFT_ADDRESS("end", map->end),
			     SOFT_TEXT("rights", rights_of(map->flags, rights)),
			     SOFT_ADDRESS("offset", map->offset), SOFT_TEXT("name", map->name),
			     SOFT_TEXT("flags", flags[0] ? flags + 1 : "")),
		 "%s %012lx-%012lx %s %08lx%s%s%s", visit->task, map->start, map->end,
		 rights_of(map->flags, rights), (unsigned long)map->offset, map->name[0] ? " " : "",
		 map->name, flags);
	return 0;
}

void soft_maps_of(struct soft_world *world, struct soft_task *task, enum soft_level level)
{
	struct visit visit = { .world = world, .level = level, .task = task->name, .print = true };

	mmun_soft_maps(soft_task_mm(task), visit_map, &visit);
	if (!visit.number)
		soft_say(world, level, "empty", SOFT_FIELDS(SOFT_TEXT("task", task->name)),
			 "%s has no mappings", task->name);
}

int soft_run_maps(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);

	if (!task)
		return SOFT_OUTCOME_FAILED;
	soft_maps_of(call->world, task, SOFT_SAY_ANSWER);
	return 0;
}

static int expect_number(struct soft_call *call, const struct soft_arg *arg, const char *what,
			 unsigned long is)
{
	unsigned long expected;

	if (!soft_value(call, arg, &expected))
		return SOFT_OUTCOME_FAILED;
	return is == expected ? 0
			      : soft_fail(call, "%s was expected to be %lu, but is %lu", what,
					  expected, is);
}

int soft_run_expect_maps(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);
	struct visit visit = { .world = call->world };

	if (!task)
		return SOFT_OUTCOME_FAILED;
	mmun_soft_maps(soft_task_mm(task), visit_map, &visit);
	return expect_number(call, &call->arg[1], "the number of mappings", visit.number);
}

static int visit_lock(const struct mmun_soft_lock *lock, void *arg)
{
	struct visit *visit = arg;

	visit->number++;
	if (visit->print)
		soft_say(visit->world, SOFT_SAY_ANSWER, "lock",
			 SOFT_FIELDS(SOFT_TEXT("task", visit->task),
				     SOFT_NUMBER("number", visit->number),
				     SOFT_TEXT("kind", lock->kind), SOFT_TEXT("name", lock->name),
				     SOFT_NUMBER("vmas", lock->vmas)),
			 "%s lock %u: %s%s%s, of %u mapping%s", visit->task, visit->number,
			 lock->kind, lock->name[0] ? " of " : "", lock->name, lock->vmas,
			 lock->vmas == 1 ? "" : "s");
	return 0;
}

int soft_run_locks(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);
	struct visit visit = { .world = call->world, .print = true };

	if (!task)
		return SOFT_OUTCOME_FAILED;
	visit.task = task->name;
	return soft_outcome(mmun_soft_locks(soft_task_mm(task), visit_lock, &visit));
}

int soft_run_expect_locks(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);
	struct visit visit = { .world = call->world };
	int ret;

	if (!task)
		return SOFT_OUTCOME_FAILED;
	ret = mmun_soft_locks(soft_task_mm(task), visit_lock, &visit);
	if (ret)
		return soft_outcome(ret);
	return expect_number(call, &call->arg[1], "the number of locks", visit.number);
}

static const char *const entry_names[SOFT_NR_ENTRY] = {
	"present",    "swapped", "writable", "young", "dirty",
	"soft_dirty", "zero",    "huge",     "file",  "ksm",
};

static void entry_bits(struct soft_task *task, unsigned long address, struct mmun_soft_entry *entry,
		       bool *bit)
{
	mmun_soft_pagemap(soft_task_mm(task), address, entry);

	const bool bits[SOFT_NR_ENTRY] = {
		entry->present,    entry->swapped, entry->writable, entry->young, entry->dirty,
		entry->soft_dirty, entry->zero,    entry->huge,     entry->file,  entry->ksm,
	};

	memcpy(bit, bits, sizeof(bits));
}

static void show_entry(struct soft_call *call, struct soft_task *task, unsigned long address)
{
	struct mmun_soft_entry entry;
	bool bit[SOFT_NR_ENTRY];
	char words[160] = "";
	size_t used = 0;

	entry_bits(task, address, &entry, bit);
	for (int i = 0; i < SOFT_NR_ENTRY; i++)
		if (bit[i])
			used += (size_t)snprintf(words + used, sizeof(words) - used, " %s",
						 entry_names[i]);
	if (entry.present)
		snprintf(words + used, sizeof(words) - used, " frame %lu refs %ld maps %ld",
			 entry.pfn, entry.refcount, entry.mapcount);
	soft_say(call->world, SOFT_SAY_ANSWER, "entry",
		 SOFT_FIELDS(
			 SOFT_TEXT("task", task->name), SOFT_ADDRESS("address", address),
			 SOFT_BOOL("present", entry.present), SOFT_BOOL("swapped", entry.swapped),
			 SOFT_BOOL("writable", entry.writable), SOFT_BOOL("young", entry.young),
			 SOFT_BOOL("dirty", entry.dirty), SOFT_BOOL("soft_dirty", entry.soft_dirty),
			 SOFT_BOOL("zero", entry.zero), SOFT_BOOL("huge", entry.huge),
			 SOFT_BOOL("file", entry.file), SOFT_BOOL("ksm", entry.ksm),
			 SOFT_NUMBER("frame", entry.pfn), SOFT_NUMBER("refs", entry.refcount),
			 SOFT_NUMBER("maps", entry.mapcount)),
		 "%s 0x%lx:%s", task->name, address, words[0] ? words : " empty");
}

int soft_run_pagemap(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);
	unsigned long address, size, at;

	if (!task || !soft_value(call, &call->arg[1], &address) ||
	    !soft_value(call, &call->arg[2], &size))
		return SOFT_OUTCOME_FAILED;
	if (!call->arg[2].given)
		size = MMUN_SOFT_PAGE_SIZE;
	for (at = address; at - address < size; at += MMUN_SOFT_PAGE_SIZE)
		show_entry(call, task, at);
	return 0;
}

int soft_run_expect_pagemap(struct soft_call *call)
{
	struct soft_task *task = soft_object(call, &call->arg[0]);
	struct mmun_soft_entry entry;
	bool bit[SOFT_NR_ENTRY];
	unsigned long address;

	if (!task || !soft_value(call, &call->arg[1], &address))
		return SOFT_OUTCOME_FAILED;
	entry_bits(task, address, &entry, bit);
	for (int i = 0; i < 2 * SOFT_NR_ENTRY && i < SOFT_MAX_KEYWORDS; i++) {
		bool wanted = i < SOFT_NR_ENTRY;

		if (call->keyword[i].given && bit[i % SOFT_NR_ENTRY] != wanted)
			return soft_fail(call, "the entry was expected to be %s%s, and is%s",
					 wanted ? "" : "not ", entry_names[i % SOFT_NR_ENTRY],
					 wanted ? " not" : "");
	}
	return 0;
}

static void say_counter(struct soft_call *call, const char *name, unsigned long value)
{
	if (value)
		soft_say(call->world, SOFT_SAY_ANSWER, "counter",
			 SOFT_FIELDS(SOFT_TEXT("name", name), SOFT_NUMBER("value", value)),
			 "%s %lu", name, value);
}

int soft_run_stats(struct soft_call *call)
{
	const struct soft_symbol *of = call->arg[0].symbol;
	const char *name;

	if (!of) {
		for (unsigned long i = 0; i < NR_STATS; i++)
			say_counter(call, stat_names[i], stat_value(call->world, i));
		return 0;
	}
	if (!soft_object(call, &call->arg[0]))
		return SOFT_OUTCOME_FAILED;
	for (unsigned long i = 0; (name = soft_counter_name(of->kind, i)); i++)
		say_counter(call, name, soft_counter(of, i));
	return 0;
}

int soft_run_expect_stats(struct soft_call *call)
{
	unsigned long index = call->arg[0].number;

	return expect_number(call, &call->arg[1], stat_names[index],
			     stat_value(call->world, index));
}

int soft_run_expect_counter(struct soft_call *call)
{
	const struct soft_symbol *of = call->arg[0].symbol;
	unsigned long index = call->arg[1].number;

	if (!soft_object(call, &call->arg[0]))
		return SOFT_OUTCOME_FAILED;
	return expect_number(call, &call->arg[2], soft_counter_name(of->kind, index),
			     soft_counter(of, index));
}

int soft_run_print(struct soft_call *call)
{
	const char *text = call->arg[0].bytes;

	soft_say(call->world, SOFT_SAY_ANSWER, "print", SOFT_FIELDS(SOFT_TEXT("text", text)), "%s",
		 text);
	return 0;
}

/* The end. */

static void end_all(struct soft_world *world, enum soft_kind kind,
		    void (*end)(struct soft_symbol *symbol))
{
	struct soft_symbol *symbol;

	for (symbol = world->script->symbols; symbol; symbol = symbol->next)
		if (symbol->kind == kind && soft_object_peek(symbol))
			end(symbol);
}

static void free_object(struct soft_symbol *symbol)
{
	free(soft_object_peek(symbol));
}

int soft_teardown(struct soft_world *world)
{
	end_all(world, SOFT_INTERVAL, soft_interval_end);
	end_all(world, SOFT_NOTIFIER, soft_notifier_end);
	end_all(world, SOFT_DEVICE, soft_device_end);
	end_all(world, SOFT_KVM, soft_kvm_end);
	end_all(world, SOFT_TASK, soft_task_end);
	end_all(world, SOFT_CONTEXT, free_object);
	end_all(world, SOFT_GRU, soft_gru_end);
	end_all(world, SOFT_FILE, soft_file_end);
	if (!world->soft || !mmun_soft_destroy(world->soft))
		return 0;
	fputs("mmunotify soft: something of the machine is still in use at its end\n", stderr);
	return -1;
}
