/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables of --summary: counts, bytes and times by operation, mapping, process...
 *
 * A row is found by the values of its keys, numbers and interned texts, so that nothing is
 * printed or compared as text while events come; what it keeps grows with the rows and not
 * with the events.  Processes and releases are counted, not listed.
 * Tests: tests/system/trace_events.py, tests/system/trace_summary.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "command.h"
#include "intern.h"
#include "output.h"
#include "processes.h"
#include "stacks.h"
#include "summary.h"

struct table {
	struct summary_split split;
	struct key_map by_hash;
	uint64_t nr;
	struct summary_row total;
};

struct summary {
	const struct output_options *options;
	unsigned int nr;
	struct table tables[SUMMARY_MAX_TABLES];
	struct stack_table *stacks;
	struct process_table *processes;
	uint64_t nr_processes;
	struct record lost;
	struct summary_unfollowed *unfollowed;
	uint64_t nr_unfollowed;
};

static const char *const key_names[NR_SUMMARY_KEYS] = {
	[SUMMARY_OPERATION] = "operation", [SUMMARY_CLASS] = "class",
	[SUMMARY_MAPPING] = "mapping",     [SUMMARY_PROCESS] = "process",
	[SUMMARY_THREAD] = "thread",       [SUMMARY_STACK] = "stack",
};

const char *summary_key_name(enum summary_key key)
{
	return key_names[key];
}

/* The number of the word of @length at @text, or -1. */
static int find_word(const char *const *words, int nr, const char *text, size_t length)
{
	for (int i = 0; i < nr; i++)
		if (strlen(words[i]) == length && !strncmp(words[i], text, length))
			return i;
	return -1;
}

int summary_take_keys(struct output_options *options, const char *command, const char *keys)
{
	struct summary_options *summary = &options->summary;
	struct summary_split *split = NULL;
	size_t length;

	if (!keys)
		return 0;
	for (summary->nr = 0;; keys += length + 1) {
		int key;

		length = strcspn(keys, ",+");
		key = find_word(key_names, NR_SUMMARY_KEYS, keys, length);
		if (key < 0)
			return mmunotify_usage_error(
				command,
				"--summary: there is no key '%.*s', only operation, class, mapping, "
				"process, thread and stack",
				(int)length, keys);
		if (!split && summary->nr == SUMMARY_MAX_TABLES)
			return mmunotify_usage_error(command, "--summary: %d tables are the most",
						     SUMMARY_MAX_TABLES);
		if (!split) {
			split = &summary->splits[summary->nr++];
			split->nr = 0;
		}
		for (unsigned int i = 0; i < split->nr; i++)
			if (split->keys[i] == (enum summary_key)key)
				return mmunotify_usage_error(command,
							     "--summary: '%s' stands twice in a "
							     "table",
							     key_names[key]);
		split->keys[split->nr++] = (enum summary_key)key;
		options->stacks |= key == SUMMARY_STACK;
		if (keys[length] == ',')
			split = NULL;
		if (!keys[length])
			return 0;
	}
}

int summary_take_order(struct output_options *options, const char *command, const char *order)
{
	static const char *const orders[NR_SUMMARY_ORDERS] = {
		[SUMMARY_BY_TIME] = "time",     [SUMMARY_BY_MEAN] = "mean",
		[SUMMARY_BY_MAX] = "max",       [SUMMARY_BY_EVENTS] = "events",
		[SUMMARY_BY_ERRORS] = "errors", [SUMMARY_BY_UNCHANGED] = "unchanged",
		[SUMMARY_BY_BYTES] = "bytes",   [SUMMARY_BY_NAME] = "name",
	};
	/* As strace calls them, in the same order. */
	static const char *const others[NR_SUMMARY_ORDERS] = {
		[SUMMARY_BY_TIME] = "total-time", [SUMMARY_BY_MEAN] = "avg-time",
		[SUMMARY_BY_MAX] = "max-time",    [SUMMARY_BY_EVENTS] = "calls",
		[SUMMARY_BY_ERRORS] = "error",    [SUMMARY_BY_UNCHANGED] = "unchanged",
		[SUMMARY_BY_BYTES] = "size",      [SUMMARY_BY_NAME] = "syscall",
	};
	int number = find_word(orders, NR_SUMMARY_ORDERS, order, strlen(order));

	if (number < 0)
		number = find_word(others, NR_SUMMARY_ORDERS, order, strlen(order));
	if (number < 0)
		return mmunotify_usage_error(
			command,
			"--sort is time, mean, max, events, errors, unchanged, "
			"bytes or name, not '%s'",
			order);
	options->summary.order = (enum summary_order)number;
	return 0;
}

int summary_take_top(struct output_options *options, const char *command, const char *number)
{
	char *end = NULL;
	unsigned long long top;

	if (!strcmp(number, "all")) {
		options->summary.top = UINT64_MAX;
		return 0;
	}
	errno = 0;
	top = strtoull(number, &end, 10);
	if (*number < '0' || *number > '9' || *end || errno || !top)
		return mmunotify_usage_error(command, "--top is a number of rows or all, not '%s'",
					     number);
	options->summary.top = top;
	return 0;
}

static void add_table(struct summary *summary, enum summary_key key)
{
	struct table *table = &summary->tables[summary->nr++];

	table->split = (struct summary_split){ 1, { key } };
}

struct summary *summary_new(const struct output_options *options)
{
	struct summary *summary = calloc(1, sizeof(*summary));

	if (!summary)
		return NULL;
	summary->options = options;
	summary->stacks = stack_table_new();
	summary->processes = process_table_new();
	if (!summary->stacks || !summary->processes) {
		summary_free(summary);
		return NULL;
	}
	for (unsigned int i = 0; i < options->summary.nr; i++)
		summary->tables[summary->nr++].split = options->summary.splits[i];
	if (summary->nr)
		return summary;
	add_table(summary, SUMMARY_OPERATION);
	add_table(summary, SUMMARY_MAPPING);
	if (options->stacks)
		add_table(summary, SUMMARY_STACK);
	return summary;
}

void summary_free(struct summary *summary)
{
	for (unsigned int t = 0; t < summary->nr; t++) {
		struct key_map *map = &summary->tables[t].by_hash;

		for (size_t i = 0; i < map->size; i++) {
			struct summary_row *row = map->entries[i].value, *next;

			for (; row; row = next) {
				next = row->next;
				free(row);
			}
		}
		key_map_clear(map);
	}
	stack_table_free(summary->stacks);
	process_table_free(summary->processes);
	free(summary->unfollowed);
	free(summary);
}

static struct summary_value value_of(const struct summary *summary, enum summary_key key,
				     const struct record *record, uint32_t stack)
{
	switch (key) {
	case SUMMARY_OPERATION:
		return (struct summary_value){ record->event.op, NULL };
	case SUMMARY_CLASS:
		return (struct summary_value){ record->event.event, NULL };
	case SUMMARY_MAPPING:
		return (struct summary_value){ record->event.kind, record->event.name };
	case SUMMARY_PROCESS:
		return (struct summary_value){ record->pid, process_table_comm(summary->processes,
									       record->pid) };
	case SUMMARY_THREAD:
		return (struct summary_value){ (uint64_t)record->pid << 32 | record->tid,
					       process_table_comm(summary->processes,
								  record->pid) };
	case SUMMARY_STACK:
	case NR_SUMMARY_KEYS:
		break;
	}
	return (struct summary_value){ stack, NULL };
}

static struct summary_row *row_of(struct table *table, const struct summary_value *values)
{
	size_t bytes = table->split.nr * sizeof(*values);
	uint64_t hash = table->split.nr;
	struct summary_row *row;
	void **place;

	for (unsigned int i = 0; i < table->split.nr; i++) {
		hash = (hash ^ values[i].number) * 0x9e3779b97f4a7c15ull;
		hash = (hash ^ hash >> 29 ^ (uintptr_t)values[i].text) * 0xbf58476d1ce4e5b9ull;
	}
	for (row = key_map_find(&table->by_hash, hash); row; row = row->next)
		if (!memcmp(row->values, values, bytes))
			return row;
	row = calloc(1, sizeof(*row) + bytes);
	place = row ? key_map_place(&table->by_hash, hash) : NULL;
	if (!place) {
		free(row);
		return NULL;
	}
	memcpy(row->values, values, bytes);
	row->order = table->nr++;
	row->next = *place;
	*place = row;
	return row;
}

void summary_add(struct summary_row *sum, const struct summary_row *row)
{
	sum->events += row->events;
	sum->errors += row->errors;
	sum->unchanged += row->unchanged;
	sum->bytes += row->bytes;
	sum->time += row->time;
	if (row->max > sum->max)
		sum->max = row->max;
}

static int take_event(struct summary *summary, const struct record *record)
{
	struct summary_row one = {
		.events = 1,
		.errors = (record->flags & RING_HAS_RESULT) && record->event.result < 0,
		.unchanged = !!(record->flags & RING_UNCHANGED),
		.time = record->event.duration,
		.max = record->event.duration,
	};
	struct summary_value values[NR_SUMMARY_KEYS];
	uint32_t stack = 0;

	/* Of a fork nobody can say how much it write-protects. */
	if (record->event.kind != MAPPING_ALL)
		one.bytes = record->event.end - record->event.start;
	if (summary->options->stacks && stack_table_add(summary->stacks, record, &stack))
		return -ENOMEM;
	for (unsigned int t = 0; t < summary->nr; t++) {
		struct table *table = &summary->tables[t];
		struct summary_row *row;

		for (unsigned int i = 0; i < table->split.nr; i++)
			values[i] = value_of(summary, table->split.keys[i], record, stack);
		row = row_of(table, values);
		if (!row)
			return -ENOMEM;
		summary_add(row, &one);
		summary_add(&table->total, &one);
	}
	return 0;
}

static int take_unfollowed(struct summary *summary, const struct record *record)
{
	struct summary_unfollowed *more;

	for (uint64_t i = 0; i < summary->nr_unfollowed; i++) {
		more = &summary->unfollowed[i];
		if (!strcmp(more->exe, record->unfollowed.exe) &&
		    !strcmp(more->reason, record->unfollowed.reason)) {
			more->count++;
			return 0;
		}
	}
	more = realloc(summary->unfollowed, (summary->nr_unfollowed + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	summary->unfollowed = more;
	more[summary->nr_unfollowed++] =
		(struct summary_unfollowed){ record->unfollowed.exe, record->unfollowed.reason, 1 };
	return 0;
}

int summary_take(struct summary *summary, const struct record *record)
{
	switch (record->type) {
	case RECORD_EVENT:
		return take_event(summary, record);
	case RECORD_PROCESS:
		summary->nr_processes++;
		return process_table_take(summary->processes, record);
	case RECORD_UNFOLLOWED:
		return take_unfollowed(summary, record);
	case RECORD_LOST:
		summary->lost = *record;
		break;
	case RECORD_RELEASE:
	case RECORD_END:
		break;
	}
	return 0;
}

unsigned int summary_nr_tables(const struct summary *summary)
{
	return summary->nr;
}

const struct summary_split *summary_split(const struct summary *summary, unsigned int table)
{
	return &summary->tables[table].split;
}

uint64_t summary_nr_rows(const struct summary *summary, unsigned int table)
{
	return summary->tables[table].nr;
}

const struct summary_row *summary_total(const struct summary *summary, unsigned int table)
{
	return &summary->tables[table].total;
}

const struct stack_table *summary_stacks(const struct summary *summary)
{
	return summary->stacks;
}

uint64_t summary_processes(const struct summary *summary)
{
	return summary->nr_processes;
}

const struct summary_unfollowed *summary_unfollowed(const struct summary *summary, uint64_t *nr)
{
	*nr = summary->nr_unfollowed;
	return summary->unfollowed;
}

const struct record *summary_lost(const struct summary *summary)
{
	return &summary->lost;
}

void summary_describe(enum summary_key key, const struct summary_value *value, char *out,
		      size_t size)
{
	struct record record = { .type = RECORD_EVENT };
	char comm[128];

	terminal_escape(value->text ? value->text : "", comm, sizeof(comm));
	switch (key) {
	case SUMMARY_OPERATION:
		snprintf(out, size, "%s", mmun_op_name((enum mmun_op)value->number));
		break;
	case SUMMARY_CLASS:
		snprintf(out, size, "%s", record_event_name((unsigned int)value->number));
		break;
	case SUMMARY_MAPPING:
		record.event.kind = (unsigned int)value->number;
		record.event.name = value->text;
		output_mapping(&record, false, out, size);
		break;
	case SUMMARY_PROCESS:
		snprintf(out, size, "%u %s", (uint32_t)value->number, comm);
		break;
	case SUMMARY_THREAD:
		snprintf(out, size, "%u/%u %s", (uint32_t)(value->number >> 32),
			 (uint32_t)value->number, comm);
		break;
	case SUMMARY_STACK:
	case NR_SUMMARY_KEYS:
		snprintf(out, size, "#%llu", (unsigned long long)value->number);
		break;
	}
}

/* What sorting needs: qsort() passes nothing on. */
struct ranked {
	struct summary_row *row;
	uint64_t rank;
	const struct summary_split *split;
};

static uint64_t rank_of(const struct summary_row *row, enum summary_order order)
{
	switch (order) {
	case SUMMARY_BY_TIME:
		return row->time;
	case SUMMARY_BY_MEAN:
		return row->time / row->events;
	case SUMMARY_BY_MAX:
		return row->max;
	case SUMMARY_BY_EVENTS:
		return row->events;
	case SUMMARY_BY_ERRORS:
		return row->errors;
	case SUMMARY_BY_UNCHANGED:
		return row->unchanged;
	case SUMMARY_BY_BYTES:
		return row->bytes;
	case SUMMARY_BY_NAME:
	case NR_SUMMARY_ORDERS:
		break;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;
	char names[2][3 * RING_MAX_TEXT];

	if (left->rank != right->rank)
		return left->rank < right->rank ? 1 : -1;
	for (unsigned int i = 0; i < left->split->nr; i++) {
		const struct summary_value *values[2] = { &left->row->values[i],
							  &right->row->values[i] };
		enum summary_key key = left->split->keys[i];

		if (!memcmp(values[0], values[1], sizeof(*values[0])))
			continue;
		/* By number are those that people know by number. */
		if (key >= SUMMARY_PROCESS && values[0]->number != values[1]->number)
			return values[0]->number < values[1]->number ? -1 : 1;
		for (int side = 0; side < 2; side++)
			summary_describe(key, values[side], names[side], sizeof(names[side]));
		if (strcmp(names[0], names[1]))
			return strcmp(names[0], names[1]);
	}
	return left->row->order < right->row->order ? -1 : 1;
}

struct summary_row **summary_rows(const struct summary *summary, unsigned int t)
{
	const struct table *table = &summary->tables[t];
	struct summary_row **rows = calloc(table->nr + 1, sizeof(*rows));
	struct ranked *ranked = calloc(table->nr + 1, sizeof(*ranked));
	uint64_t nr = 0;

	if (!rows || !ranked) {
		free(rows);
		rows = NULL;
		goto out;
	}
	for (size_t i = 0; i < table->by_hash.size; i++) {
		struct summary_row *row = table->by_hash.entries[i].value;

		for (; row; row = row->next)
			ranked[nr++] =
				(struct ranked){ row, rank_of(row, summary->options->summary.order),
						 &table->split };
	}
	qsort(ranked, nr, sizeof(*ranked), compare);
	for (uint64_t i = 0; i < nr; i++)
		rows[i] = ranked[i].row;
out:
	free(ranked);
	return rows;
}
