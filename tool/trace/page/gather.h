/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a page shows, gathered from records in bounded memory. */
#ifndef MMUN_TOOL_TRACE_PAGE_GATHER_H
#define MMUN_TOOL_TRACE_PAGE_GATHER_H

#include "cube.h"
#include "names.h"

/* Outcomes as numbers: these two, and above them errno. */
#define OUTCOME_OK        0
#define OUTCOME_UNCHANGED 1
#define OUTCOME_ERRNO     2

/* The dimensions whose values are numbered as they come are the first ones. */
#define PAGE_NAMES (CUBE_OUTCOME + 1)

enum { PAGE_MAP, PAGE_LANES, PAGE_STACKS, PAGE_CUBES };

/* A program that was not traced, and how often. */
struct unfollowed {
	/* NULL: not known. */
	const char *exe;
	const char *reason;
	uint64_t count;
};

/* The last one is all others. */
#define PAGE_UNFOLLOWED 32

struct gathered {
	uint64_t begin;
	/* The last thing seen, ns since begin. */
	uint64_t duration;
	struct cube_sum sum;
	struct names names[PAGE_NAMES];
	struct cube cubes[PAGE_CUBES];
	uint64_t processes;
	struct record lost;
	struct unfollowed unfollowed[PAGE_UNFOLLOWED];
	bool ended;
	int wait_status;
};

/* NULL without memory. */
struct gathered *gather_new(const struct record_header *header);
void gather_free(struct gathered *gathered);
/* Return: 0 or -ENOMEM. */
int gather_record(struct gathered *gathered, const struct record *record);

#endif
