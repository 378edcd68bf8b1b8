/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names with numbers.
 *
 * Invariants: the sums of all names are those of all events; number 0 is what was folded.
 * A name that comes back after it was folded counts anew, and what it had is among the
 * others.  Frames of stacks are owned.  Tests: tests/unit/tool/cube.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

int names_init(struct names *names, uint32_t max, bool stacks)
{
	*names = (struct names){ .nr = 1, .max = max, .stacks = stacks };
	names->names = calloc(max, sizeof(*names->names));
	return names->names ? 0 : -ENOMEM;
}

void names_clear(struct names *names)
{
	for (uint32_t i = 1; names->stacks && i < names->nr; i++)
		free(names->names[i].stack.frames);
	free(names->names);
	key_map_clear(&names->by_key);
	memset(names, 0, sizeof(*names));
}

uint32_t names_find(const struct names *names, uint64_t key)
{
	return (uint32_t)(uintptr_t)key_map_find(&names->by_key, key);
}

static int remember(struct names *names, uint32_t number)
{
	void **place = key_map_place(&names->by_key, names->names[number].key);

	if (!place)
		return -ENOMEM;
	*place = (void *)(uintptr_t)number;
	return 0;
}

uint32_t names_new(struct names *names, uint64_t key)
{
	names->names[names->nr] = (struct name){ .key = key };
	return remember(names, names->nr) ? NAMES_OTHER : names->nr++;
}

static int by_worth(const void *a, const void *b)
{
	const struct name *left = *(struct name *const *)a, *right = *(struct name *const *)b;

	if (left->closed != right->closed)
		return left->closed ? 1 : -1;
	if (left->sum.time != right->sum.time)
		return left->sum.time > right->sum.time ? -1 : 1;
	/* Of equal ones the newer: it has had less time to become more. */
	return left > right ? -1 : 1;
}

/* Marks in @to, by 1, the names that stay. */
static int choose(const struct names *names, uint32_t *to)
{
	struct name **order = malloc(names->nr * sizeof(struct name *));

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 1; i < names->nr; i++)
		order[i - 1] = &names->names[i];
	qsort(order, names->nr - 1, sizeof(struct name *), by_worth);
	for (uint32_t i = 0; i < names->nr / 2; i++)
		to[order[i] - names->names] = 1;
	free(order);
	return 0;
}

void names_find_anew(struct names *names)
{
	key_map_clear(&names->by_key);
	for (uint32_t i = 1; i < names->nr; i++)
		if (!names->names[i].closed)
			remember(names, i);
}

uint32_t *names_fold(struct names *names)
{
	uint32_t *to = calloc(names->nr, sizeof(*to)), nr = 1;

	if (!to || choose(names, to)) {
		free(to);
		return NULL;
	}
	for (uint32_t i = 1; i < names->nr; i++) {
		if (!to[i]) {
			cube_sum_add(&names->names[NAMES_OTHER].sum, &names->names[i].sum);
			names->folded++;
			if (names->stacks)
				free(names->names[i].stack.frames);
			continue;
		}
		to[i] = nr;
		names->names[nr++] = names->names[i];
	}
	names->nr = nr;
	names_find_anew(names);
	return to;
}
