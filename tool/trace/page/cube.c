/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events gathered into cells.
 *
 * Invariants: the sums of all cells are those of all events at every level; there are
 * never more than max cells; a coarser cell covers what its parts covered, so nothing is
 * drawn where less than something happened.  Cells are found by hashing; a step to a
 * coarser level builds the table anew.  It knows no event and prints nothing.
 * Tests: tests/unit/tool/cube.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cube.h"

int cube_init(struct cube *cube, const char *name, const struct cube_level *levels,
	      size_t nr_levels, size_t max)
{
	*cube = (struct cube){
		.name = name,
		.levels = levels,
		.nr_levels = nr_levels,
		.max = max,
		.index_size = 64,
	};
	while (cube->index_size < 2 * max)
		cube->index_size *= 2;
	cube->cells = malloc(max * sizeof(*cube->cells));
	cube->index = calloc(cube->index_size, sizeof(*cube->index));
	cube->regions = calloc(CUBE_MAX_REGIONS + 1, sizeof(*cube->regions));
	if (cube->cells && cube->index && cube->regions)
		return 0;
	cube_clear(cube);
	return -ENOMEM;
}

void cube_clear(struct cube *cube)
{
	free(cube->cells);
	free(cube->index);
	free(cube->regions);
	memset(cube, 0, sizeof(*cube));
}

void cube_sum_add(struct cube_sum *to, const struct cube_sum *sum)
{
	to->count += sum->count;
	to->bytes += sum->bytes;
	to->time += sum->time;
	if (sum->max > to->max)
		to->max = sum->max;
}

static uint64_t hash_of(const struct cube_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint64_t hash = 0, word;

	_Static_assert(sizeof(*key) % sizeof(word) == 0, "whole words, no padding");
	for (size_t i = 0; i < sizeof(*key); i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return hash;
}

/* The place in the index of the cell with @key, or of none. */
static uint32_t *find(const struct cube *cube, const struct cube_key *key)
{
	size_t i = hash_of(key) & (cube->index_size - 1);

	while (cube->index[i] &&
	       memcmp(&cube->cells[cube->index[i] - 1].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (cube->index_size - 1);
	return &cube->index[i];
}

static struct cube_region *region_of(const struct cube *cube, uint64_t address)
{
	uint64_t number = (address >> CUBE_REGION_SHIFT) + 1;
	size_t i = (number * 0x9e3779b97f4a7c15ull) >> 32 & (CUBE_MAX_REGIONS - 1);

	while (cube->regions[i].number && cube->regions[i].number != number)
		i = (i + 1) & (CUBE_MAX_REGIONS - 1);
	if (cube->regions[i].number || cube->nr_regions < CUBE_MAX_REGIONS * 3 / 4)
		return &cube->regions[i];
	return &cube->regions[CUBE_MAX_REGIONS];
}

/* The region is what is used of it. */
static void use_region(struct cube *cube, const struct cube_key *key)
{
	struct cube_region *region = region_of(cube, key->start);

	if (!region->number) {
		region->number = (key->start >> CUBE_REGION_SHIFT) + 1;
		region->lo = key->start;
		cube->nr_regions++;
	}
	if (key->start < region->lo)
		region->lo = key->start;
	if (key->end > region->hi)
		region->hi = key->end;
}

static uint64_t step_of(const struct cube_region *region, unsigned int lines)
{
	uint64_t step = 4096;

	while (step < (region->hi - region->lo) / lines)
		step *= 2;
	return step;
}

void cube_steps(const struct cube *cube, uint64_t *least, uint64_t *most)
{
	unsigned int lines = cube_level(cube)->lines;

	*least = *most = lines ? 0 : 1;
	for (size_t i = 0; lines && i <= CUBE_MAX_REGIONS; i++) {
		uint64_t step;

		if (!cube->regions[i].number)
			continue;
		step = step_of(&cube->regions[i], lines);
		*least = !*least || step < *least ? step : *least;
		*most = step > *most ? step : *most;
	}
}

static void coarsen_range(const struct cube *cube, struct cube_key *key, unsigned int lines)
{
	uint64_t mask;

	if (!lines || key->end - key->start > CUBE_EVERYWHERE)
		return;
	mask = step_of(region_of(cube, key->start), lines) - 1;
	key->start &= ~mask;
	key->end = key->end > ~mask ? UINT64_MAX : (key->end + mask) & ~mask;
}

static void coarsen_key(const struct cube *cube, struct cube_key *key)
{
	const struct cube_level *level = cube_level(cube);

	for (unsigned int d = 0; d < CUBE_DIMENSIONS; d++)
		if (!(level->dimensions & CUBE_BIT(d)))
			key->by[d] = 0;
	if (level->dimensions & CUBE_BIT(CUBE_ADDRESS))
		coarsen_range(cube, key, level->lines);
	else
		key->start = key->end = 0;
}

/* Puts the cells back under their keys, which may have become equal. */
static void rebuild(struct cube *cube)
{
	size_t nr = cube->nr;

	memset(cube->index, 0, cube->index_size * sizeof(*cube->index));
	cube->nr = 0;
	for (size_t i = 0; i < nr; i++) {
		struct cube_cell cell = cube->cells[i];
		uint32_t *place = find(cube, &cell.key);

		if (*place) {
			cube_sum_add(&cube->cells[*place - 1].sum, &cell.sum);
			continue;
		}
		cube->cells[cube->nr] = cell;
		*place = (uint32_t)++cube->nr;
	}
}

/* Applies the level to all cells, with as many doublings of the bins as it asks for. */
static void coarsen(struct cube *cube)
{
	const struct cube_level *level = cube_level(cube);
	unsigned int shift = 0;

	while (level->max_bins && cube->last_bin >> shift >= level->max_bins)
		shift++;
	cube->time_shift += shift;
	cube->last_bin >>= shift;
	for (size_t i = 0; i < cube->nr; i++) {
		cube->cells[i].key.bin >>= shift;
		coarsen_key(cube, &cube->cells[i].key);
	}
	rebuild(cube);
}

/* A level that frees an eighth at least, so that steps are rare. */
static void make_room(struct cube *cube)
{
	while (cube->nr > cube->max - cube->max / 8 && cube->level + 1 < cube->nr_levels) {
		cube->level++;
		coarsen(cube);
	}
}

void cube_add(struct cube *cube, const struct cube_key *key, const struct cube_sum *sum)
{
	struct cube_key at = *key;
	uint32_t *place;

	if (key->end - key->start <= CUBE_EVERYWHERE)
		use_region(cube, key);
	at.bin >>= cube->time_shift;
	if (cube_level(cube)->max_bins && at.bin >= cube_level(cube)->max_bins) {
		cube->last_bin = at.bin;
		coarsen(cube);
		at.bin = key->bin >> cube->time_shift;
	}
	coarsen_key(cube, &at);
	place = find(cube, &at);
	if (!*place && cube->nr == cube->max) {
		make_room(cube);
		cube_add(cube, key, sum);
		return;
	}
	if (at.bin > cube->last_bin)
		cube->last_bin = at.bin;
	if (!*place) {
		cube->cells[cube->nr] = (struct cube_cell){ .key = at };
		*place = (uint32_t)++cube->nr;
	}
	cube_sum_add(&cube->cells[*place - 1].sum, sum);
}

void cube_renumber(struct cube *cube, enum cube_dimension dimension, const uint32_t *to)
{
	if (!(cube_level(cube)->dimensions & CUBE_BIT(dimension)))
		return;
	for (size_t i = 0; i < cube->nr; i++)
		cube->cells[i].key.by[dimension] = to[cube->cells[i].key.by[dimension]];
	rebuild(cube);
}
