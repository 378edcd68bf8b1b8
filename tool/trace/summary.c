/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --summary: counts, bytes and times per operation and per mapping, largest time first.
 *
 * A row is found by its interned name.  Processes and releases are counted, not
 * listed.  Tests: tests/system/trace_events.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "intern.h"
#include "json.h"
#include "output.h"

struct row {
	const char *name;
	uint64_t count, unchanged, bytes, time, max;
};

struct table {
	const char *title;
	struct key_map rows;
};

struct summary {
	struct intern *intern;
	struct table operations, mappings;
	uint64_t processes;
	struct record lost;
};

static int summary_open(struct sink *sink, const struct record_header *header)
{
	struct summary *summary = calloc(1, sizeof(*summary));

	if (!summary)
		return -ENOMEM;
	summary->intern = intern_new();
	if (!summary->intern) {
		free(summary);
		return -ENOMEM;
	}
	summary->operations.title = "operation";
	summary->mappings.title = "mapping";
	sink->state = summary;
	return 0;
}

static void add_to_row(struct row *row, const struct record *record)
{
	row->count++;
	row->unchanged += !!(record->flags & RING_UNCHANGED);
	/* Of a fork nobody can say how much it write-protects. */
	if (record->event.kind != MAPPING_ALL)
		row->bytes += record->event.end - record->event.start;
	row->time += record->event.duration;
	if (record->event.duration > row->max)
		row->max = record->event.duration;
}

static int add_to_table(struct summary *summary, struct table *table, const char *name,
			const struct record *record)
{
	const char *text = intern_text(summary->intern, name, strlen(name));
	void **place = text ? key_map_place(&table->rows, (uintptr_t)text) : NULL;

	if (!place)
		return -ENOMEM;
	if (!*place) {
		*place = calloc(1, sizeof(struct row));
		if (!*place)
			return -ENOMEM;
		((struct row *)*place)->name = text;
	}
	add_to_row(*place, record);
	return 0;
}

static int summary_record(struct sink *sink, const struct record *record)
{
	struct summary *summary = sink->state;
	char mapping[3 * RING_MAX_TEXT];
	int error;

	switch (record->type) {
	case RECORD_EVENT:
		error = add_to_table(summary, &summary->operations, mmun_op_name(record->event.op),
				     record);
		output_mapping(record, false, mapping, sizeof(mapping));
		return error ? error : add_to_table(summary, &summary->mappings, mapping, record);
	case RECORD_PROCESS:
		summary->processes++;
		break;
	case RECORD_LOST:
		summary->lost = *record;
		break;
	case RECORD_RELEASE:
	case RECORD_END:
		break;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct row *left = *(struct row *const *)a, *right = *(struct row *const *)b;

	if (left->time != right->time)
		return left->time < right->time ? 1 : -1;
	return strcmp(left->name, right->name);
}

/* Owned by the caller; NULL without memory or rows. */
static struct row **sorted_rows(const struct table *table)
{
	struct row **rows = calloc(table->rows.nr + 1, sizeof(struct row *));
	size_t nr = 0;

	if (!rows)
		return NULL;
	for (size_t i = 0; i < table->rows.size; i++)
		if (table->rows.entries[i].value)
			rows[nr++] = table->rows.entries[i].value;
	qsort(rows, nr, sizeof(struct row *), by_time);
	return rows;
}

static void sum_rows(struct row *const *rows, struct row *total)
{
	memset(total, 0, sizeof(*total));
	total->name = "total";
	for (; *rows; rows++) {
		total->count += (*rows)->count;
		total->unchanged += (*rows)->unchanged;
		total->bytes += (*rows)->bytes;
		total->time += (*rows)->time;
		if ((*rows)->max > total->max)
			total->max = (*rows)->max;
	}
}

static void print_row(FILE *out, const struct row *row, uint64_t all)
{
	char bytes[32];

	output_size(row->bytes, bytes, sizeof(bytes));
	fprintf(out, "%6.2f %11.6f %10.1f %10.1f %9llu %9llu %9s %s\n",
		all ? 100.0 * (double)row->time / (double)all : 0.0, (double)row->time / 1e9,
		row->count ? (double)row->time / 1e3 / (double)row->count : 0.0,
		(double)row->max / 1e3, (unsigned long long)row->count,
		(unsigned long long)row->unchanged, bytes, row->name);
}

static const char rule[] =
	"------ ----------- ---------- ---------- --------- --------- --------- ----------------\n";

static int print_table(FILE *out, const struct table *table)
{
	struct row **rows = sorted_rows(table), total;

	if (!rows)
		return -ENOMEM;
	sum_rows(rows, &total);
	fprintf(out, "%6s %11s %10s %10s %9s %9s %9s %s\n%s", "% time", "seconds", "mean us",
		"max us", "events", "unchanged", "bytes", table->title, rule);
	for (struct row **row = rows; *row; row++)
		print_row(out, *row, total.time);
	fputs(rule, out);
	print_row(out, &total, total.time);
	free(rows);
	return 0;
}

static void free_summary(struct summary *summary)
{
	struct table *const tables[] = { &summary->operations, &summary->mappings };

	for (size_t t = 0; t < 2; t++) {
		for (size_t i = 0; i < tables[t]->rows.size; i++)
			free(tables[t]->rows.entries[i].value);
		key_map_clear(&tables[t]->rows);
	}
	intern_free(summary->intern);
	free(summary);
}

static int summary_close(struct sink *sink)
{
	struct summary *summary = sink->state;
	char sentence[512];
	int error;

	error = print_table(sink->out, &summary->operations);
	putc('\n', sink->out);
	if (!error)
		error = print_table(sink->out, &summary->mappings);
	if (output_lost(&summary->lost, sentence, sizeof(sentence)))
		fprintf(sink->out, "\nmmunotify: %s\n", sentence);
	free_summary(summary);
	return error;
}

const struct sink_ops sink_summary = { summary_open, summary_record, summary_close };

static struct json_object *table_object(const struct table *table)
{
	struct json_object *array = json_object_new_array();
	struct row **rows = sorted_rows(table);

	for (struct row **row = rows; row && *row; row++) {
		struct json_object *object = json_object_new_object();

		json_add_text(object, table->title, (*row)->name);
		json_add_number(object, "events", (*row)->count);
		json_add_number(object, "unchanged", (*row)->unchanged);
		json_add_number(object, "bytes", (*row)->bytes);
		json_add_number(object, "time_ns", (*row)->time);
		json_add_number(object, "mean_ns", (*row)->time / (*row)->count);
		json_add_number(object, "max_ns", (*row)->max);
		json_object_array_add(array, object);
	}
	free(rows);
	return array;
}

static int summary_json_close(struct sink *sink)
{
	struct summary *summary = sink->state;
	struct json_object *object = json_object_new_object();
	int error;

	json_add_text(object, "type", "summary");
	json_add_text(object, "command", sink->header.command);
	json_object_object_add(object, "operations", table_object(&summary->operations));
	json_object_object_add(object, "mappings", table_object(&summary->mappings));
	json_add_number(object, "processes", summary->processes);
	json_add_number(object, "dropped", summary->lost.lost.dropped);
	json_add_number(object, "abandoned", summary->lost.lost.abandoned);
	json_add_number(object, "too_deep", summary->lost.lost.too_deep);
	json_add_number(object, "unfollowed", summary->lost.lost.unfollowed);
	json_add_number(object, "unredirected", summary->lost.lost.unredirected);
	error = json_print_line(sink->out, object);
	free_summary(summary);
	return error;
}

const struct sink_ops sink_summary_json = { summary_open, summary_record, summary_json_close };
