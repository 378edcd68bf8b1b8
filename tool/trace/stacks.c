/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Call stacks kept once each.
 *
 * Modules are interned strings, so frames compare by address.  What it keeps grows with
 * the number of different stacks and not with that of events.
 * Tests: tests/unit/tool/record.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "intern.h"
#include "stacks.h"

struct stack {
	/* Another one with the same hash. */
	struct stack *next;
	uint32_t id;
	unsigned int nr;
	struct record_frame frames[];
};

struct stack_table {
	struct key_map by_hash;
	/* By number, from 0. */
	struct stack **stacks;
	uint32_t nr, max;
};

struct stack_table *stack_table_new(void)
{
	return calloc(1, sizeof(struct stack_table));
}

void stack_table_free(struct stack_table *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; i < table->nr; i++)
		free(table->stacks[i]);
	free(table->stacks);
	key_map_clear(&table->by_hash);
	free(table);
}

static uint64_t hash_of(const struct record *record)
{
	uint64_t hash = record->event.nr_frames;

	for (unsigned int i = 0; i < record->event.nr_frames; i++) {
		hash ^= (uintptr_t)record->event.frames[i].module + hash * 0x9e3779b97f4a7c15ull;
		hash = (hash << 23 | hash >> 41) * 0x9e3779b97f4a7c15ull;
		hash ^= record->event.frames[i].offset;
	}
	return hash;
}

static bool is_stack_of(const struct stack *stack, const struct record *record)
{
	if (stack->nr != record->event.nr_frames)
		return false;
	for (unsigned int i = 0; i < stack->nr; i++)
		if (stack->frames[i].module != record->event.frames[i].module ||
		    stack->frames[i].offset != record->event.frames[i].offset)
			return false;
	return true;
}

static int reserve(struct stack_table *table)
{
	uint32_t max = table->max ? table->max * 2 : 64;
	struct stack **stacks;

	if (table->nr < table->max)
		return 0;
	stacks = realloc(table->stacks, max * sizeof(struct stack *));
	if (!stacks)
		return -ENOMEM;
	table->stacks = stacks;
	table->max = max;
	return 0;
}

int stack_table_add(struct stack_table *table, const struct record *record, uint32_t *id)
{
	size_t bytes = record->event.nr_frames * sizeof(struct record_frame);
	struct stack *stack;
	uint64_t hash;
	void **place;

	if (!record->event.nr_frames) {
		*id = 0;
		return 0;
	}
	hash = hash_of(record);
	for (stack = key_map_find(&table->by_hash, hash); stack; stack = stack->next) {
		if (is_stack_of(stack, record)) {
			*id = stack->id;
			return 0;
		}
	}
	stack = malloc(sizeof(*stack) + bytes);
	place = stack && !reserve(table) ? key_map_place(&table->by_hash, hash) : NULL;
	if (!place) {
		free(stack);
		return -ENOMEM;
	}
	stack->next = *place;
	stack->nr = record->event.nr_frames;
	memcpy(stack->frames, record->event.frames, bytes);
	*place = stack;
	table->stacks[table->nr++] = stack;
	*id = stack->id = table->nr;
	return 0;
}

uint32_t stack_table_size(const struct stack_table *table)
{
	return table->nr;
}

const struct record_frame *stack_table_frames(const struct stack_table *table, uint32_t id,
					      unsigned int *nr)
{
	*nr = id ? table->stacks[id - 1]->nr : 0;
	return id ? table->stacks[id - 1]->frames : NULL;
}

static bool is_of_libc(const char *module)
{
	static const char *const names[] = { "libc.so.", "libc-2.", "ld-linux", "ld-2.",
					     "libpthread" };
	const char *base = module ? strrchr(module, '/') : NULL;

	for (size_t i = 0; base && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(base + 1, names[i], strlen(names[i])))
			return true;
	return false;
}

const struct record_frame *stack_caller(const struct record_frame *frames, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (!is_of_libc(frames[i].module))
			return &frames[i];
	return nr ? frames : NULL;
}
