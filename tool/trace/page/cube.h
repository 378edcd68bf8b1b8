/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events gathered into cells: sums are exact, places in time and address become coarser
 * as events come, so that memory stays bounded.
 */
#ifndef MMUN_TOOL_TRACE_PAGE_CUBE_H
#define MMUN_TOOL_TRACE_PAGE_CUBE_H

#include <stddef.h>
#include <stdint.h>

/* What keeps the cells of one time apart. */
enum cube_dimension {
	CUBE_PROCESS,
	CUBE_THREAD,
	CUBE_MAPPING,
	CUBE_STACK,
	CUBE_OUTCOME,
	CUBE_OPERATION,
	CUBE_CLASS,
	CUBE_DIMENSIONS,
	/* Not one number: the range. */
	CUBE_ADDRESS = CUBE_DIMENSIONS,
};

#define CUBE_BIT(dimension) (1u << (dimension))
#define CUBE_ALL            (CUBE_BIT(CUBE_ADDRESS + 1) - 1)

struct cube_key {
	/* Of the start of the section, in bins of 1 << time_shift ns since the trace began. */
	uint64_t bin;
	uint64_t start, end;
	uint32_t by[CUBE_DIMENSIONS];
	uint32_t zero;
};

struct cube_sum {
	uint64_t count, bytes, time, max;
};

struct cube_cell {
	struct cube_key key;
	struct cube_sum sum;
	/* Of its values and of its range, when it is printed. */
	uint32_t combination, range;
};

/* How coarse cells are; a cube goes from one level to the next when it is full. */
struct cube_level {
	unsigned int dimensions;
	/* Into how many steps a region of addresses is divided; 0: none, addresses are exact. */
	unsigned int lines;
	/* 0: as many as there are. */
	uint64_t max_bins;
};

/*
 * What is used of addresses that agree above CUBE_REGION_SHIFT: a heap of some megabytes is
 * not seen in steps that suit an arena of terabytes.
 */
struct cube_region {
	/* From 1; 0: a free entry. */
	uint64_t number;
	uint64_t lo, hi;
};

#define CUBE_REGION_SHIFT 30
#define CUBE_MAX_REGIONS  1024
/* Ranges above this size are everywhere: they are left as they are. */
#define CUBE_EVERYWHERE ((uint64_t)1 << 45)

struct cube {
	const char *name;
	/* At the last one there are fewer than max cells whatever comes. */
	const struct cube_level *levels;
	size_t nr_levels, level;
	unsigned int time_shift;
	uint64_t last_bin;
	/* The last one is shared by all that found the others taken. */
	struct cube_region *regions;
	size_t nr_regions;
	struct cube_cell *cells;
	size_t nr, max;
	uint32_t *index;
	size_t index_size;
};

/* Return: 0 or -ENOMEM.  @max cells at most are kept. */
int cube_init(struct cube *cube, const char *name, const struct cube_level *levels,
	      size_t nr_levels, size_t max);
void cube_clear(struct cube *cube);

/* cube_add() - @key's bin is in nanoseconds, below 1 << 62.  Never fails. */
void cube_add(struct cube *cube, const struct cube_key *key, const struct cube_sum *sum);
/* cube_renumber() - values v of @dimension become to[v]. */
void cube_renumber(struct cube *cube, enum cube_dimension dimension, const uint32_t *to);

static inline const struct cube_level *cube_level(const struct cube *cube)
{
	return &cube->levels[cube->level];
}

/* The smallest and the largest step of addresses in use; 1: exact. */
void cube_steps(const struct cube *cube, uint64_t *least, uint64_t *most);

void cube_sum_add(struct cube_sum *to, const struct cube_sum *sum);

#endif
