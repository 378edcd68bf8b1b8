/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --filter: which events are shown.  The language is in mmunotify-trace(1). */
#ifndef MMUN_TOOL_TRACE_FILTER_H
#define MMUN_TOOL_TRACE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define FILTER_MAX_TERMS 16

enum filter_key {
	FILTER_OP,
	FILTER_CLASS,
	FILTER_RANGE,
	FILTER_NAME,
	FILTER_SIZE,
	FILTER_ADDR,
	FILTER_PID,
	FILTER_TID,
	FILTER_OUTCOME,
	NR_FILTER_KEYS
};

enum filter_relation { FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct filter_term {
	enum filter_key key;
	enum filter_relation relation;
	/* One bit per allowed word, for keys with words. */
	uint64_t words;
	uint64_t low, high;
	/* A shell pattern for names; owned. */
	char *pattern;
};

/* All terms must hold; no term: everything passes. */
struct filter {
	unsigned int nr;
	struct filter_term terms[FILTER_MAX_TERMS];
};

/* Where and why an expression is wrong. */
struct filter_error {
	/* From 1. */
	size_t column;
	char text[512];
};

/* Return: 0, or -EINVAL with @error filled and @filter without new terms. */
int filter_parse(struct filter *filter, const char *text, struct filter_error *error);
/* Does the event pass?  Records that are no events always do. */
bool filter_match(const struct filter *filter, const struct record *record);
void filter_clear(struct filter *filter);

/* "64K", "1M", "4096", "0x1000": Return 0 or -EINVAL. */
int filter_parse_size(const char *text, size_t length, uint64_t *out);

#endif
