/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events counted by what they have in common: the tables of --summary. */
#ifndef MMUN_TOOL_TRACE_SUMMARY_H
#define MMUN_TOOL_TRACE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output_options;
struct record;
struct stack_table;

/* What a table may be split by. */
enum summary_key {
	SUMMARY_OPERATION,
	SUMMARY_CLASS,
	SUMMARY_MAPPING,
	SUMMARY_PROCESS,
	SUMMARY_THREAD,
	SUMMARY_STACK,
	NR_SUMMARY_KEYS
};

enum summary_order {
	SUMMARY_BY_TIME,
	SUMMARY_BY_MEAN,
	SUMMARY_BY_MAX,
	SUMMARY_BY_EVENTS,
	SUMMARY_BY_ERRORS,
	SUMMARY_BY_UNCHANGED,
	SUMMARY_BY_BYTES,
	SUMMARY_BY_NAME,
	NR_SUMMARY_ORDERS
};

#define SUMMARY_MAX_TABLES 8

/* One table: a row for each combination of these. */
struct summary_split {
	unsigned int nr;
	enum summary_key keys[NR_SUMMARY_KEYS];
};

struct summary_options {
	/* 0: the usual tables. */
	unsigned int nr;
	struct summary_split splits[SUMMARY_MAX_TABLES];
	enum summary_order order;
	/* Rows of a table; UINT64_MAX: all; 0: the usual number. */
	uint64_t top;
};

const char *summary_key_name(enum summary_key key);

/* For the options (output.h); all say what is wrong and return 0 or the exit status. */
int summary_take_keys(struct output_options *options, const char *command, const char *keys);
int summary_take_order(struct output_options *options, const char *command, const char *order);
int summary_take_top(struct output_options *options, const char *command, const char *number);

/* What one key is of one event.  Equal values are equal in both members. */
struct summary_value {
	uint64_t number;
	const char *text;
};

struct summary_row {
	/* Another one of the same hash. */
	struct summary_row *next;
	/* In the order of appearance, from 0. */
	uint64_t order;
	uint64_t events, errors, unchanged, bytes, time, max;
	/* Of the table's keys. */
	struct summary_value values[];
};

struct summary;

/* NULL when there is no memory. */
struct summary *summary_new(const struct output_options *options);
void summary_free(struct summary *summary);
/* Return: 0 or -ENOMEM. */
int summary_take(struct summary *summary, const struct record *record);

unsigned int summary_nr_tables(const struct summary *summary);
const struct summary_split *summary_split(const struct summary *summary, unsigned int table);
uint64_t summary_nr_rows(const struct summary *summary, unsigned int table);
/* Sums of all rows; no values. */
const struct summary_row *summary_total(const struct summary *summary, unsigned int table);
/* The rows, sorted, and NULL behind them; to be freed.  NULL when there is no memory. */
struct summary_row **summary_rows(const struct summary *summary, unsigned int table);
/* What -k --summary and --summary=stack count by. */
const struct stack_table *summary_stacks(const struct summary *summary);
uint64_t summary_processes(const struct summary *summary);
/* Programs that are not traced: each of the *@nr with how often that was so. */
struct summary_unfollowed {
	const char *exe, *reason;
	uint64_t count;
};
const struct summary_unfollowed *summary_unfollowed(const struct summary *summary, uint64_t *nr);
/* A record of type RECORD_LOST; all 0 when nothing was lost. */
const struct record *summary_lost(const struct summary *summary);

/* "munmap", "heap", "1234 make": a value for people, escaped; a stack is left to the caller. */
void summary_describe(enum summary_key key, const struct summary_value *value, char *out,
		      size_t size);

/* Adds the numbers of @row to those of @sum. */
void summary_add(struct summary_row *sum, const struct summary_row *row);

#endif
